"""The plan's own checks of what was seen, and the unit of a tiny model: JSON in, JSON out, in a process of its own.

It needs yaml and jinja2, which every engine's Python has: `<python> -m tools.gpu_probe.planned < REQUEST`.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from . import collection

collection()
from ansible_collections.baremetal.vllm.plugins.module_utils.units.unitfile import read_unit
from ansible_collections.baremetal.vllm.plugins.plugin_utils.fit import gpus as known_gpus
from ansible_collections.baremetal.vllm.plugins.plugin_utils.fit.facts import ModelFacts, read_model
from ansible_collections.baremetal.vllm.plugins.plugin_utils.fit.memory import fit
from ansible_collections.baremetal.vllm.plugins.plugin_utils.gpus.finding import as_dicts
from ansible_collections.baremetal.vllm.plugins.plugin_utils.gpus.judge import judge
from ansible_collections.baremetal.vllm.plugins.plugin_utils.inventory.jsonform import json_form
from ansible_collections.baremetal.vllm.plugins.plugin_utils.options.load import release, releases
from ansible_collections.baremetal.vllm.plugins.plugin_utils.places import TEMPLATES
from ansible_collections.baremetal.vllm.plugins.plugin_utils.plan.control import render_units
from ansible_collections.baremetal.vllm.plugins.plugin_utils.plan.fleet import Inventory, plan_fleet
from ansible_collections.baremetal.vllm.plugins.plugin_utils.plan.menu import read_menu

HOST, MODEL = "probed", "tiny"


def main() -> int:
    request = json.load(sys.stdin)
    json.dump({"checks": checks, "unit": unit}[request["wanted"]](request), sys.stdout)
    return 0


def variables(request: Mapping[str, Any]) -> dict[str, Any]:
    """The host's inventory variables, as an operator who copies nvidia-smi would write them."""
    facts = request.get("facts") or {"gpus": []}
    gpus = facts["gpus"]
    host: dict[str, Any] = {
        "vllm_accelerator": request["accelerator"],
        "vllm_version": request.get("release") or releases()[-1],
        "gpu_count": len(gpus),
    }
    if gpus and known_gpus.find(gpus[0]["name"]):
        host["gpu_name"] = gpus[0]["name"]
    elif gpus and gpus[0]["memory"]:
        host["gpu_memory_gib"] = gpus[0]["memory"] / 2**30
    if facts.get("driver") and request["accelerator"] == "cuda":
        host["nvidia_driver_version"] = facts["driver"]
    return host


def checks(request: Mapping[str, Any]) -> dict[str, Any]:
    """What gpu_facts finds in the facts, and what the plan says to a host that declares exactly them."""
    planned = _plan(request, {})
    declared = planned.fleet.hosts[HOST].host if planned.plan else None
    return {
        "variables": variables(request),
        "known": [bool(known_gpus.candidates(gpu["name"])) for gpu in request["facts"]["gpus"]],
        "findings": as_dicts(judge(request, declared, HOST)),
        "problems": [str(problem) for problem in planned.problems],
        "warnings": [str(problem) for problem in planned.warnings],
    }


def unit(request: Mapping[str, Any]) -> dict[str, Any]:
    """The tiny model's planned service, its unit's command and environment, and what the plan works out of its memory."""
    args = {"max-model-len": 2048, **request["args"]}
    entry: dict[str, Any] = {"model": request["model"], "kind": "chat", "port": request["port"], "args": args}
    entry.update(env=request["env"], prove={"meaning": False})
    if request["gpus"]:
        entry["gpus"] = request["gpus"]
    facts = read_model(request["model"])
    planned = _plan(request, {MODEL: entry}, {MODEL: facts})
    told = {"problems": [str(p) for p in planned.problems], "warnings": [str(p) for p in planned.warnings]}
    if not planned.plan:
        # What the plan says cannot work is tried all the same: a day with a GPU is rare, and the plan may be wrong.
        planned = _plan(request, {MODEL: entry}, declared=False)
    if not planned.plan:
        return {**told, "problems": [*told["problems"], *map(str, planned.problems)]}
    [service] = planned.fleet.hosts[HOST].services
    [rendered] = render_units(TEMPLATES, [service])
    read = read_unit(rendered.text)
    return {
        **told,
        "service": json_form(service),
        "text": rendered.text,
        "command": read.command,
        "environment": read.environment,
        "estimate": _estimate(request, args, facts),
    }


def _estimate(request: Mapping[str, Any], args: Mapping[str, Any], facts: ModelFacts | str) -> dict[str, Any] | None:
    memory = (request.get("facts") or {"gpus": []})["gpus"]
    total = request.get("total") or (memory[0]["memory"] if memory else None)
    if isinstance(facts, str):
        return None
    found = asdict(fit(facts, args, total, release(variables(request)["vllm_version"])))
    return {key: value for key, value in found.items() if key != "setting"}


def _plan(
    request: Mapping[str, Any],
    models: Mapping[str, Any],
    facts: Mapping[str, ModelFacts | str] | None = None,
    declared: bool = True,
) -> Any:
    """The outcome of a plan for this machine; `declared`: its GPUs and driver are, so that what they cannot do is refused."""
    host = variables(request)
    if not declared:
        host = {key: host[key] for key in ("vllm_accelerator", "vllm_version", "gpu_count")}
    return plan_fleet(
        Inventory(
            menu=read_menu(models),
            hosts={HOST: {**host, "vllm_address": "127.0.0.1"}},
            match=lambda pattern: [HOST],
            facts=facts or {},
            keyed=True,
            # A release that the catalogue does not know yet is run all the same.
            unchecked=[] if release(host["vllm_version"]) else [host["vllm_version"]],
        )
    )


if __name__ == "__main__":
    raise SystemExit(main())
