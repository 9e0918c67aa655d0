"""Whether anybody else can reach what engines listen on: a wildcard of one family, on a host that has addresses of the other.

The kernel's own tables tell: /proc/net/fib_trie has the local IPv4 addresses as `/32 host LOCAL` (Linux,
Documentation/networking/fib_trie.rst), /proc/net/if_inet6 a line for each IPv6 address with its scope in the fourth column, 20 of
the link and 10 of the host (net/ipv6/addrconf.c, if6_seq_show); it is missing where the kernel has no IPv6.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Sequence
from pathlib import Path

from ansible_collections.baremetal.vllm.plugins.module_utils.text.address import IPV4_ANY, IPV6_ANY
from ansible_collections.baremetal.vllm.plugins.module_utils.units.planned import PlannedUnit

NETWORK = Path("/proc/net")
_LOCAL = re.compile(r"\|-- ([0-9.]+)\n\s+/32 host LOCAL")


def hindrances(units: Sequence[PlannedUnit], network: Path = NETWORK) -> list[str]:
    """A line for each address that these units listen on and nobody else reaches; nothing where the kernel does not tell.

    Those without a known `service` are passed over.
    """
    names: dict[str, list[str]] = {}
    for unit in units:
        if unit.service is not None:
            names.setdefault(unit.service["address"], []).append(unit.unit)
    ipv4, ipv6 = _ipv4(network), _ipv6(network)
    lines = []
    if IPV4_ANY in names and ipv4 == [] and ipv6:
        lines.append(
            f"{', '.join(names[IPV4_ANY])} would listen on {IPV4_ANY}, and this host has no IPv4 address that others reach, only"
            f" {ipv6[0]}: write vllm_address: '{IPV6_ANY}', or the address as ansible_host or vllm_endpoint_address"
        )
    if IPV6_ANY in names and ipv6 is None:
        lines.append(
            f"{', '.join(names[IPV6_ANY])} would listen on {IPV6_ANY}, and this host's kernel has no IPv6: write vllm_address:"
            f" {IPV4_ANY}, and as vllm_endpoint_address its IPv4 address"
        )
    return lines


def _ipv4(network: Path) -> list[str] | None:
    """The host's addresses beyond loopback; None where the kernel does not tell."""
    try:
        found = _LOCAL.findall((network / "fib_trie").read_text())
    except OSError:
        return None
    return [address for address in dict.fromkeys(found) if not ipaddress.ip_address(address).is_loopback]


def _ipv6(network: Path) -> list[str] | None:
    """The host's addresses beyond loopback and link; None where the kernel has no IPv6."""
    try:
        lines = (network / "if_inet6").read_text().splitlines()
    except OSError:
        return None
    found = [line.split() for line in lines]
    return [str(ipaddress.IPv6Address(bytes.fromhex(words[0]))) for words in found if words[3] not in ("10", "20")]
