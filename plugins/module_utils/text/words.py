"""Text for people that came from a file of anybody's."""

from __future__ import annotations


def printable(text: str) -> str:
    """Text whose line breaks and other control characters are escaped: it may come from anybody's file."""
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)
