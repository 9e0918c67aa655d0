"""How thorough tests are: how many examples a property is tried with, and what only a run of its own tries."""

from __future__ import annotations

import os

import pytest

# What `make check` tries of them.
SHARE = 0.4


def examples(number: int) -> int:
    """`number` of them under `make exhaustive` (EXHAUSTIVE in the environment), else a share, but no fewer than 40."""
    return number if os.environ.get("EXHAUSTIVE") else max(min(number, 40), int(number * SHARE))


# For tests of scenarios that take minutes of a computer's time for something that seldom changes.
exhaustive = pytest.mark.skipif(not os.environ.get("EXHAUSTIVE"), reason="takes minutes: make exhaustive")
