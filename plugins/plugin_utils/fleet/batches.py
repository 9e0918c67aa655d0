"""Which hosts are switched together: greedy, so that no batch takes all live replicas of a model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass


@dataclass
class Fleet:
    """`live`: by model the hosts that serve it now, grown by every batch; `takes`: by host the models whose replica its
    switch takes away for a while; `brings`: by host the models that it serves afterwards; `exempt`: models whose gap is
    accepted already."""

    live: dict[str, set[str]]
    takes: Mapping[str, Set[str]]
    brings: Mapping[str, Set[str]]
    exempt: Set[str] = frozenset()

    def lacking(self, away: Set[str]) -> list[str]:
        """Models of which no live replica would be left while `away` are switched. One that nobody serves loses none."""
        taken = {model for host in away for model in self.takes[host]} - self.exempt
        return sorted(m for m in taken if self.live.get(m) and self.live[m] <= self._taking(m, away))

    def alone(self, host: str) -> list[str]:
        """Models that this host alone serves now, and would take away."""
        return self.lacking({host})

    def done(self, hosts: Sequence[str]) -> None:
        """The hosts are switched: they serve what they bring, and nothing else of what they took away."""
        for host in hosts:
            for model in self.takes[host] - self.brings[host]:
                self.live.get(model, set()).discard(host)
            for model in self.brings[host]:
                self.live.setdefault(model, set()).add(host)

    def _taking(self, model: str, away: Set[str]) -> set[str]:
        return {host for host in away if model in self.takes[host]}


@dataclass(frozen=True)
class Batches:
    """`stuck`: hosts that cannot be switched without a gap, with the models; `gaps`: the same, where gaps are allowed."""

    batches: tuple[tuple[str, ...], ...]
    stuck: Mapping[str, Sequence[str]]
    gaps: Mapping[str, Sequence[str]]


def split(fleet: Fleet, hosts: Sequence[str], sizes: Sequence[int], allow_gap: bool) -> Batches:
    """Batches of at most `sizes` (the last one repeats), in the order of `hosts` where replicas allow it.

    A host that would take a last live replica waits until an earlier batch has brought another one, and one that takes a
    replica away for good waits for all others. Hosts for which none comes are stuck: refused, or switched last where gaps
    are allowed. `fleet` is grown on the way.
    """
    waiting = sorted(hosts, key=lambda host: bool(fleet.takes[host] - fleet.brings[host]))
    batches, gaps = list[tuple[str, ...]](), dict[str, list[str]]()
    while waiting:
        size = sizes[min(len(batches), len(sizes) - 1)]
        batch = _fill(fleet, waiting, size, gap=False)
        if not batch and not allow_gap:
            return Batches(tuple(batches), {host: fleet.alone(host) for host in waiting}, gaps)
        if not batch:
            batch = _fill(fleet, waiting, size, gap=True)
            gaps.update({host: fleet.alone(host) for host in batch})
        batches.append(tuple(batch))
        fleet.done(batch)
        waiting = [host for host in waiting if host not in batch]
    return Batches(tuple(batches), {}, gaps)


def _fill(fleet: Fleet, waiting: Sequence[str], size: int, gap: bool) -> list[str]:
    """The first hosts that may be away together. With `gap`, last replicas may go, and only those."""
    batch: list[str] = []
    accepted: set[str] = set()
    for host in waiting:
        alone = set(fleet.alone(host)) if gap else set()
        if set(fleet.lacking({*batch, host})) <= accepted | alone:
            batch.append(host)
            accepted |= alone
        if len(batch) == size:
            break
    return batch
