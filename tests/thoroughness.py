"""How many examples a property is tried with."""

from __future__ import annotations

import os

# What `make check` tries of them.
SHARE = 0.4


def examples(number: int) -> int:
    """`number` of them under `make exhaustive` (EXHAUSTIVE in the environment), else a share, but no fewer than 40."""
    return number if os.environ.get("EXHAUSTIVE") else max(min(number, 40), int(number * SHARE))
