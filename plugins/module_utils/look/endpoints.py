"""How the endpoints of a host answer, and what their proofs are worth: one real question each, or everything they promised."""

from __future__ import annotations

import datetime
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Callable

from ansible_collections.baremetal.vllm.plugins.module_utils.endpoints.secret import read_key
from ansible_collections.baremetal.vllm.plugins.module_utils.endpoints.service import Service
from ansible_collections.baremetal.vllm.plugins.module_utils.endpoints.suite import Result, check_services
from ansible_collections.baremetal.vllm.plugins.module_utils.host import systemd
from ansible_collections.baremetal.vllm.plugins.module_utils.look import proofs
from ansible_collections.baremetal.vllm.plugins.module_utils.look.form import FULL, SHORT
from ansible_collections.baremetal.vllm.plugins.module_utils.units.observe import UNITS
from ansible_collections.baremetal.vllm.plugins.module_utils.warm.compiled import compiled, places
from ansible_collections.baremetal.vllm.plugins.module_utils.warm.kernels import new_kernels

# Lines of an engine's log that are searched for its start.
LOGGED = 20000


def ask(
    services: Sequence[Service], key_file: str, timeout: float, concurrency: int, longest: float | None = None
) -> list[dict[str, object]]:
    """One real question to each endpoint, in their order: results of module endpoint_check with `proof` (`SHORT`), with `proved`,
    when it was proved in full ("" where no such proof counts), and `unproved`, why none does.

    `longest`: how many seconds old a full proof may be, None for any age.

    Raises OSError and ValueError: of a key file that cannot be read.
    """
    running, now = processes(services), _now()
    results = check_services(services, read_key(key_file) if key_file else None, timeout, concurrency, quick=True)
    told = []
    for result in results:
        process = running.get(result.service.unit, proofs.Process("", ""))
        found = proofs.standing(result.service, process, now, longest)
        told.append({**result.as_dict(), "proof": SHORT, "proved": found.proved, "unproved": found.why})
    return told


def prove(
    services: Sequence[Service], key: str | None, timeout: float, concurrency: int, warn: Callable[[str], None]
) -> list[dict[str, object]]:
    """Everything that each endpoint promised; the same results with `proof` `FULL` and `compile`, what its start compiled (None
    where its log does not say). Root keeps what was passed for later runs."""
    running = processes(services)
    results = check_services(services, key, timeout, concurrency)
    now = _now()
    if os.geteuid() == 0:
        for result in results:
            _remember(result, running.get(result.service.unit), now, warn)
    return [
        {
            **r.as_dict(),
            "proof": FULL,
            "proved": now.isoformat(timespec="seconds") if r.passed else "",
            "unproved": "",
            "compile": _compiled(r.service.unit, running.get(r.service.unit)),
        }
        for r in results
    ]


def processes(services: Sequence[Service]) -> Mapping[str, proofs.Process]:
    """What runs now of the services that have a unit of ours, by unit. Nothing where systemd does not answer."""
    units = [service.unit for service in services if service.unit]
    try:
        states = systemd.show(units) if units else {}
    except systemd.SystemdError:
        return {}
    found = {}
    for unit, state in states.items():
        text = _text(UNITS / unit)
        if text and state.invocation:
            found[unit] = proofs.process(text, state.invocation)
    return found


def _compiled(unit: str, process: proofs.Process | None) -> dict[str, object] | None:
    # A start says it early: of a process that has logged a hundred thousand lines since, nothing is known any more.
    lines = systemd.journal(unit, process.invocation, lines=LOGGED) if process is not None else []
    found, since = compiled(lines), systemd.started_at(unit) if lines else None
    if found is None:
        return None
    return {**asdict(found), "kernels": None if since is None else new_kernels(places(lines), since)}


def _remember(
    result: Result, process: proofs.Process | None, now: datetime.datetime, warn: Callable[[str], None]
) -> None:
    unit = result.service.unit
    if not unit or process is None:
        return
    try:
        if result.passed:
            proofs.keep(result, process, now)
        else:
            proofs.forget(unit)
    except OSError as error:
        warn(f"{result.service.name}: its proof is not kept for later runs: {error.filename}: {error.strerror}")


def _text(path: Path) -> str:
    try:
        return path.read_text(errors="surrogateescape")
    except OSError:
        return ""


def _now() -> datetime.datetime:
    return datetime.datetime.now(datetime.timezone.utc)
