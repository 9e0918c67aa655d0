"""Whom a host asks for chunks: the nearest neighbour that is not dead, busy, slow or lying. Pure, with time handed in.

The simulator of a thousand hosts (tests/unit/plugins/plugin_utils/fanout) runs this very code.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

# Seconds: until a neighbour is asked again, by what it did. A dead one is asked less and less often.
BUSY_FOR, BEHIND_FOR, SLOW_FOR = 1.0, 1.0, 60.0
_DEAD_FIRST, _DEAD_MOST = 0.5, 15.0
# How many chunks another neighbour must be ahead before it is worth going to, and by how much faster it must have grown.
_LEAD, _TIMES = 4, 4


class Neighbour(NamedTuple):
    """Who may be asked. `later` ones come after this host in the chain: they are not waited for: two might
    wait for each other."""

    name: str
    address: str = ""
    port: int = 0
    later: bool = False


@dataclass
class _Standing:
    again: float = 0.0
    failures: int = 0
    lied: bool = False
    patience: float = 1.0


@dataclass
class Neighbours:
    """The list of one host, nearest first, and what is known of each. Whom it asks it keeps asking, until something is wrong."""

    entries: tuple[Neighbour, ...] = ()
    current: Neighbour | None = None
    _known: dict[str, _Standing] = field(default_factory=dict)

    def replace(self, entries: Sequence[Neighbour]) -> None:
        """Take another list; whoever lied stays known for it, all others may be asked at once."""
        self.entries = tuple(entries)
        self._known = {name: standing for name, standing in self._known.items() if standing.lied}
        if self.current not in self.entries:
            self.current = None

    def pick(self, now: float) -> Neighbour | None:
        """Whom to ask now; None where all are to be left alone for a while."""
        if self.current is None or not self._may(self.current, now):
            self.current = next((entry for entry in self.entries if self._may(entry, now)), None)
        return self.current

    def pause(self, now: float) -> float:
        """Seconds until somebody may be asked; infinite where nobody ever may."""
        times = [self._standing(entry).again for entry in self.entries if not self._standing(entry).lied]
        return max(0.0, min(times, default=math.inf) - now)

    def alternative(self, now: float) -> Neighbour | None:
        """The next one that could be asked in the place of the current one, and is waited for."""
        others = (entry for entry in self.entries if entry != self.current and not entry.later)
        return next((entry for entry in others if self._may(entry, now)), None)

    def patience(self, entry: Neighbour) -> float:
        """By how much longer than usual a chunk of this one may take: more each time that it was too slow."""
        return self._standing(entry).patience

    def came(self, entry: Neighbour) -> None:
        """A chunk came, and was right."""
        self._standing(entry).failures = 0

    def failed(self, entry: Neighbour, now: float) -> None:
        """It cannot be reached, or fell silent."""
        standing = self._standing(entry)
        standing.again = now + min(_DEAD_FIRST * 2**standing.failures, _DEAD_MOST)
        standing.failures = min(standing.failures + 1, 10)

    def busy(self, entry: Neighbour, now: float) -> None:
        """It sends to as many as it may."""
        self._standing(entry).again = now + BUSY_FOR

    def behind(self, entry: Neighbour, now: float) -> None:
        """It has not got what is missing here."""
        self._standing(entry).again = now + BEHIND_FOR

    def slow(self, entry: Neighbour, now: float) -> None:
        """Others are worth trying. Where there are none it goes on, with more patience."""
        standing = self._standing(entry)
        standing.patience *= 2
        if self.alternative(now):
            standing.again = now + SLOW_FOR

    def lied(self, entry: Neighbour) -> None:
        """It sent wrong bytes, and is not asked again."""
        self._standing(entry).lied = True

    @property
    def liars(self) -> tuple[str, ...]:
        """Who sent wrong bytes."""
        return tuple(name for name, standing in self._known.items() if standing.lied)

    def _standing(self, entry: Neighbour) -> _Standing:
        return self._known.setdefault(entry.name, _Standing())

    def _may(self, entry: Neighbour, now: float) -> bool:
        standing = self._standing(entry)
        return not standing.lied and standing.again <= now


class Seen(NamedTuple):
    """How many chunks a host had at the beginning and at the end of a while, of how many in all."""

    before: int
    after: int
    total: int

    @property
    def gained(self) -> int:
        """Chunks that came meanwhile."""
        return self.after - self.before


def is_slow(own: Seen, other: Seen, floor: float) -> bool:
    """Whether a host would do better at another neighbour, by what both had before and after a while.

    Where all wait for the same link, all grow alike and everybody stays. `floor` is how many chunks are so few that somebody who
    has had everything all along, and can show no growth, is tried.
    """
    if not own.gained:
        # It had more all the while; where it only has by now, the first chunks are still on their way down the chain.
        return other.before > own.after
    if other.after - own.after < _LEAD:
        return False
    if other.before == other.total:
        return own.gained < floor
    return own.gained * _TIMES < other.gained
