"""What all unit tests share: nothing is timed, on however busy a machine; ansible_runs.py is importable."""

from __future__ import annotations

import sys
from pathlib import Path

from hypothesis import settings

sys.path.insert(0, str(Path(__file__).parents[1]))
from thoroughness import examples

# Over whatever holds already: with CI set, hypothesis draws the same examples each time.
settings.register_profile("untimed", settings(deadline=None, max_examples=examples(100)))
settings.load_profile("untimed")
