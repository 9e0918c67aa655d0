"""What a host itself must allow for a set of files and its unit to be of use: SELinux's types and switches, its own firewall."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TypedDict

from ansible_collections.baremetal.vllm.plugins.module_utils.host import labels
from ansible_collections.baremetal.vllm.plugins.module_utils.host.labels import Labels, Lack
from ansible_collections.baremetal.vllm.plugins.module_utils.units import opening
from ansible_collections.baremetal.vllm.plugins.module_utils.units.opening import Opening, OpeningChange

# The options of M(baremetal.vllm.unit_files) that say it.
OPENING = {
    "name": {"type": "str", "required": True},
    "ports": {"type": "list", "elements": "int", "default": []},
    "sources": {"type": "list", "elements": "str", "default": []},
    "peers": {"type": "list", "elements": "str", "default": []},
    "served": {"type": "list", "elements": "int", "default": []},
    "manage": {"type": "bool", "default": True},
}
# How a port is let in by hand.
_BY_HAND = {
    "firewalld": "firewall-cmd --permanent --add-port={0}/tcp; firewall-cmd --reload",
    "ufw": "ufw allow {0}/tcp",
}
SELINUX = {
    "contexts": {"type": "dict", "default": {}},
    "booleans": {"type": "list", "elements": "str", "default": []},
    "manage": {"type": "bool", "default": True},
}


class OpeningParameters(TypedDict):
    """The form of OPENING."""

    name: str
    ports: list[int]
    sources: list[str]
    peers: list[str]
    served: list[int]
    manage: bool


class SelinuxParameters(TypedDict, total=False):
    """The form of SELINUX."""

    contexts: dict[str, str]
    booleans: list[str]
    manage: bool


class Parameters(TypedDict, total=False):
    """What of the module's parameters is about a host's surroundings."""

    state: str
    opening: OpeningParameters | None
    selinux: SelinuxParameters | None


@dataclass(frozen=True)
class Surroundings:
    """What is wanted. `name` of the opening, "" where firewalls are told nothing; `opened` None: nothing of that name; `told`:
    ports that are somebody else's to open."""

    labels: Labels = field(default_factory=Labels)
    labelled: bool = True
    name: str = ""
    opened: Opening | None = None
    told: tuple[int, ...] = ()


@dataclass(frozen=True)
class SurroundingsFound:
    """How a host differs: `steps` in words, `warnings` for what is somebody else's to do, `missing` programs."""

    lack: Lack = field(default_factory=Lack)
    changes: tuple[OpeningChange, ...] = ()
    steps: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()

    @property
    def diff(self) -> list[dict[str, str]]:
        """Ansible's form of a difference, of those changes that have a file; a step without one is told in words."""
        return [
            {"before": change.before, "after": change.after, "before_header": change.path, "after_header": change.path}
            for change in self.changes
            if change.path and change.steps
        ]


def wanted(params: Parameters) -> Surroundings:
    """From the module's parameters."""
    selinux: SelinuxParameters = params.get("selinux") or {}
    asked = params.get("opening")
    said = Labels(selinux.get("contexts") or {}, tuple(selinux.get("booleans") or ()))
    if not asked:
        return Surroundings(said, selinux.get("manage", True))
    ports, served = tuple(sorted(asked["ports"])), tuple(sorted(asked.get("served") or ()))
    if params["state"] != "present" or not ports:
        return Surroundings(said, selinux.get("manage", True), asked["name"], None, served)
    if not asked["manage"]:
        return Surroundings(said, selinux.get("manage", True), told=ports)
    opened = Opening(asked["name"], ports, tuple(asked["sources"]), tuple(asked["peers"]))
    return Surroundings(said, selinux.get("manage", True), asked["name"], opened, served)


def look(asked: Surroundings) -> SurroundingsFound:
    """Raises OpeningError where a firewall that is on cannot be asked."""
    lack = labels.look(asked.labels)
    changes = tuple(opening.look(asked.name, asked.opened)) if asked.name else ()
    told = [step for change in changes for step in change.steps]
    warnings = [change.warning for change in changes if change.warning]
    warnings += closed_to_all(asked)
    steps = lack.steps
    if not asked.labelled and steps:
        warnings.append(f"SELinux is on, and is left alone as you say. What it lacks: {'; '.join(steps)}")
        lack, steps = Lack(), []
    return SurroundingsFound(lack, changes, (*steps, *told), tuple(warnings), tuple(labels.tools(lack)))


def closed_to_all(asked: Surroundings) -> list[str]:
    """A warning for each firewall that lets nobody in to ports that are somebody else's to open."""
    try:
        found = opening.held_closed(asked.told) if asked.told else {}
    except opening.OpeningError as error:
        return [str(error)]
    return [
        f"{firewall} is on, and no rule of it lets anybody in to port {', '.join(map(str, ports))}: it answers on this host"
        f" alone. Let your clients in there ({_BY_HAND[firewall].format(ports[0])})"
        for firewall, ports in found.items()
    ]


def prepare(asked: Surroundings, found: SurroundingsFound, paths: Sequence[str]) -> None:
    """Before the unit starts: SELinux. `paths`: directories that are new. Raises LabelError."""
    if asked.labelled:
        labels.apply(asked.labels, found.lack)
    labels.restore([*paths, *(labels.base(pattern) for pattern in asked.labels.contexts)])


def let_in(asked: Surroundings, found: SurroundingsFound) -> None:
    """Once the unit runs: the firewall. Raises OpeningError."""
    if found.changes:
        opening.apply(asked.name, asked.opened)


def surplus(asked: Surroundings) -> SurroundingsFound:
    """What taking a set away takes back of it. Raises OpeningError: where a firewall that is on cannot be asked."""
    gone = labels.surplus(asked.labels)
    changes = tuple(opening.look(asked.name, None)) if asked.name else ()
    steps = [f"SELinux: take back the type of {pattern}" for pattern in gone.contexts]
    steps += [f"SELinux: switch {name} off" for name in gone.booleans]
    return SurroundingsFound(gone, changes, (*steps, *(step for change in changes for step in change.steps)))


def take_back(asked: Surroundings, found: SurroundingsFound) -> None:
    """Raises LabelError and OpeningError."""
    if found.lack.contexts or found.lack.booleans:
        labels.take_back(found.lack)
    if found.changes:
        opening.apply(asked.name, None)
