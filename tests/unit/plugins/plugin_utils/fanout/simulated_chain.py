"""A run of the fan-out in memory: hosts, chunks and time in steps. Whom a host asks is decided by the agents' own code (`choice`),
who is in whose list by the control node's own (`schedule`); what a step costs is the model.

In one step a link carries `speed` chunks, a half one where it is slow; a chunk that came in one step is given on in the next.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from ansible_collections.baremetal.vllm.plugins.module_utils.fanout.choice import Neighbour, Neighbours, Seen, is_slow
from ansible_collections.baremetal.vllm.plugins.plugin_utils.fanout import schedule

# Seconds of a step, as the agents' times are handed to `choice`; steps between two comparisons; steps after which a silent host is
# known to be dead; steps between two looks of the control node.
STEP, WINDOW, SILENCE, LOOK = 0.1, 20, 10, 50
# Chunks that a slow host takes or gives in a step.
SLOW = 0.05


@dataclass(frozen=True)
class Faults:
    """By host: the step at which it dies, whether it does so silently, the step at which it joins; who lies, whose link is slow."""

    dies: Mapping[int, int] = field(default_factory=dict)
    silent: frozenset[int] = frozenset()
    joins: Mapping[int, int] = field(default_factory=dict)
    liars: frozenset[int] = frozenset()
    slow: frozenset[int] = frozenset()


@dataclass
class Host:
    """One member: how many chunks it has, how much of the next one, how many it sent, to how many at once at most."""

    name: str
    number: int
    count: int = 0
    credit: float = 0.0
    sent: int = 0
    most: int = 0
    neighbours: Neighbours = field(default_factory=Neighbours)
    # By host, since which step.
    served: dict[int, int] = field(default_factory=dict)
    asks: int = -1
    seen: tuple[int, int, int] | None = None
    quiet: int = 0


class Chain:
    """The run; `hosts[0]` is upstream."""

    def __init__(
        self, count: int, chunks: int, faults: Faults, racks: Sequence[str] = (), whole: Sequence[int] = ()
    ) -> None:
        self.chunks, self.faults, self.step = chunks, faults, 0
        members = [
            schedule.Member(str(n), "192.0.2.1", 1, racks[n % len(racks)] if racks else "", n in whole or not n, not n)
            for n in range(count)
        ]
        self.members = {int(member.name): member for member in members}
        self.order = schedule.chain(members)
        self.hosts = [Host(str(n), n, chunks if n in whole or not n else 0) for n in range(count)]
        self._reschedule()

    def alive(self, number: int) -> bool:
        return self.faults.joins.get(number, 0) <= self.step < self.faults.dies.get(number, 10**9)

    def survivors(self) -> list[Host]:
        return [host for host in self.hosts if host.number not in self.faults.dies]

    def run(self, most: int) -> int:
        """Steps until every survivor has everything; `most` + 1 where that was not so by then."""
        waiting = {host.number for host in self.hosts if host.count < self.chunks}
        turning = {*self.faults.dies.values(), *self.faults.joins.values()}
        awake = set(waiting)
        while waiting and self.step <= most:
            if self.step % LOOK == LOOK - 1:
                self._reschedule()
                awake = set(waiting)
            if self.step % WINDOW == 0 or self.step in turning:
                awake = set(waiting)
            before = [host.count for host in self.hosts]
            idle, woken = set(), set()
            for number in sorted(awake):
                host = self.hosts[number]
                if not self.alive(number):
                    self._leave(host)
                elif not self._idle(host, before):
                    self._take(host, before)
                    if host.count > before[number]:
                        woken |= self.hosts[number].served.keys()
                    if host.count == self.chunks:
                        self._leave(host)
                    continue
                idle.add(number)
            waiting = {n for n in waiting if self.hosts[n].count < self.chunks and not self._is_dead(n)}
            awake = (awake - idle | woken) & waiting
            self.step += 1
        return self.step

    def _is_dead(self, number: int) -> bool:
        return self.step >= self.faults.dies.get(number, 10**9)

    def _idle(self, host: Host, before: Sequence[int]) -> bool:
        """Whether it waits for a living neighbour that has no more than it has itself: most do, most of the time. It is woken by
        that one's next chunk, by every death, and for every comparison."""
        current = host.neighbours.current
        if current is None or current.later or self.step % WINDOW == 0 or host.asks != int(current.name):
            return False
        return before[host.asks] <= host.count and self.alive(host.asks)

    def _reschedule(self) -> None:
        """What the control node does at each look: deaths that it has seen leave the chain."""
        dead = {str(n) for n in self.members if not self.alive(n)}
        for name, listed in schedule.neighbours(self.order, dead).items():
            known = self.hosts[int(name)].neighbours
            if listed != known.entries:
                known.replace(listed)

    def _take(self, host: Host, before: Sequence[int]) -> None:
        now = self.step * STEP
        neighbour = host.neighbours.pick(now)
        if neighbour is None:
            self._leave(host)
            return
        number = int(neighbour.name)
        other = self.hosts[number]
        if host.asks != number:
            self._leave(host)
        if not self.alive(number):
            silent = number in self.faults.silent and host.asks == number
            host.quiet += 1
            if not silent or host.quiet >= SILENCE:
                host.neighbours.failed(neighbour, now)
                self._leave(host)
            return
        host.quiet = 0
        if host.number not in other.served and len(other.served) >= self.members[number].receivers:
            # As the agent does (Sender._make_room): a slow one loses its place to one that asks.
            slow = [n for n, since in other.served.items() if n in self.faults.slow and self.step - since >= WINDOW]
            if not slow:
                host.neighbours.busy(neighbour, now)
                return
            host_out = self.hosts[slow[0]]
            self._leave(host_out)
            host_out.neighbours.failed(Neighbour(neighbour.name), now)
        other.served.setdefault(host.number, self.step)
        other.most = max(other.most, len(other.served))
        host.asks = number
        if before[number] <= host.count:
            if neighbour.later:
                host.neighbours.behind(neighbour, now)
                self._leave(host)
            return self._compare(host, before)
        host.credit += SLOW if {host.number, number} & self.faults.slow else 1.0
        if host.credit >= 1.0:
            host.credit -= 1.0
            other.sent += 1
            if number in self.faults.liars:
                host.neighbours.lied(neighbour)
                self._leave(host)
                return
            host.count += 1
            host.neighbours.came(neighbour)
        self._compare(host, before)

    def _compare(self, host: Host, before: Sequence[int]) -> None:
        """As the agent does every now and then (Fetcher._compare)."""
        if self.step % WINDOW:
            return
        now = self.step * STEP
        other, current = host.neighbours.alternative(now), host.neighbours.current
        if other is None or current is None or current.later or not self.alive(int(other.name)):
            host.seen = None
            return
        number = int(other.name)
        if host.seen and host.seen[0] == number:
            own, theirs = Seen(host.seen[1], host.count, self.chunks), Seen(host.seen[2], before[number], self.chunks)
            if is_slow(own, theirs, WINDOW * SLOW * 2):
                host.neighbours.slow(current, now)
                self._leave(host)
        host.seen = (number, host.count, before[number])

    def _leave(self, host: Host) -> None:
        if host.asks >= 0:
            self.hosts[host.asks].served.pop(host.number, None)
        host.asks, host.credit = -1, 0.0
