"""Releases in the order of time, and spans of them."""

from __future__ import annotations

import re
from functools import lru_cache

_NUMBERS = re.compile(r"\d+")


@lru_cache(maxsize=None)
def order(release: str) -> tuple[int, ...]:
    """A release as numbers that compare in time: 0.8.5.post1 is later than 0.8.5."""
    return tuple(int(part) for part in _NUMBERS.findall(release))


def within(release: str, span: str) -> bool:
    """Whether a release lies in "A..B", "A..", "..B" or ".."; both ends belong to the span."""
    first, _, last = span.partition("..")
    return (not first or order(first) <= order(release)) and (not last or order(release) <= order(last))


def between(release: str, one: str, other: str) -> bool:
    """Whether something that began with `release` separates two others, in either direction of time."""
    early, late = sorted((order(one), order(other)))
    return early < order(release) <= late
