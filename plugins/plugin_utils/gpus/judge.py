"""Everything that is wrong with a host's GPUs, from what it answered (module gpu_facts). Control node only."""

from __future__ import annotations

from collections.abc import Sequence

from ansible_collections.baremetal.vllm.plugins.module_utils.drivers.nvidia.model import Device
from ansible_collections.baremetal.vllm.plugins.module_utils.gpus.holders import Holder
from ansible_collections.baremetal.vllm.plugins.module_utils.gpus.model import Facts
from ansible_collections.baremetal.vllm.plugins.plugin_utils.gpus import health, occupied
from ansible_collections.baremetal.vllm.plugins.plugin_utils.gpus.declared import compare
from ansible_collections.baremetal.vllm.plugins.plugin_utils.gpus.finding import Finding
from ansible_collections.baremetal.vllm.plugins.plugin_utils.inventory.jsonform import build
from ansible_collections.baremetal.vllm.plugins.plugin_utils.planned.fleet import Declared
from ansible_collections.baremetal.vllm.plugins.plugin_utils.planned.service import Service
from ansible_collections.baremetal.vllm.plugins.plugin_utils.task import Registered

_VENDORS = {"cuda": "10de", "rocm": "1002"}


def judge(answer: Registered, declared: Declared | None, host: str, services: Sequence[Service] = ()) -> list[Finding]:
    """Everything wrong with a host's GPUs, worst first, from the module's answer and the services that are planned there."""
    facts = build(Facts, answer["facts"])
    held = _occupied(answer, facts, services)
    bus = tuple(build(Device, device) for device in answer["bus"])
    if declared is None:
        return sorted([*health.findings(facts), *held], key=lambda finding: not finding.fatal)
    ours = tuple(device.address for device in bus if device.vendor == _VENDORS[declared.accelerator])
    differences = compare(declared, facts, ours, host)
    # A tool that is not there has no words of its own.
    own = [] if facts.returncode is None else health.findings(facts)
    # Several kinds that are declared as such are no fault.
    own = [finding for finding in own if finding.name != "mixed-gpus" or not declared.gpus]
    found = [*own, *differences, *held]
    return sorted(found, key=lambda finding: not finding.fatal)


def _occupied(answer: Registered, facts: Facts, services: Sequence[Service]) -> list[Finding]:
    holders = [build(Holder, holder) for holder in answer.get("holders", ())]
    units = {name: build(occupied.RunningUnit, unit) for name, unit in answer.get("units", {}).items()}
    return occupied.findings(facts, holders, units, occupied.demands(services))
