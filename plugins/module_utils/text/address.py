"""Addresses as an inventory writes them, and as URLs and command lines want them."""

from __future__ import annotations

import ipaddress
import socket

# What listens on every address. IPV6_ANY is for IPv4 as well where the kernel says so (net.ipv6.bindv6only=0, its default): vLLM
# binds it plainly (create_server_socket, 0.8.5 to 0.33.0).
IPV4_ANY, IPV6_ANY = "0.0.0.0", "::"  # noqa: S104 (named, not bound)
LOOPBACK = "127.0.0.1"


def bare(address: str) -> str:
    """An address or a name without the brackets of a URL.

    >>> bare("[fd00::1]"), bare("10.0.0.1")
    ('fd00::1', '10.0.0.1')
    """
    return address[1:-1] if address.startswith("[") and address.endswith("]") else address


def with_port(address: str, port: int | str) -> str:
    """An address before its port, as in a URL; IPv6 between brackets.

    >>> with_port("fd00::1", 8000), with_port("gpu1", 8000)
    ('[fd00::1]:8000', 'gpu1:8000')
    """
    address = bare(address)
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"


def is_ip(address: str) -> bool:
    """Whether it is an address of either family, and no name."""
    return is_ipv6(address) or _is_ipv4(address)


def is_ipv6(address: str) -> bool:
    """Whether an address is one of IPv6, with or without an interface in it; names are not."""
    try:
        return ipaddress.ip_address(bare(address).partition("%")[0]).version == 6
    except ValueError:
        return False


def resolved(address: str) -> tuple[str, ...]:
    """The addresses of a host by its address or name, as this host knows it; none for a name that it does not know.

    >>> resolved("10.0.0.5")
    ('10.0.0.5',)
    """
    try:
        found = socket.getaddrinfo(bare(address), None, type=socket.SOCK_STREAM)
    except OSError:
        return ()
    return tuple(dict.fromkeys(str(each[4][0]) for each in found))


def is_loopback(address: str) -> bool:
    """Whether only the host itself reaches an address."""
    try:
        return ipaddress.ip_address(bare(address)).is_loopback
    except ValueError:
        return address == "localhost"


def _is_ipv4(address: str) -> bool:
    try:
        return ipaddress.ip_address(address).version == 4
    except ValueError:
        return False
