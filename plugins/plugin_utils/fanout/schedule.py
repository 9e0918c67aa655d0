"""Who takes content from whom: a chain of all members, and for each the few that it may ask. Pure.

The work grows with the number of members, not with its square: each list has at most a dozen names.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from ansible_collections.baremetal.vllm.plugins.module_utils.fanout.choice import Neighbour

# Of each member's list: as many dead in a row are gone past without the control node; those after it are asked when all before it
# are dead, busy or behind.
BEFORE, AFTER = 6, 2


@dataclass(frozen=True)
class Member:
    """One host. `rack` is its `vllm_rack`, "" where it has none; `whole` whether it has the content already; `upstream`
    is the one that has it from outside and gives it to one at a time."""

    name: str
    address: str
    port: int
    rack: str = ""
    whole: bool = False
    upstream: bool = False

    @property
    def receivers(self) -> int:
        """To how many it may send at once: one, and another one that goes past a dead or a slow host."""
        return 1 if self.upstream else 2


def chain(members: Sequence[Member]) -> tuple[Member, ...]:
    """All members in the order in which chunks pass them; `members` are in the inventory's order.

    Upstream first, then rack by rack, and in each rack those that have the content first. Racks that have a member with it come
    before those that have none; otherwise racks and hosts keep the inventory's order. So between two racks there is one link, and
    who has the content feeds its own rack.
    """
    racks: dict[str, list[Member]] = {}
    for member in members:
        if not member.upstream:
            racks.setdefault(member.rack, []).append(member)
    first = [member for member in members if member.upstream]
    for rack in sorted(racks.values(), key=lambda hosts: not any(host.whole for host in hosts)):
        first += sorted(rack, key=lambda host: not host.whole)
    return tuple(first)


def neighbours(order: Sequence[Member], dead: Collection[str] = ()) -> dict[str, tuple[Neighbour, ...]]:
    """By name, whom each living member that lacks the content may ask, nearest first: those before it, then a few after it.

    Those before it that are dead are left out, so that after deaths the same chain is closed again. Where hosts have the content,
    upstream is asked by nobody who could ask one of them.
    """
    living = [member for member in order if member.name not in dead]
    lists = {}
    for at, member in enumerate(living):
        if member.whole or member.upstream:
            continue
        before = living[max(0, at - BEFORE) : at][::-1]
        if any(each.whole and not each.upstream for each in before):
            before = [each for each in before if not each.upstream]
        after = living[at + 1 : at + 1 + AFTER]
        lists[member.name] = tuple(_neighbour(each) for each in before) + tuple(
            _neighbour(each, True) for each in after
        )
    return lists


def _neighbour(member: Member, later: bool = False) -> Neighbour:
    return Neighbour(member.name, member.address, member.port, later)


@dataclass(frozen=True)
class Progress:
    """The whole run: bytes that are there in all, of how many; hosts that have all of it; those that are gone or failed."""

    there: int
    size: int
    whole: int
    hosts: int
    lost: tuple[str, ...]

    @property
    def over(self) -> bool:
        """Whether nobody is left who could go on."""
        return self.whole + len(self.lost) == self.hosts


def progress(statuses: Mapping[str, Mapping[str, object]]) -> Progress:
    """What the members' statuses (module_utils/fanout/agent.py) come to; one that has none yet counts with nothing."""
    there = size = whole = 0
    lost = []
    for name, status in statuses.items():
        state = status.get("state")
        each = int(str(status.get("size") or 0))
        size = max(size, each)
        there += each if state == "whole" else int(str(status.get("had") or 0)) + int(str(status.get("received") or 0))
        whole += state == "whole"
        if state in ("failed", "none", "ended"):
            lost.append(name)
    return Progress(there, size * len(statuses), whole, len(statuses), tuple(lost))
