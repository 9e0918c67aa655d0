"""Text for people that came from a file of anybody's."""

from __future__ import annotations

from collections.abc import Sequence


def printable(text: str) -> str:
    """Text whose line breaks and other control characters are escaped: it may come from anybody's file."""
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)


def few(names: Sequence[str], most: int) -> str:
    """The first of many names, at most `most` of them, and how many more there are.

    >>> few(["a", "b", "c", "d"], 3), few(["a", "b"], 3)
    ('a, b, c and 1 more', 'a, b')
    """
    more = len(names) - most
    return ", ".join(names[:most]) + (f" and {more} more" if more > 0 else "")
