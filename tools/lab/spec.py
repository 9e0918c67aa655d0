"""What the lab shall be: its machines, its network, and the places on this computer where it keeps its things."""

from __future__ import annotations

import ipaddress
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SUITES = ("bookworm", "trixie")
DEFAULT_SUBNET = "10.213.77.0/24"
# The first address is the control node's; the ten after it stay free for whatever a test wants to place there.
FIRST_MACHINE = 11
DEFAULT_MACHINES = ("lab1", "lab2", "lab3")
# A host name (RFC 1123), short enough for every name made from it: machine, cgroup, veth.
NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,30}[a-z0-9])?")
PACKAGE = re.compile(r"[a-z0-9][a-z0-9+.-]+")
KEYS = ("name", "address", "port", "suite", "internet", "packages")
# The lab's IPv6 network is a unique local one (RFC 4193) with the IPv4 network's address in it.
PREFIX6 = "fd6c:6162"


class LabError(Exception):
    """The lab cannot be what was asked for; the message is for the person at the terminal."""


@dataclass(frozen=True)
class Machine:
    """One machine: a host name, its address on the lab's bridge, its sshd's port, and what lies on it when it first boots."""

    name: str
    address: str
    suite: str = "bookworm"
    internet: bool = True
    packages: tuple[str, ...] = ()
    port: int = 22

    @property
    def ipv6(self) -> bool:
        """Whether it has an IPv6 address, and then no IPv4 one."""
        return ":" in self.address

    def identity(self) -> dict[str, object]:
        """What cannot change without making the machine anew (whether it reaches the internet can)."""
        return {"address": self.address, "suite": self.suite, "packages": list(self.packages), "port": self.port}


@dataclass(frozen=True)
class Lab:
    """The whole lab as asked for."""

    subnet: ipaddress.IPv4Network
    machines: tuple[Machine, ...]

    @property
    def gateway(self) -> str:
        """The control node's own address on the bridge."""
        return str(self.subnet[1])

    @property
    def offline(self) -> tuple[str, ...]:
        """IPv4 addresses of the machines that may reach nothing beyond the bridge."""
        return tuple(sorted(one.address for one in self.machines if not one.internet and not one.ipv6))

    @property
    def subnet6(self) -> ipaddress.IPv6Network:
        """The IPv6 network on the bridge, where a machine asks for one."""
        return network6(self.subnet)

    @property
    def ipv6(self) -> bool:
        return any(machine.ipv6 for machine in self.machines)

    @property
    def gateway6(self) -> str:
        """The control node's own IPv6 address on the bridge."""
        return str(self.subnet6[1])


@dataclass(frozen=True)
class Places:
    """Directories of the lab: `state` goes when the lab goes, `cache` stays."""

    state: Path
    cache: Path

    def machine(self, name: str) -> Path:
        return self.state / "machines" / name

    @property
    def ssh(self) -> Path:
        return self.state / "ssh"

    @property
    def control_sockets(self) -> Path:
        return self.state / "cp"

    def debs(self, suite: str) -> Path:
        return self.cache / "debs" / suite

    @property
    def roots(self) -> Path:
        return self.cache / "roots"


def places(environment: Mapping[str, str]) -> Places:
    """The lab's directories by the XDG base directory specification.

    :raises LabError: for a path that an overlay mount cannot be given
    """
    home = environment.get("HOME") or os.path.expanduser("~")
    state = environment.get("XDG_STATE_HOME") or f"{home}/.local/state"
    cache = environment.get("XDG_CACHE_HOME") or f"{home}/.cache"
    found = Places(Path(state) / "baremetal-vllm" / "lab", Path(cache) / "baremetal-vllm" / "lab")
    for path in (found.state, found.cache):
        if not path.is_absolute() or any(sign in str(path) for sign in ",:\\ \n"):
            raise LabError(
                f"the lab would keep its machines under {path}: it needs an absolute path without commas, colons, "
                "backslashes and spaces (XDG_STATE_HOME and XDG_CACHE_HOME decide)"
            )
    return found


def network6(subnet: ipaddress.IPv4Network) -> ipaddress.IPv6Network:
    """
    >>> str(network6(ipaddress.IPv4Network("10.213.77.0/24")))
    'fd6c:6162:ad5:4d00::/64'
    """
    number = int(subnet.network_address)
    return ipaddress.IPv6Network(f"{PREFIX6}:{number >> 16:x}:{number & 0xFFFF:x}::/64")


def parse_subnet(text: str) -> tuple[ipaddress.IPv4Network | None, list[str]]:
    try:
        subnet = ipaddress.IPv4Network(text)
    except ValueError as error:
        return None, [f"lab_subnet: {error}; write it like {DEFAULT_SUBNET}"]
    if subnet.prefixlen > 28 or not subnet.is_private:
        return None, [f"lab_subnet: {text} must be a private network of at least 16 addresses, like {DEFAULT_SUBNET}"]
    return subnet, []


def parse_lab(subnet_text: str, entries: Sequence[Mapping[str, Any]]) -> Lab:
    """The lab from what the inventory says; machines without an address get the next free ones.

    :raises LabError: with every fault at once, one a line
    """
    subnet, faults = parse_subnet(subnet_text)
    for position, entry in enumerate(entries):
        faults += entry_faults(entry, position)
    faults += repeated("name", [str(entry.get("name")) for entry in entries])
    faults += repeated("address", [str(entry["address"]) for entry in entries if entry.get("address")])
    if not entries:
        faults.append("the lab has no machines: the inventory's group `lab` is empty")
    if subnet is None or faults:
        raise LabError("\n".join(faults))
    free = free_addresses(subnet, entries)
    machines = []
    for entry in entries:
        address = str(entry.get("address") or next(free, ""))
        faults += address_faults(address, subnet, str(entry["name"]))
        if ":" in address and as_bool(entry.get("internet", True)) is not False:
            faults.append(
                f"machine {entry['name']}: nothing beyond the bridge is reached by IPv6: write lab_internet: false"
            )
        machines.append(
            Machine(
                name=str(entry["name"]),
                address=address,
                suite=str(entry.get("suite", "bookworm")),
                internet=as_bool(entry.get("internet", True)) is not False,
                port=int(entry.get("port", 22)),
                packages=tuple(sorted({str(package) for package in entry.get("packages", ())})),
            )
        )
    if faults:
        raise LabError("\n".join(faults))
    return Lab(subnet, tuple(machines))


def entry_faults(entry: Mapping[str, Any], position: int) -> list[str]:
    """Everything wrong with one machine's entry, its address apart."""
    name = str(entry.get("name", ""))
    where = f"machine {name}" if name else f"machine number {position + 1}"
    faults = [f"{where}: unknown key {key!r}; known: {', '.join(KEYS)}" for key in sorted(set(entry) - set(KEYS))]
    if not NAME.fullmatch(name):
        faults.append(f"{where}: a name has 1 to 32 lower-case letters, digits and hyphens, like lab1")
    suite = entry.get("suite", "bookworm")
    if suite not in SUITES:
        faults.append(f"{where}: lab_suite {suite!r} is not one of {', '.join(SUITES)}")
    if as_bool(entry.get("internet", True)) is None:
        faults.append(f"{where}: lab_internet is true or false, not {entry['internet']!r}")
    if not str(entry.get("port", 22)).isdecimal() or not 0 < int(entry.get("port", 22)) < 65536:
        faults.append(f"{where}: ansible_port {entry['port']!r} is no port")
    packages = entry.get("packages", ())
    if isinstance(packages, str) or not isinstance(packages, Sequence):
        faults.append(f"{where}: lab_packages is a list of Debian packages, not {packages!r}")
    else:
        faults += [f"{where}: {name!r} is no package name" for name in packages if not PACKAGE.fullmatch(str(name))]
    return faults


def as_bool(value: object) -> bool | None:
    """True or False, also from the words that arrive with `-e`; None for anything else."""
    if isinstance(value, bool):
        return value
    return {"true": True, "yes": True, "false": False, "no": False}.get(str(value).lower())


def address_faults(address: str, subnet: ipaddress.IPv4Network, name: str) -> list[str]:
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return [f"machine {name}: {address!r} is no IP address" if address else f"machine {name}: {subnet} is full"]
    net = network6(subnet) if parsed.version == 6 else subnet
    if parsed not in net or parsed in (net[0], net[1], net[-1]):
        return [f"machine {name}: {address} is no address for a machine in {net} (ansible_host against lab_subnet)"]
    return []


def repeated(what: str, values: Sequence[str]) -> list[str]:
    return [f"two machines have the {what} {value}" for value in sorted(set(values)) if values.count(value) > 1]


def free_addresses(subnet: ipaddress.IPv4Network, entries: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Addresses nobody asked for, in order, from the first one meant for machines."""
    taken = {str(entry.get("address")) for entry in entries}
    numbers = range(FIRST_MACHINE, subnet.num_addresses - 1)
    return (str(subnet[number]) for number in numbers if str(subnet[number]) not in taken)
