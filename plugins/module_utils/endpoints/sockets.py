"""What the processes of a unit listen on, by the kernel's own tables: nothing of an engine is reached but its port.

/proc/net/tcp, tcp6, udp and udp6 (Linux, Documentation/networking/proc_net_tcp.rst) have one socket a line: its address as
native-endian words of 32 bits in hexadecimal, its state (0A listens; 07 of UDP: bound, without a peer), its inode. Whose it
is, only the links in /proc/PID/fd tell, which root and the process's own user may read.
"""

from __future__ import annotations

import ipaddress
import os
import pwd
import subprocess
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from ansible_collections.baremetal.vllm.plugins.module_utils.endpoints.check import Check, expect, probe, skip
from ansible_collections.baremetal.vllm.plugins.module_utils.endpoints.client import Client
from ansible_collections.baremetal.vllm.plugins.module_utils.endpoints.service import Service
from ansible_collections.baremetal.vllm.plugins.module_utils.text.address import with_port
from ansible_collections.baremetal.vllm.plugins.module_utils.text.words import few

NAME = "only_its_port"
PROCESSES = "/proc"
# The chain by which the host's firewall closes all other ports of this user's processes (templates/etc/vllm/firewall.nft.j2).
CHAIN = ("nft", "list", "chain", "inet", "vllm_endpoints", "engines")
USER = "vllm"
_LISTENS = {"tcp": "0A", "tcp6": "0A", "udp": "07", "udp6": "07"}
_NAMED = 3


@dataclass(frozen=True)
class Socket:
    """One that waits for others: `process` by its kernel name, `uid` of its owner."""

    protocol: str
    address: str
    port: int
    pid: int
    process: str
    uid: int

    @property
    def loopback(self) -> bool:
        """Whether only programs of the same host reach it, IPv4 written as IPv6 included."""
        address = ipaddress.ip_address(self.address)
        mapped = getattr(address, "ipv4_mapped", None)
        return (mapped or address).is_loopback

    def __str__(self) -> str:
        return f"{self.process} (pid {self.pid}) on {self.protocol} {with_port(self.address, self.port)}"


def processes_of(unit: str, processes: str = PROCESSES) -> list[int]:
    """The processes in a unit's control group, in either hierarchy."""
    found = []
    for name in os.listdir(processes):
        if not name.isdigit():
            continue
        try:
            with open(os.path.join(processes, name, "cgroup"), encoding="utf-8", errors="replace") as file:
                groups = file.read().splitlines()
        except OSError:
            continue  # it ended meanwhile
        if any(unit in group.split(":", 2)[-1].split("/") for group in groups):
            found.append(int(name))
    return sorted(found)


def listening(pids: Iterable[int], processes: str = PROCESSES) -> list[Socket]:
    """The sockets on which processes wait for others, each once.

    Raises:
        PermissionError: where the descriptors of a process may not be looked at.
    """
    tables: dict[str, dict[str, tuple[str, str, int]]] = {}
    found: dict[str, Socket] = {}
    for pid in pids:
        folder = os.path.join(processes, str(pid))
        try:
            network = os.readlink(os.path.join(folder, "ns", "net"))
            if network not in tables:
                tables[network] = _table(os.path.join(folder, "net"))
            with open(os.path.join(folder, "comm"), encoding="utf-8", errors="replace") as file:
                process, uid = file.read().strip(), os.stat(folder).st_uid
            inodes = list(_inodes(os.path.join(folder, "fd")))
        except (FileNotFoundError, ProcessLookupError):
            continue
        for inode in inodes:
            if inode in tables[network]:
                found.setdefault(f"{network} {inode}", Socket(*tables[network][inode], pid, process, uid))
    return sorted(found.values(), key=lambda socket: (socket.port, socket.address))


def address_of(text: str) -> str:
    """An address of the kernel's table: `0100007F` is 127.0.0.1, 32 digits an IPv6 one."""
    words = [int(text[start : start + 8], 16).to_bytes(4, sys.byteorder) for start in range(0, len(text), 8)]
    return str(ipaddress.ip_address(b"".join(words)))


def _table(folder: str) -> dict[str, tuple[str, str, int]]:
    """By inode protocol, address and port of all that listens in a network namespace."""
    found = {}
    for protocol, state in _LISTENS.items():
        try:
            with open(os.path.join(folder, protocol), encoding="ascii") as file:
                lines = file.read().splitlines()[1:]
        except FileNotFoundError:
            continue  # a kernel without IPv6
        for line in lines:
            fields = line.split()
            if fields[3] == state:
                address, __, port = fields[1].partition(":")
                found[fields[9]] = (protocol[:3], address_of(address), int(port, 16))
    return found


def _inodes(folder: str) -> Iterator[str]:
    for descriptor in os.listdir(folder):
        try:
            target = os.readlink(os.path.join(folder, descriptor))
        except FileNotFoundError:
            continue  # closed meanwhile
        if target.startswith("socket:["):
            yield target[len("socket:[") : -1]


def closed() -> bool:
    """Whether the host's firewall closes what processes of the engines' user listen on beside the endpoints' ports."""
    try:
        return subprocess.run(CHAIN, capture_output=True, check=False, timeout=30).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return False


def _closed_user() -> int | None:
    try:
        return pwd.getpwnam(USER).pw_uid
    except KeyError:
        return None


def judge(port: int, sockets: Iterable[Socket], closed_uid: int | None) -> Check:
    """The check itself; `closed_uid`: whose TCP ports the host's firewall closes, None where it closes none."""
    beyond = [socket for socket in sockets if not socket.loopback and socket.port != port]
    open_ = [socket for socket in beyond if socket.protocol != "tcp" or socket.uid != closed_uid]
    count = f"; {len(beyond)} others beyond loopback, closed by the host's firewall" if beyond else ""
    return expect(
        NAME,
        not open_,
        few(list(map(str, open_)), _NAMED) if open_ else f"port {port}{count}",
        f"nothing beyond loopback but port {port}. Take GLOO_SOCKET_IFNAME, NCCL_SOCKET_IFNAME and VLLM_HOST_IP out of the"
        " unit's drop-ins, and run site.yml, whose firewall closes what is left",
    )


@probe(NAME)
def only_its_port(client: Client, service: Service) -> Iterator[Check]:
    """The unit's processes listen beyond loopback on nothing but the endpoint's port, or a firewall closes the rest.

    Skipped where an engine spans hosts, and where nobody can see its processes.
    """
    outside = service.prove.outside
    if outside is None or outside:
        said = f"{outside} makes the engine exchange data with other hosts" if outside else "no plan says what it needs"
        yield skip(NAME, said)
        return
    if not service.unit:
        yield skip(NAME, "no unit is named, whose processes could be looked at")
        return
    try:
        sockets = listening(processes_of(service.unit, PROCESSES), PROCESSES)
    except PermissionError:
        yield skip(NAME, "only root and the unit's own user see what its processes listen on")
        return
    if not any(socket.port == service.port for socket in sockets):
        yield skip(NAME, f"port {service.port} is not a process's of {service.unit}: what answers there runs elsewhere")
        return
    yield judge(service.port, sockets, _closed_user() if closed() else None)
