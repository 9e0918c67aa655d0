"""What a host's GPUs are like: driver, settings, health, who uses them, their acceptance; each tool is asked once."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ansible_collections.baremetal.vllm.plugins.module_utils.drivers.acceptance import observe
from ansible_collections.baremetal.vllm.plugins.module_utils.drivers.amd import look as look_amd
from ansible_collections.baremetal.vllm.plugins.module_utils.drivers.nvidia import look as look_nvidia
from ansible_collections.baremetal.vllm.plugins.module_utils.drivers.nvidia.look_system import devices
from ansible_collections.baremetal.vllm.plugins.module_utils.gpus import amd, settings_host, smi
from ansible_collections.baremetal.vllm.plugins.module_utils.gpus.holders import holders
from ansible_collections.baremetal.vllm.plugins.module_utils.gpus.settings import from_dicts
from ansible_collections.baremetal.vllm.plugins.module_utils.host import command
from ansible_collections.baremetal.vllm.plugins.module_utils.host.systemd import SystemdError


def look(asked: Mapping[str, Any], steps: Sequence[Mapping[str, str]], active: Mapping[str, str]) -> dict[str, Any]:
    """All that is judged about GPUs, on the control node.

    `asked`: accelerator (cuda, rocm), texts (paths), packages, gpus and units (settings). `steps`: of the host's units, `active`:
    their states. Returns driver ({state, texts}), settings ({steps, refusals}), facts, bus, holders, units, and sight, what an
    acceptance is decided from. A tool that fails or hangs is a finding of whoever judges: command.run gives each a bound, and one
    that hangs is not asked again.
    """
    run = once(command.run)
    ours = asked["accelerator"] == "cuda"
    driver = look_nvidia.look(run=run) if ours else look_amd.look(list(asked["packages"]), run=run)
    facts = (smi if ours else amd).read(run)
    bus, __ = devices(Path("/"))
    return {
        "driver": {"state": asdict(driver), "texts": _texts(asked["texts"])},
        "settings": _settings(asked, run) if ours else {"steps": [], "refusals": []},
        "facts": asdict(facts),
        "bus": [asdict(device) for device in bus],
        "holders": [asdict(holder) for holder in holders(facts)],
        "units": {
            **{unit: {"verb": "", "active": state} for unit, state in active.items()},
            **{step["unit"]: {"verb": step["verb"], "active": active.get(step["unit"], "")} for step in steps},
        },
        "sight": asdict(observe.look(asked["accelerator"], run)),
    }


def once(run: command.Run) -> command.Run:
    """The same, with each command run once: the next who asks for it gets the first one's answer. A program that did not answer
    in time gives that answer to everything else that it is asked afterwards: a GPU that is lost holds up each call alike."""
    kept: dict[tuple[str, ...], command.Answer] = {}
    hung: dict[str, command.Answer] = {}
    locks: dict[tuple[str, ...], threading.Lock] = {}
    guard = threading.Lock()

    def asked(argv: list[str]) -> command.Answer:
        key = tuple(argv)
        with guard:
            lock = locks.setdefault(key, threading.Lock())
        with lock:
            if key not in kept:
                kept[key] = hung.get(argv[0]) or run(argv)
                if kept[key][0] == command.TIMED_OUT:
                    hung[argv[0]] = kept[key]
            return kept[key]

    return asked


def _settings(asked: Mapping[str, Any], run: command.Run) -> dict[str, list[str]]:
    try:
        seen = settings_host.look(asked["units"], from_dicts(asked["gpus"]), run)
    except (settings_host.SettingError, SystemdError, OSError) as error:
        return {"steps": [], "refusals": [command.one_line(str(error))]}
    return {"steps": list(seen.changes), "refusals": list(seen.verdict.refusals)}


def _texts(paths: Sequence[str]) -> dict[str, str]:
    return {path: Path(path).read_text(errors="replace") for path in paths if Path(path).is_file()}
