"""How wide a text is on a terminal, and its words in lines."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable


def cells(text: str) -> int:
    """Columns that a text takes on a terminal: two for a wide character, none for one that joins the one before."""
    if text.isascii():
        return len(text)
    return sum(_cells(char) for char in text)


def _cells(char: str) -> int:
    if unicodedata.category(char) in ("Mn", "Me", "Cf"):
        return 0
    return 2 if unicodedata.east_asian_width(char) in ("W", "F") else 1


def padded(text: str, width: int, right: bool = False) -> str:
    """A text filled up with blanks to `width` columns."""
    blanks = " " * (width - cells(text))
    return blanks + text if right else text + blanks


def filled(words: Iterable[str], width: int, between: str = " ") -> list[str]:
    """Words in lines of at most `width` columns; a word that is wider has its own line and is not cut."""
    lines: list[str] = []
    for word in words:
        if lines and cells(lines[-1]) + len(between) + cells(word) <= width:
            lines[-1] += between + word
        else:
            lines.append(word)
    return lines


def wrapped(text: str, width: int, indent: str = "", further: str | None = None) -> str:
    """A paragraph of at most `width` columns, its first line behind `indent`, the others behind `further`."""
    rest = indent if further is None else further
    lines = filled(text.split(), max(1, width - max(cells(indent), cells(rest))))
    return "\n".join((rest if number else indent) + line for number, line in enumerate(lines)) or indent.rstrip()
