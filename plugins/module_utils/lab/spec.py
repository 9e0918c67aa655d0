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
KEYS = ("name", "address", "suite", "internet", "packages")


class LabError(Exception):
    """The lab cannot be what was asked for; the message is for the person at the terminal."""


@dataclass(frozen=True)
class Machine:
    """One machine: a host name, its address on the lab's bridge, and what lies on it when it first boots."""

    name: str
    address: str
    suite: str = "bookworm"
    internet: bool = True
    packages: tuple[str, ...] = ()

    def identity(self) -> dict[str, object]:
        """What cannot change without making the machine anew (whether it reaches the internet can)."""
        return {"address": self.address, "suite": self.suite, "packages": list(self.packages)}


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
        """Addresses of the machines that may reach nothing beyond the bridge."""
        return tuple(sorted(machine.address for machine in self.machines if not machine.internet))


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
        machines.append(
            Machine(
                name=str(entry["name"]),
                address=address,
                suite=str(entry.get("suite", "bookworm")),
                internet=as_bool(entry.get("internet", True)) is not False,
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
        parsed = ipaddress.IPv4Address(address)
    except ValueError:
        return [f"machine {name}: {address!r} is no IPv4 address" if address else f"machine {name}: {subnet} is full"]
    if parsed not in subnet or parsed in (subnet[0], subnet[1], subnet[-1]):
        return [f"machine {name}: {address} is no address for a machine in {subnet} (ansible_host against lab_subnet)"]
    return []


def repeated(what: str, values: Sequence[str]) -> list[str]:
    return [f"two machines have the {what} {value}" for value in sorted(set(values)) if values.count(value) > 1]


def free_addresses(subnet: ipaddress.IPv4Network, entries: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Addresses nobody asked for, in order, from the first one meant for machines."""
    taken = {str(entry.get("address")) for entry in entries}
    numbers = range(FIRST_MACHINE, subnet.num_addresses - 1)
    return (str(subnet[number]) for number in numbers if str(subnet[number]) not in taken)
