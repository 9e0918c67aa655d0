"""What hosts of this fleet answer when nothing differs there: made from the plan, by the code that looks and decides."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

from ansible_collections.baremetal.vllm.plugins.module_utils.drivers.acceptance import record as acceptance
from ansible_collections.baremetal.vllm.plugins.module_utils.drivers.acceptance.model import AcceptanceSight
from ansible_collections.baremetal.vllm.plugins.module_utils.endpoints.check import Check
from ansible_collections.baremetal.vllm.plugins.module_utils.endpoints.service import Service, parse_services
from ansible_collections.baremetal.vllm.plugins.module_utils.endpoints.suite import Result, probes
from ansible_collections.baremetal.vllm.plugins.module_utils.gateway.drain import Server
from ansible_collections.baremetal.vllm.plugins.module_utils.gpus.model import Facts, Gpu
from ansible_collections.baremetal.vllm.plugins.module_utils.host.systemd import UnitState
from ansible_collections.baremetal.vllm.plugins.module_utils.look.form import SCHEMA, SHORT
from ansible_collections.baremetal.vllm.plugins.module_utils.units import observe
from ansible_collections.baremetal.vllm.plugins.module_utils.units.decide import Observed, decide_all
from ansible_collections.baremetal.vllm.plugins.module_utils.units.planned import PlannedUnit
from ansible_collections.baremetal.vllm.plugins.module_utils.units.upkeep import Upkeep
from ansible_collections.baremetal.vllm.plugins.module_utils.weights.store import WeightsState, summary
from ansible_collections.baremetal.vllm.plugins.plugin_utils.drivers.nvidia.judge import PATHS
from ansible_collections.baremetal.vllm.plugins.plugin_utils.places import TEMPLATES
from ansible_collections.baremetal.vllm.plugins.plugin_utils.plan.control import render_units
from ansible_collections.baremetal.vllm.plugins.plugin_utils.planned.fleet import FleetPlan, HostPlan
from ansible_collections.baremetal.vllm.tools.growth import fleet

sys.path.insert(0, str(fleet.SIMULATION))
from simulated_hosts import H100, bare, with_driver
from simulated_role import Run

_SINCE = "2026-11-01T10:00:00+00:00"
_GIB = 1 << 30


def write(folder: Path, planned: FleetPlan, answers: bool = False, gpus: bool = False) -> None:
    """The records of a run. `answers`: it asks each endpoint; `gpus`: it asks for them."""
    plans = list(planned.hosts.values())
    if any(plan != plans[0] for plan in plans):
        raise ValueError("hosts have different plans, and one record for all")
    look = look_of(plans[0])
    records: dict[str, Mapping[str, object]] = {
        "host_state": {**look, "answers": look["answers"] if answers else [], "gpus": look["gpus"] if gpus else {}},
        "ping": {"ping": "pong"},
    }
    gateway = {"schema": SCHEMA, "filesets": _settled("gateway"), "gateway": _servers(planned), "holder": {}}
    for host in planned.gateway.hosts if planned.gateway is not None else ():
        records[f"{host}.host_state"] = gateway
    for name, record in records.items():
        _write(folder / f"{name}.json", record)


def write_setup(folder: Path) -> None:
    """The record of `setup`: what this computer answers."""
    words = "ansible localhost -i localhost, -c local -m ansible.builtin.setup -e"
    command = [*words.split(), f"ansible_python_interpreter={sys.executable}"]
    environment = {**os.environ, "ANSIBLE_CALLBACK_RESULT_FORMAT": "json"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    _write(folder / "setup.json", json.loads(done.stdout.partition("=> ")[2]))


def _write(path: Path, record: Mapping[str, object]) -> None:
    path.write_text(json.dumps({"changed": False, **record}))


def look_of(planned: HostPlan) -> dict[str, object]:
    """What module host_state answers of a host that is as planned, with all parts of it."""
    units = render_units(TEMPLATES, planned.services)
    states = {unit.unit: _state(unit.unit) for unit in units}
    observed = {unit.unit: _observed(unit, states[unit.unit]) for unit in units}
    endpoints = [unit.service for unit in units if unit.service]
    engine = planned.engine
    return {
        "schema": SCHEMA,
        "steps": [asdict(step) for step in decide_all(units, observed, list(observed))],
        "units": {unit.unit: _facts(unit, states[unit.unit]) for unit in units},
        "endpoints": endpoints,
        "generation": {"current": 1, "kept": [_generation(engine.release if engine else "")]},
        "canary": {"runs": True, "failed": False, "complaints": []},
        "upkeep": asdict(Upkeep(None, "", {})),
        "files": [],
        "unread": [],
        "refusals": [],
        "whole": True,
        "doubts": [],
        "engine": _engine(planned, list(observed)),
        "weights": summary([WeightsState(item.path, "present", "", 16 * _GIB) for item in planned.weights]),
        "weights_files": [],
        "filesets": _settled("firewall", "canary"),
        "gateway": {},
        "gpus": _gpus(states),
        "answers": [_answer(service) for service in parse_services(endpoints)],
        "unasked": "",
        "holder": {},
    }


def _settled(*topics: str) -> dict[str, object]:
    return {topic: {"steps": [], "warnings": [], "unknown": []} for topic in topics}


def _state(unit: str) -> UnitState:
    # No process of this computer is meant.
    return UnitState(
        unit, "loaded", "active", "running", "enabled", 0, 0, "success", 0, "0" * 32, False, False, True, 9.0
    )


def _observed(unit: PlannedUnit, state: UnitState) -> Observed:
    running = UnitState(**{**asdict(state), "main_pid": 1})
    return Observed(unit.text, running, unit.digest, secrets_current=True, began=unit.text)


def _facts(unit: PlannedUnit, state: UnitState) -> Mapping[str, object]:
    return {**observe.facts(unit.unit, unit.text, state), "since": _SINCE, "seconds": 86400.0}


def _generation(release: str) -> dict[str, object]:
    return {"number": 1, "outcome": "good", "created": _SINCE, "plan": "0" * 64, "releases": [release]}


def _engine(planned: HostPlan, units: list[str]) -> dict[str, object]:
    """As `engine.installed.survey` and its neighbours have it."""
    engine = planned.engine
    if engine is None:
        return {}
    marker = {
        "release": engine.release,
        "accelerator": engine.accelerator,
        "lock_sha256": "0" * 64,
        "python": "3.12",
        "finished_at": _SINCE,
    }
    return {
        "installed": {engine.release: marker},
        "used": {engine.release: units},
        "prunable": [],
        "foreign": [],
        "unsafe": [],
        "missing_packages": [],
        "arch": "x86_64",
        "systemd": 252,
    }


def _answer(service: Service) -> dict[str, object]:
    checks = [
        Check(name, passed=True, observed="as expected", expected="as promised", seconds=0.05)
        for probe in probes(service, quick=True)
        for name in probe.names
    ]
    return {**Result(service, tuple(checks), 0.1).as_dict(), "proof": SHORT, "proved": _SINCE, "unproved": ""}


def _gpus(states: Mapping[str, UnitState]) -> dict[str, object]:
    """As `look.gpus.look` has them, of the host that the driver's role leaves in its simulation."""
    host = with_driver(bare("debian 12", (H100,) * fleet.MODELS), fleet.DRIVER)
    # It says what it does, as it does on a terminal.
    with open(os.devnull, "w") as nowhere, contextlib.redirect_stdout(nowhere):
        settled = Run(host, fleet.DRIVER_INPUTS).play()
    if settled.failure:
        raise RuntimeError(settled.failure)
    gpus = tuple(
        Gpu(
            index, "nvidia", "NVIDIA H100 80GB HBM3", f"GPU-{index}", device.address,
            minor=index, memory=80 * _GIB, capability="9.0", mig="disabled", ecc="enabled", persistence=True,
        )
        for index, device in enumerate(host.gpus)
    )  # fmt: skip
    facts = Facts("nvidia-smi", returncode=0, driver=host.userspace, cuda="13.0", gpus=gpus)
    passed = acceptance.Record(
        True, 3, "2026-11-01T10:00:00Z", 900, tuple(gpu.uuid for gpu in gpus), host.userspace, "4.4.2", {}
    )
    return {
        "driver": {
            "state": asdict(host.look(False)),
            "texts": {path: host.texts[path] for path in PATHS if path in host.texts},
        },
        "settings": {"steps": [], "refusals": []},
        "facts": asdict(facts),
        "bus": [asdict(device) for device in host.gpus],
        "holders": [],
        "units": {unit: {"verb": "keep", "active": state.active} for unit, state in states.items()},
        "sight": asdict(AcceptanceSight(facts, record=acceptance.write(passed))),
    }


def _servers(planned: FleetPlan) -> dict[str, object]:
    """As module gateway_server has them: every replica up and ready."""
    ready = asdict(Server("ready", True, 0))
    routes = planned.gateway.models if planned.gateway else ()
    return {
        "servers": {route.name: {replica.host: ready for replica in route.replicas} for route in routes},
        "drains": {},
        "running": True,
        "replaced": {},
        "certificate": {},
    }
