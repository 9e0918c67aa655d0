"""Where the collection's own files lie, wherever it is installed, and how its YAML is read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[2]
DATA = ROOT / "data"
TEMPLATES = ROOT / "templates"
# libyaml's loader reads ten times as fast; PyYAML has it wherever it was built with libyaml.
_Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def read_yaml(path: Path) -> Any:
    """Plain values of one of the collection's own YAML files.

    Raises OSError, UnicodeDecodeError, yaml.YAMLError.
    """
    return yaml.load(path.read_text(encoding="utf-8"), Loader=_Loader)  # noqa: S506 (a safe loader)
