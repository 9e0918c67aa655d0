"""Who may open a connection to an engine, in the words of nftables."""

from __future__ import annotations

import hashlib
import ipaddress
from collections.abc import Mapping, Sequence
from typing import Any, Union

Network = Union[ipaddress.IPv4Network, ipaddress.IPv6Network]


def endpoint_rules(asked: Mapping[str, Any] | None) -> dict[str, Any]:
    """What the table is made of: {"ports": [8001], "sources4": ["10.0.0.5"], "sources6": [], "chain": "closed_…"}.

    `asked`: {"ports": [...], "sources": [...]} as the plan has it, addresses or networks; None for no table (no ports then).
    `chain` is named after the rest. Raises ValueError with all that nftables cannot take, a line each.
    """
    if asked is None:
        return {"ports": [], "sources4": [], "sources6": [], "chain": "closed"}
    wrong: list[str] = []
    networks = [network for source in asked["sources"] if (network := _network(str(source), wrong)) is not None]
    ports = sorted({int(port) for port in asked["ports"]})
    if not ports:
        wrong.append("ports is empty: leave the rules out (null) on a host without engines")
    if wrong:
        raise ValueError("\n".join(wrong))
    rules: dict[str, Any] = {"ports": ports, "sources4": _merged(networks, 4), "sources6": _merged(networks, 6)}
    return {**rules, "chain": f"closed_{hashlib.sha256(repr(rules).encode()).hexdigest()[:12]}"}


def _network(source: str, wrong: list[str]) -> Network | None:
    try:
        found = ipaddress.ip_network(source.strip("[]"), strict=False)
    except ValueError:
        wrong.append(
            f"{source}: is not an address, and nftables resolves no names. Give the gateway host its address as"
            " vllm_endpoint_address (or write the address into vllm_endpoint_sources)"
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
