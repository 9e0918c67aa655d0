"""What is wrong with an inventory, told so that the person at the terminal can mend it."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass, field


@dataclass(frozen=True, order=True)
class Problem:
    """One mistake: `key` is its dotted place in the inventory, `reason` what is wrong, `remedy` what to write instead."""

    key: str
    reason: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.key}: {self.reason}. {self.remedy}."


@dataclass
class Problems:
    """Collects every problem of a plan, so that none has to be found one run at a time."""

    found: set[Problem] = field(default_factory=set)
    warned: set[Problem] = field(default_factory=set)

    def add(self, key: str, reason: str, remedy: str) -> None:
        self.found.add(Problem(key, reason, remedy))

    def warn(self, key: str, reason: str, remedy: str) -> None:
        self.warned.add(Problem(key, reason, remedy))


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """`Did you mean "x"` for the nearest known word, else the list of them all."""
    candidates = sorted(known)
    near = difflib.get_close_matches(word, candidates, n=1, cutoff=0.6)
    return f'Did you mean "{near[0]}"' if near else f"Known are: {', '.join(candidates)}"
