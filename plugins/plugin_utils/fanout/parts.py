"""What each host does for one content: whom it asks, and to whom it opens its port. Pure; known before anybody listens.

Ports are fixed, so that a host is told whom to ask when it starts, and nobody waits for the last one to listen.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from ansible_collections.baremetal.vllm.plugins.module_utils.fanout.choice import Neighbour
from ansible_collections.baremetal.vllm.plugins.module_utils.text.address import IPV4_ANY, IPV6_ANY, is_ipv6
from ansible_collections.baremetal.vllm.plugins.plugin_utils.fanout.schedule import Member, chain, neighbours
from ansible_collections.baremetal.vllm.plugins.plugin_utils.fanout.shared import Content

# Of members, unless an inventory says another one (`vllm_fanout_port`): below the 8000 to 8999 of models.
PORT = 7411
# Seconds without a chunk after which a host takes content in the ordinary way, and without a word of the control node or a byte
# in or out after which an agent ends; and by how much longer for each host: all of them are started one after the other.
_GIVE_UP, _LEASE, _EACH = 120, 300, 2


class Where(NamedTuple):
    """Where other hosts reach one, and in which rack it stands ("" in none)."""

    address: str
    port: int = PORT
    rack: str = ""


@dataclass(frozen=True)
class Part:
    """One host's. `neighbours`: whom it asks, nearest first, nobody where it has the content; `peers`: the addresses of those
    that may ask it; `listen` and `port`: where."""

    neighbours: tuple[Neighbour, ...]
    peers: tuple[str, ...]
    listen: str
    port: int


def parts(content: Content, at: Mapping[str, Where]) -> dict[str, Part]:
    """By member what it does; `at` has each of them."""
    order = chain([Member(host, *at[host], whole=host in content.givers) for host in content.members])
    lists = neighbours(order)
    peers: dict[str, list[str]] = {}
    for host, asked in lists.items():
        for each in asked:
            peers.setdefault(each.name, []).append(at[host].address)
    return {
        host: Part(
            lists.get(host, ()),
            tuple(dict.fromkeys(peers.get(host, ()))),
            IPV6_ANY if is_ipv6(at[host].address) else IPV4_ANY,
            at[host].port,
        )
        for host in content.members
    }


def bounds(members: int) -> dict[str, int]:
    """The bounds of a run of so many members that differ from an agent's own (module_utils/fanout/order.py)."""
    return {"give_up": _GIVE_UP + _EACH * members, "lease": _LEASE + _EACH * members}
