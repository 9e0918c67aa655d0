"""Who may open a connection to an engine, and to whom an engine may open one, in the words of nftables."""

from __future__ import annotations

import hashlib
import ipaddress
from collections.abc import Sequence
from typing import Any, Union

from ansible_collections.baremetal.vllm.plugins.plugin_utils.planned.fleet import Firewall

Network = Union[ipaddress.IPv4Network, ipaddress.IPv6Network]


def endpoint_rules(asked: Firewall | None) -> dict[str, object]:
    """What the table is made of.

    `asked`, as the plan has it: addresses and networks; None for no table (no ports then).

    Returns {"ports": [8001], "everyone": False, "sources4": ["10.0.0.5"], "sources6": [], "anywhere": False,
    "destinations4": [], "destinations6": [], "peers": False, "chain": "closed_…"}; `chain` is named after the rest.
    Raises ValueError with all that nftables cannot take, a line each.
    """
    absent = asked is None
    asked = asked or Firewall((), sources=(), destinations=())
    wrong: list[str] = []
    given, reached = asked.sources, asked.destinations
    sources, destinations = networks(given or (), wrong), networks(reached or (), wrong)
    ports = sorted({int(port) for port in asked.ports})
    if not ports and not absent:
        wrong.append("ports is empty: leave the rules out (null) on a host without engines")
    if wrong:
        raise ValueError("\n".join(wrong))
    rules: dict[str, object] = {
        "ports": ports,
        "everyone": given is None,
        "sources4": _merged(sources, 4),
        "sources6": _merged(sources, 6),
        "anywhere": reached is None,
        "destinations4": _merged(destinations, 4),
        "destinations6": _merged(destinations, 6),
        "peers": bool(asked.peers),
    }
    return {**rules, "chain": "closed" if absent else f"closed_{hashlib.sha256(repr(rules).encode()).hexdigest()[:12]}"}


def networks(sources: Sequence[Any], wrong: list[str]) -> list[Network]:
    """Addresses and networks as nftables takes them; of each that it cannot take, `wrong` gets a line that says why."""
    return [network for source in sources if (network := _network(str(source), wrong)) is not None]


def _network(source: str, wrong: list[str]) -> Network | None:
    try:
        found = ipaddress.ip_network(source.strip("[]"), strict=False)
    except ValueError:
        wrong.append(
            f"{source}: is not an address, and nftables resolves no names. Give the gateway host its address as"
            " vllm_endpoint_address (or write the address into vllm_endpoint_sources or vllm_engine_destinations)"
        )
        return None
    if isinstance(found, ipaddress.IPv6Network):
        if getattr(found.network_address, "scope_id", None):
            wrong.append(
                f"{source}: an address with an interface in it holds on one host only. Write one that is routed"
            )
            return None
        # What such an address sends arrives as IPv4.
        mapped = found.network_address.ipv4_mapped
        if mapped is not None and found.prefixlen >= 96:
            return ipaddress.ip_network(f"{mapped}/{found.prefixlen - 96}")
    return found


def _merged(networks: Sequence[Network], version: int) -> list[str]:
    """Sorted, without what another one holds: nftables refuses sets whose members overlap."""
    own: Any = [network for network in networks if network.version == version]
    merged = ipaddress.collapse_addresses(own)
    return [str(n.network_address) if n.num_addresses == 1 else str(n) for n in merged]
