"""Going back: the units of a kept generation as units to apply now."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace

from ansible_collections.baremetal.vllm.plugins.module_utils.units import device_nodes
from ansible_collections.baremetal.vllm.plugins.module_utils.units.generations import Generation
from ansible_collections.baremetal.vllm.plugins.module_utils.units.options import read_command
from ansible_collections.baremetal.vllm.plugins.module_utils.units.planned import WILDCARDS, PlannedUnit, ProvedBy
from ansible_collections.baremetal.vllm.plugins.module_utils.units.unitdiff import kind_of
from ansible_collections.baremetal.vllm.plugins.module_utils.units.unitfile import read_unit, stated_digest

_ASSERT = "AssertPathExists="


def units_of(generation: Generation) -> list[PlannedUnit]:
    """The units of a kept generation as planned ones, GPUs by index again, as a plan knows them."""
    found = []
    for unit in generation.units:
        planned = device_nodes.by_index(unit.text)
        service = unit.service or service_of(unit.unit, unit.text, unit.name)
        found.append(replace(unit, text=planned, digest=stated_digest(planned), service=service))
    return found


def service_of(unit: str, text: str, name: str) -> ProvedBy:
    """What a unit's text says of its endpoint, for manifests that do not say it: no demands beyond its kind's."""
    file = read_unit(text)
    command = read_command(file.command)
    port = command.value("port")
    return {
        "name": name,
        "unit": unit,
        "kind": kind_of(file),
        "address": command.value("host"),
        "port": int(port) if port.isdecimal() else 0,
        "served_names": list(command.options.get("served-model-name", ())) or [name],
        # A wildcard address is planned only where a key guards it.
        "prove": {"kind": kind_of(file), "key": command.value("host") in WILDCARDS},
    }


def missing_paths(text: str) -> list[str]:
    """What a unit insists on and that is not on the host: its engine, its weights, its adapters."""
    asserted = [line.partition("=")[2].replace("%%", "%") for line in text.splitlines() if line.startswith(_ASSERT)]
    modules = read_command(read_unit(text).command).options.get("lora-modules", ())
    adapters = [module.partition("=")[2] for module in modules]
    return [path for path in [*asserted, *(a for a in adapters if a.startswith("/"))] if not os.path.exists(path)]


def refusals(number: int, texts: Mapping[str, str], starting: Sequence[str]) -> list[str]:
    """Why generation `number` cannot run here any more, one line for each unit of `starting` that lacks something."""
    lacking = {unit: missing_paths(texts[unit]) for unit in starting}
    return [
        f"generation {number} cannot be brought back: {unit} needs {', '.join(paths)}, and that is not on the host any "
        "more. Nothing was stopped; put it back (a release: vllm_version and the role vllm_engine; weights: the role "
        "model_weights), or name another generation."
        for unit, paths in lacking.items()
        if paths
    ]
