"""Applying the units of one host, as a set, in one round trip; and watching those that start."""

from __future__ import annotations

import re
import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ansible_collections.baremetal.vllm.plugins.module_utils.host import folders, systemd
from ansible_collections.baremetal.vllm.plugins.module_utils.host.hostfile import HostFile
from ansible_collections.baremetal.vllm.plugins.module_utils.host.secrets import (
    IDENTITY,
    secret_lines,
    secrets_identity,
)
from ansible_collections.baremetal.vllm.plugins.module_utils.host.until import until
from ansible_collections.baremetal.vllm.plugins.module_utils.units import generations
from ansible_collections.baremetal.vllm.plugins.module_utils.units.decide import UnitStep
from ansible_collections.baremetal.vllm.plugins.module_utils.units.journal import cause, stage
from ansible_collections.baremetal.vllm.plugins.module_utils.units.observe import GENERATIONS, UNITS, unit_file
from ansible_collections.baremetal.vllm.plugins.module_utils.units.planned import MARK, PlannedUnit
from ansible_collections.baremetal.vllm.plugins.module_utils.units.restore import missing_paths


def secrets_file(path: str, secrets: Mapping[str, str]) -> HostFile:
    """The secrets as a file for systemd.

    One line is an identity that is new with every change: a running process whose environment has another one was
    started with other secrets. The secrets themselves are not compared, so an operator's drop-in may replace one.
    """
    lines = secret_lines(secrets)
    found = HostFile(path, "", 0o600, secret=True).current() or ""
    identity = secrets_identity(found)
    if found.partition("\n")[2] != f'{IDENTITY}="{identity}"\n{lines}':
        identity = uuid.uuid4().hex
    return HostFile(path, f'{MARK}\n{IDENTITY}="{identity}"\n{lines}', 0o600, secret=True)


def diffs(
    steps: Sequence[UnitStep],
    planned: Mapping[str, str],
    texts: Mapping[str, str],
    files: Sequence[HostFile],
    unread: Sequence[str] = (),
) -> list[dict[str, str]]:
    """Ansible's diff entries: unit texts and public files; of secret ones only that they change; units that are read in."""
    entries = [{"prepared": f"{unit}: its drop-ins are read in\n"} for unit in unread]
    for step in steps:
        after = "" if step.verb == "remove" else planned[step.unit]
        if step.write or step.verb == "remove":
            entries.append(_entry(str(UNITS / step.unit), texts.get(step.unit, ""), after))
        if step.changes:
            entries.append({"prepared": f"{step.unit}: {step.verb} ({step.why})\n"})
    for file in files:
        if file.secret:
            entries.append({"prepared": f"{file.path}: content changes (not shown)\n"})
        else:
            entries.append(_entry(file.path, file.current() or "", file.content))
    return entries


def _entry(path: str, before: str, after: str) -> dict[str, str]:
    return {"before": before, "after": after, "before_header": path, "after_header": path}


def apply(
    planned: Sequence[PlannedUnit], steps: Sequence[UnitStep], files: Sequence[HostFile], plan: str, *, returned: bool
) -> int:
    """Do all steps; starts are queued, not awaited. Returns the generation's number.

    `plan` is the digest of the plan; `returned`: whether these are the units of an earlier generation.

    Raises SystemdError: where systemd does not take a unit.
    """
    for file in files:
        file.write()
    systemd.run(["systemd-sysusers", "/etc/sysusers.d/vllm.conf"])
    number = generations.write_generation(GENERATIONS, planned, plan, returned=returned)
    texts = {unit.unit: unit.text for unit in planned}
    # All that a full disk may refuse comes before the first unit is stopped.
    for step in steps:
        if step.write:
            unit_file(step.unit, texts[step.unit]).write()
    for step in steps:
        if step.verb == "remove":
            systemd.run(["systemctl", "disable", "--now", step.unit], timeout=600)
            (UNITS / step.unit).unlink(missing_ok=True)
    systemd.run(["systemctl", "daemon-reload"])
    enable = [step.unit for step in steps if step.enable]
    if enable:
        systemd.run(["systemctl", "enable", "--quiet", *enable])
    begin([step.unit for step in steps if step.verb in ("start", "restart")])
    return number


def begin(units: Sequence[str]) -> None:
    """Queue fresh starts; a start limit reached earlier no longer counts.

    Raises SystemdError: where systemd does not take them.
    """
    if units:
        known = [unit for unit, state in systemd.show(units).items() if state.active == "failed" or state.restarts]
        if known:
            systemd.run(["systemctl", "reset-failed", *known])
        systemd.run(["systemctl", "restart", "--no-block", *units])


@dataclass(frozen=True)
class Progress:
    """A start under way: `state` is starting, active or failed; `seconds` since this start began."""

    unit: str
    state: str
    stage: str
    seconds: float
    cause: str = ""


def progress(unit: str, state: systemd.UnitState, restarts: int = 0) -> Progress:
    """Where one start stands. The first failed attempt counts as failed, whatever systemd tries afterwards.

    `restarts` is the unit's restart count from before the watch began.
    """
    seconds = max(0.0, time.clock_gettime(time.CLOCK_MONOTONIC) - state.since) if state.since else 0.0
    failed_once = state.restarts > restarts
    under_way = state.job or (state.active == "activating" and state.sub != "auto-restart")
    if under_way and not failed_once:
        if state.active == "activating":
            return Progress(unit, "starting", stage(systemd.journal(unit, state.invocation, lines=400)), seconds)
        text = "stopping the earlier process" if state.active in ("active", "deactivating") else "waiting for its turn"
        return Progress(unit, "starting", text, 0.0)
    if state.running and not failed_once:
        return Progress(unit, "active", "answering", seconds)
    if not state.asserted:
        missing = ", ".join(missing_paths((UNITS / unit).read_text())) or "something it asserts"
        return Progress(unit, "failed", "", seconds, f"{missing} is missing on the host")
    named = cause(systemd.journal(unit, state.invocation)) or cause(systemd.journal(unit))
    closed = _closed(named)
    if closed:
        named += f" ({closed} keeps the engines' user out: chmod o+x)"
    return Progress(
        unit, "failed", "", seconds, named or f"systemd says: {state.result}, exit status {state.exit_status}"
    )


def _closed(named: str) -> str:
    """The directory for which a file cannot be opened that `named` complains of; "" for another complaint."""
    path = re.search(r"(/[\w./+@-]+)", named.partition("can't open file")[2] or named.partition("executable")[2])
    return folders.closed_above(path[1]) if path and "Permission denied" in named else ""


def watch(pending: Mapping[str, int], seen: Mapping[str, str], wait: float) -> list[Progress]:
    """Progress of all units, as soon as one differs from `seen` ({unit: "state stage"}), at latest after `wait` seconds.

    `pending` maps units to their restart counts from before.
    """

    def look() -> list[Progress]:
        states = systemd.show(pending)
        return [progress(unit, states[unit], restarts) for unit, restarts in pending.items()]

    # Each look costs two processes, on cores that the starting engine needs.
    return until(look, lambda now: any(seen.get(p.unit) != f"{p.state} {p.stage}" for p in now), wait, pause=1.5)


def _put_back(unit: str, text: str) -> bool:
    """Whether a unit is another one now; not where the file was this, or cannot be written."""
    file = unit_file(unit, text)
    try:
        if file.current() == text:
            return False
        file.write()
    except OSError:
        return False
    return True


def restore(number: int, failed: Sequence[str]) -> dict[str, str]:
    """Put failed units back as they last served and start them; the rest of the failed ones are stopped.

    Returns {unit: "restored" | "stopped"}. A failed unit that never served is stopped, so that its restarts do not
    take memory and time from neighbours that do serve; its file stays, and the next run tries it again.

    Raises SystemdError: where a unit cannot be stopped, or systemd does not take one.
    """
    earlier = generations.last_good(GENERATIONS, number)
    outcome = {}
    for unit in failed:
        text = earlier.texts.get(unit) if earlier else None
        outcome[unit] = "restored" if text is not None and _put_back(unit, text) else "stopped"
        if outcome[unit] == "stopped":
            systemd.run(["systemctl", "stop", unit], timeout=600)
    systemd.run(["systemctl", "daemon-reload"])
    begin([unit for unit, how in outcome.items() if how == "restored"])
    return outcome
