"""What the lab has put on this computer, written down before and after every change, so that it can be undone."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from ansible_collections.baremetal.vllm.tools.lab.spec import LabError, Machine

VERSION = 2


@dataclass(frozen=True)
class State:
    """`settings` is what each one of the kernel was before the lab, in the boot named `boot` (empty: not touched)."""

    subnet: str = ""
    settings: Mapping[str, str] = field(default_factory=dict)
    boot: str = ""
    machines: tuple[Machine, ...] = ()

    def machine(self, name: str) -> Machine | None:
        return next((machine for machine in self.machines if machine.name == name), None)

    def having(self, machine: Machine) -> State:
        """With this machine, in place of one of the same name."""
        others = tuple(other for other in self.machines if other.name != machine.name)
        return replace(self, machines=tuple(sorted((*others, machine), key=lambda each: each.name)))

    def without(self, name: str) -> State:
        return replace(self, machines=tuple(machine for machine in self.machines if machine.name != name))

    def remembering(self, now: Mapping[str, str], boot: str) -> State:
        """What to go back to is what was there before the lab's first change since this computer started."""
        return self if self.settings and self.boot == boot else replace(self, settings=dict(now), boot=boot)

    def settings_to_restore(self, boot: str) -> dict[str, str]:
        return dict(self.settings) if self.boot == boot else {}


def to_text(state: State) -> str:
    return json.dumps({"version": VERSION, **asdict(state)}, indent=1) + "\n"


def from_text(text: str) -> State:
    """:raises LabError: for a file that some other version or hand has written"""
    try:
        data = json.loads(text)
        version = data.pop("version")
        if version == 1:
            # A lab that stands since then can still be removed.
            before = data.pop("forwarding")
            data["settings"] = {} if before is None else {"net/ipv4/ip_forward": before}
        elif version != VERSION:
            raise ValueError(f"version {version}")
        machines = tuple(machine_from(entry) for entry in data.pop("machines"))
        return State(**data, machines=machines)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise LabError(f"the lab's record of what it started cannot be read ({error})") from error


def machine_from(entry: Mapping[str, Any]) -> Machine:
    return Machine(**{**entry, "packages": tuple(entry["packages"])})


def load(path: Path) -> State:
    return from_text(path.read_text(encoding="utf-8")) if path.exists() else State()


def save(path: Path, state: State) -> None:
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    partial = path.with_suffix(".partial")
    partial.write_text(to_text(state), encoding="utf-8")
    partial.replace(path)
