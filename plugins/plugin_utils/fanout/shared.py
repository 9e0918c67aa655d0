"""What several hosts need and some lack: who has it, who brings it from outside, who takes it from others. Pure.

Content is one directory of weights or one image of an engine. It has the same path on all hosts, and one identity: the commit or
the digest of weights, the digest of an image.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from ansible_collections.baremetal.vllm.plugins.module_utils.engine.images import file_of
from ansible_collections.baremetal.vllm.plugins.plugin_utils.planned.fleet import FleetPlan, HostPlan, Weights

IMAGE, WEIGHTS = "image", "weights"
# Images come first: with an engine from one, a host can fetch weights of a hub.
KINDS = (IMAGE, WEIGHTS)
# Of the hosts of a rack that have content already, as many give it on: one, and another one for when that dies. Each that gives
# reads all of it.
GIVERS = 2


@dataclass(frozen=True)
class Content:
    """What is given from host to host: `path` on each, `name` for people, `size` in bytes (0 where nobody has it yet).

    `sources`: hosts that have it, as many as give it on; `seed`: where none has it, the one that brings it from outside, ""
    otherwise; `receivers`: those that take it from others, in the order of their racks.
    """

    kind: str
    path: str
    name: str
    size: int = 0
    sources: tuple[str, ...] = ()
    seed: str = ""
    receivers: tuple[str, ...] = ()

    @property
    def givers(self) -> tuple[str, ...]:
        """Who has it before the others take it."""
        return self.sources or (self.seed,)

    @property
    def members(self) -> tuple[str, ...]:
        """All that take part."""
        return (*self.givers, *self.receivers)


class _Key(NamedTuple):
    kind: str
    path: str
    name: str


class _Found(NamedTuple):
    """One content on one host; `is_there`: whole, or not at all. What is damaged or somebody else's is neither, and left out."""

    key: _Key
    is_there: bool
    size: int


def shared_contents(
    plan: FleetPlan, looks: Mapping[str, Mapping[str, Any]], racks: Mapping[str, str]
) -> tuple[Content, ...]:
    """What at least two hosts need and at least one lacks, images first, otherwise in the plan's order.

    `looks`: by host that takes part what module host_state found of its `engine` and `weights`; `racks`: by host its
    `vllm_rack`, "" where it has none.
    """
    needed: dict[_Key, dict[str, _Found]] = {}
    for host in by_rack([host for host in plan.hosts if host in looks], racks):
        for found in _found(plan.hosts[host], looks[host]):
            needed.setdefault(found.key, {})[host] = found
    contents = (_content(key, hosts, racks) for key, hosts in needed.items())
    return tuple(sorted(filter(None, contents), key=lambda content: KINDS.index(content.kind)))


def by_rack(hosts: Sequence[str], racks: Mapping[str, str]) -> list[str]:
    """Hosts rack by rack: racks in the order of their first hosts, the hosts of each in theirs."""
    first: dict[str, int] = {}
    for host in hosts:
        first.setdefault(racks.get(host, ""), len(first))
    return sorted(hosts, key=lambda host: first[racks.get(host, "")])


def waves(contents: Sequence[Content]) -> list[list[Content]]:
    """Contents that go at the same time: of each wave a host takes part in one at most, for it has one port and one link."""
    found: list[tuple[list[Content], set[str]]] = []
    for content in contents:
        for wave, busy in found:
            if busy.isdisjoint(content.members):
                wave.append(content)
                busy.update(content.members)
                break
        else:
            found.append(([content], set(content.members)))
    return [wave for wave, __ in found]


def _found(planned: HostPlan, look: Mapping[str, Any]) -> Iterator[_Found]:
    image = (look.get("engine") or {}).get("image")
    if image and planned.engine is not None:
        name = f"image {image['digest'][:12]} of vLLM {planned.engine.release}"
        yield _Found(_Key(IMAGE, str(file_of(image["digest"])), name), image["held"], image["size"])
    for item, seen in zip(planned.weights, look.get("weights") or ()):
        if item.source in ("hub", "pushed") and seen["state"] in ("present", "absent"):
            yield _Found(_Key(WEIGHTS, item.path, _name(item)), seen["state"] == "present", seen["size"])


def _name(item: Weights) -> str:
    """What they are for people, which is their identity as well: the same path has the same commit or digest in it."""
    return f"weights {item.origin}"


def _content(key: _Key, hosts: Mapping[str, _Found], racks: Mapping[str, str]) -> Content | None:
    lacking = [host for host, found in hosts.items() if not found.is_there]
    if not lacking or len(hosts) < 2:
        return None
    size = max(found.size for found in hosts.values())
    sources = _givers([host for host, found in hosts.items() if found.is_there], lacking, racks)
    if sources:
        return Content(*key, size, sources, "", tuple(lacking))
    return Content(*key, size, (), lacking[0], tuple(lacking[1:]))


def _givers(having: Sequence[str], lacking: Sequence[str], racks: Mapping[str, str]) -> tuple[str, ...]:
    """Of the hosts that have it those that give it: some in each rack that lacks it, else the first ones."""
    wanted = {racks.get(host, "") for host in lacking}
    taken: dict[str, list[str]] = {}
    for host in having:
        taken.setdefault(racks.get(host, ""), []).append(host)
    near = [host for rack in wanted & set(taken) for host in taken[rack][:GIVERS]]
    return tuple(host for host in having if host in near) or tuple(having[:GIVERS])
