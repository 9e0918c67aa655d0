"""What runs on one host, read and never touched: units, their processes, and what others changed about them.

Root sees all of it. Anybody else sees units, states and command lines, and neither the environment of a process nor the
secrets; `Observed` then says what can be known, and `UnitsSight.whole` that it is not all.
"""

from __future__ import annotations

import datetime
import os
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypedDict

from ansible_collections.baremetal.vllm.plugins.module_utils.host import systemd
from ansible_collections.baremetal.vllm.plugins.module_utils.host.hostfile import HostFile
from ansible_collections.baremetal.vllm.plugins.module_utils.host.secrets import IDENTITY
from ansible_collections.baremetal.vllm.plugins.module_utils.units import generations
from ansible_collections.baremetal.vllm.plugins.module_utils.units.decide import Observed
from ansible_collections.baremetal.vllm.plugins.module_utils.units.options import origin, read_command
from ansible_collections.baremetal.vllm.plugins.module_utils.units.planned import MARK
from ansible_collections.baremetal.vllm.plugins.module_utils.units.replaced import (
    driver_ahead,
    loaded_driver,
    processes,
    replaced,
)
from ansible_collections.baremetal.vllm.plugins.module_utils.units.unitdiff import gpus_of, kind_of
from ansible_collections.baremetal.vllm.plugins.module_utils.units.unitfile import (
    DIGEST,
    digest_of,
    edited,
    read_unit,
    stated_digest,
)

UNITS = Path("/etc/systemd/system")
GENERATIONS = Path("/var/lib/vllm/generations")


@dataclass(frozen=True)
class UnitsSight:
    """`observed`: every planned unit; `texts` and `states`: these and all other installed ones of ours."""

    observed: Mapping[str, Observed]
    texts: Mapping[str, str]
    states: Mapping[str, systemd.UnitState]
    whole: bool


class DropIn(TypedDict):
    """A drop-in of the operator's: the keys that it `sets`, and whether the process has yet to see it."""

    path: str
    sets: list[str]
    newer: bool


class UnitFacts(TypedDict, total=False):
    """A unit for people and machines; of one that is not installed the drop-ins alone.

    `state` in systemd's words; `since` in ISO 8601 and `seconds`: how long its process runs, None where none does; `port` None
    where its command names none; `replaced`: files that were replaced under its processes, `replaced_driver` those of them that
    are the NVIDIA driver's and of another version than the module in the kernel.
    """

    drop_ins: list[DropIn]
    state: str
    restarts: int
    since: str | None
    seconds: float | None
    release: str
    kind: str
    gpus: list[int]
    address: str
    port: int | None
    weights: str
    drift: list[str]
    replaced: list[str]
    replaced_driver: list[str]


def installed_units() -> dict[str, str]:
    """Texts of the units of ours, known by their first line. Anybody's other `vllm-*.service` is left alone."""
    texts = {}
    for path in sorted(UNITS.glob("vllm-*.service")):
        text = path.read_text(errors="replace") if path.is_file() and not path.is_symlink() else ""
        if text.startswith(MARK):
            texts[path.name] = text
    return texts


def unit_file(unit: str, text: str) -> HostFile:
    """A unit's file as it is written."""
    return HostFile(str(UNITS / unit), text, 0o644)


def foreign_units(units: Sequence[str]) -> list[str]:
    """Planned unit names that somebody else's file already holds."""
    ours = installed_units()
    return [str(UNITS / unit) for unit in units if os.path.lexists(UNITS / unit) and unit not in ours]


def observe(units: Sequence[str], identity: str | None, fresh: Collection[str] = ()) -> UnitsSight:
    """Every planned unit as found. `identity` is that of the planned secrets, None where it cannot be known.

    Units in `fresh` shall not go on with libraries that were replaced under them; of others these are not asked here. Those
    under which the driver was replaced go on in any case: they would not start again.
    """
    texts = installed_units()
    states = systemd.show([*units, *texts])
    kept: list[generations.Generation] = []
    if any(states[unit].main_pid for unit in units):
        kept = generations.read_generations(GENERATIONS)[::-1]
    observed = {}
    whole = identity is not None
    for unit in units:
        environment = systemd.process_environment(states[unit].main_pid)
        whole = whole and environment is not None
        earlier = [generation.texts[unit] for generation in kept if unit in generation.texts]
        text = texts.get(unit)
        observed[unit] = replace(
            _observed(text, states[unit], environment, identity, earlier),
            replaced=tuple(renewable(states[unit])) if unit in fresh else (),
            loose=text is not None and unit_file(unit, text).differs(),
        )
    return UnitsSight(observed, texts, states, whole)


def _observed(
    text: str | None,
    state: systemd.UnitState,
    environment: Mapping[str, str] | None,
    identity: str | None,
    earlier: Sequence[str],
) -> Observed:
    argv = systemd.process_argv(state.main_pid)
    # A process that is older than an edit of its file, or that systemd has not read in, never had it.
    own = [] if text is None or (edited(text) and (state.stale or older(state, UNITS / state.unit))) else [text]
    if environment is None:
        # A command line may be hidden as well (mount option hidepid of /proc).
        began = next((t for t in [*own, *earlier] if not argv or tuple(read_unit(t).command) == argv), None)
        return Observed(text, state, digest_of(began) if began else "", True, began, argv)
    digest = environment.get(DIGEST, "")
    began = next((t for t in [*own, *earlier] if stated_digest(t) == digest), None) if digest else None
    current = identity is None or environment.get(IDENTITY, "") == identity
    return Observed(text, state, digest_of(began) if began else digest, current, began, argv)


def outdated(state: systemd.UnitState) -> list[str]:
    """Paths of programs and libraries that were replaced under a unit's processes."""
    return replaced(processes(state.control_group, state.main_pid))


def renewable(state: systemd.UnitState) -> list[str]:
    """The same where a restart takes the new ones up; nothing where the driver's are among them, and the kernel has not
    followed."""
    paths = outdated(state)
    return [] if driver_ahead(paths, loaded_driver()) else paths


def older(state: systemd.UnitState, path: Path) -> bool:
    """Whether a unit's process was started before a file was last changed; no where nothing runs.

    The clock may have been set since: by its time now and by its time then, both have to say so.
    """
    if not state.main_pid or not state.started:
        return False
    booted = time.time() - time.clock_gettime(time.CLOCK_MONOTONIC)
    try:
        changed = path.stat().st_mtime
    except OSError:
        return False
    if booted + state.started >= changed:
        return False
    then = systemd.started_at(state.unit)
    return then is None or then + 1 < changed


def drop_ins(unit: str, state: systemd.UnitState) -> list[DropIn]:
    """The operator's drop-ins of a unit: path, the keys they set, and whether the process has yet to see them.

    Those below /usr are the distribution's. Values are left out: nobody promised that they hold no secret.
    """
    paths = {Path(path) for path in state.drop_ins if not path.startswith(("/usr/", "/lib/"))}
    paths |= set((UNITS / f"{unit}.d").glob("*.conf"))
    found: list[DropIn] = []
    for path in sorted(paths):
        try:
            sections = read_unit(path.read_text(errors="replace")).settings
        except OSError:
            sections = {}
        keys = sorted({key for section in sections.values() for key in section})
        found.append({"path": str(path), "sets": keys, "newer": older(state, path)})
    return found


def _running(state: systemd.UnitState) -> tuple[str | None, float | None]:
    """Since when a unit's process runs, by the host's clock, and for how many seconds, which no clock changes."""
    if not state.main_pid or not state.started:
        return None, None
    seconds = time.clock_gettime(time.CLOCK_MONOTONIC) - state.started
    since = datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(seconds=seconds)
    return since.isoformat(timespec="seconds"), round(seconds, 1)


def facts(unit: str, text: str | None, state: systemd.UnitState) -> UnitFacts:
    """One unit for people and machines: what its file says, how it runs, what others changed about it.

    Of a unit that is not installed (`text` None) there may be drop-ins.
    """
    held: UnitFacts = {"drop_ins": drop_ins(unit, state)}
    if text is None:
        return held
    file = read_unit(text)
    command = read_command(file.command)
    port = command.value("port")
    drift = []
    if edited(text):
        drift.append("unit file edited by hand")
    if older(state, UNITS / unit):
        drift.append("process older than its unit file")
    old = outdated(state)
    since, seconds = _running(state)
    return {
        **held,
        "state": f"{state.active} ({state.sub})",
        "restarts": state.restarts,
        "since": since,
        "seconds": seconds,
        "release": command.release,
        "kind": kind_of(file),
        "gpus": [int(index) for index in gpus_of(file).split(",") if index.isdecimal()],
        "address": command.value("host"),
        "port": int(port) if port.isdecimal() else None,
        "weights": origin(" ".join(command.model)),
        "drift": drift,
        "replaced": old,
        "replaced_driver": driver_ahead(old, loaded_driver()),
    }
