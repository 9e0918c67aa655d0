"""Makes recordings and stand-ins importable: the tests are collected without packages."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
