"""What a text is printed on: so many columns wide, with colours or without."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from ansible_collections.baremetal.vllm.plugins.plugin_utils.report.words import wrapped

# What a line is about, as colours tell it: what comes, what becomes different, what goes, what is wrong.
ADDED, CHANGED, REMOVED, WRONG = "added", "changed", "removed", "wrong"


def _plain(text: str, tone: str) -> str:
    return text


@dataclass(frozen=True)
class Screen:
    """`width`: columns; `paint`: a line and its tone (one of the four) to the line as the terminal takes it; `terminal`:
    somebody looks at it, and it is no file."""

    width: int = 80
    paint: Callable[[str, str], str] = _plain
    terminal: bool = False

    def lines(self, lines: Iterable[str], tone: str) -> list[str]:
        """The lines painted; those without a tone as they are."""
        return [self.paint(line, tone) if tone and line else line for line in lines]

    def sentence(self, text: str, indent: str = "", further: str = "  ") -> str:
        """A sentence of no table: in lines on a terminal, on one line in a file, where somebody searches for it."""
        return wrapped(text, self.width, indent, further) if self.terminal else indent + text


PAPER = Screen()
