"""The GPUs of a host as the look has them, judged by what the roles for drivers and GPUs judge by. Control node only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ansible_collections.baremetal.vllm.plugins.module_utils.drivers.acceptance.model import AcceptanceSight, WantedTest
from ansible_collections.baremetal.vllm.plugins.module_utils.drivers.nvidia.model import DriverState
from ansible_collections.baremetal.vllm.plugins.plugin_utils.actions.driver_amd import judge_amd
from ansible_collections.baremetal.vllm.plugins.plugin_utils.actions.driver_look import read_request, told, unhealable
from ansible_collections.baremetal.vllm.plugins.plugin_utils.difference.host import ACCEPTANCE, DRIVER, GPUS, SETTINGS
from ansible_collections.baremetal.vllm.plugins.plugin_utils.drivers.acceptance import decide
from ansible_collections.baremetal.vllm.plugins.plugin_utils.drivers.nvidia.judge import PATHS
from ansible_collections.baremetal.vllm.plugins.plugin_utils.drivers.nvidia.judge import judge as judge_driver
from ansible_collections.baremetal.vllm.plugins.plugin_utils.gpus.judge import judge as judge_gpus
from ansible_collections.baremetal.vllm.plugins.plugin_utils.gpus.settings_render import render_units
from ansible_collections.baremetal.vllm.plugins.plugin_utils.inventory.jsonform import build, json_form
from ansible_collections.baremetal.vllm.plugins.plugin_utils.inventory.plain import names
from ansible_collections.baremetal.vllm.plugins.plugin_utils.places import TEMPLATES
from ansible_collections.baremetal.vllm.plugins.plugin_utils.planned.fleet import Declared, HostPlan

ROLES = ("nvidia_driver", "gpu_check", "acceptance")
Inputs = Mapping[str, Mapping[str, Any]]


@dataclass
class Judged:
    """By topic why a role would do something (`differs`) or refuse to go on (`refused`), `lines` that are told all the same, and
    `warnings` about GPUs."""

    differs: dict[str, str] = field(default_factory=dict)
    refused: dict[str, str] = field(default_factory=dict)
    lines: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


def asked_of(declared: Declared) -> dict[str, object]:
    """What module host_state needs to look at the GPUs of such a host."""
    return {
        "accelerator": declared.accelerator,
        "texts": list(PATHS),
        "packages": list(declared.rocm.packages) if declared.rocm is not None else [],
        "gpus": json_form(declared.settings),
        "units": render_units(TEMPLATES, declared.settings),
    }


def judge(
    host: str, planned: HostPlan, seen: Mapping[str, Any], inputs: Inputs, managed: bool = True, required: bool = False
) -> Judged:
    """`seen`: what the host answered of its GPUs; `inputs`: of `ROLES`, as they are on this host; `managed`: whether NVIDIA's
    driver is ours to change; `required`: whether the host must have been accepted.

    Raises ValueError with all that is wrong with the inputs, a line each.
    """
    declared = planned.host
    found = Judged()
    if declared is None:
        return found
    driver = inputs["nvidia_driver"]
    accept = {*names(driver["accept"]), *names(inputs["gpu_check"]["accept"])}
    if declared.accelerator == "cuda" and managed:
        _driver(host, declared, seen["driver"], driver, found)
    elif declared.rocm is not None:
        judged = judge_amd(declared.rocm, seen["driver"]["state"], TEMPLATES)
        if judged.get("failed"):
            found.refused[DRIVER] = str(judged["msg"])
        elif judged["change"] or judged["reboot"]:
            found.differs[DRIVER] = str(judged["reboot"] or "its packages or files differ")
        found.warnings += [str(line) for line in judged.get("warnings", ())]
    if DRIVER in found.differs:
        # What the GPUs are like shows once it is changed.
        return found
    settings = seen["settings"]
    if settings["refusals"]:
        found.refused[SETTINGS] = "; ".join(settings["refusals"])
    elif settings["steps"]:
        found.differs[SETTINGS] = "; ".join(settings["steps"])
    findings = judge_gpus(seen, declared, host, planned.services)
    bad = [finding for finding in findings if finding.fatal and finding.name not in accept]
    if bad:
        found.refused[GPUS] = "; ".join(map(str, bad))
    else:
        found.warnings += map(str, findings)
    accepted = decide.decide(build(AcceptanceSight, seen["sight"]), _record(inputs["acceptance"], declared.accelerator))
    if required and accepted.act != "accepted":
        found.refused[ACCEPTANCE] = accepted.reason or "; ".join(map(str, accepted.findings))
    else:
        found.lines += map(str, accepted.findings)
    return found


def _record(given: Mapping[str, Any], accelerator: str) -> WantedTest:
    """Its record alone is asked for; AMD has no DCGM that could have run a test."""
    level = 0 if accelerator == "rocm" else int(given["level"])
    return WantedTest(level=level, again=str(given["again"]), test=False)


def _driver(host: str, declared: Declared, seen: Mapping[str, Any], given: Mapping[str, Any], found: Judged) -> None:
    wanted = {f"nvidia_driver_{name}": given[name] for name in WANTED}
    asked = {key: given[key] for key in ("reboot", "accept", "state")}
    request = read_request(host, {"wanted": wanted, "gpu_count": declared.gpu_count, **asked})
    verdict = judge_driver(build(DriverState, seen["state"]), seen["texts"], request)
    stop = unhealable(verdict)
    if stop and not request.absent:
        found.refused[DRIVER] = "; ".join(map(str, stop))
    elif request.absent or not verdict.idle or verdict.repository:
        causes = [*told(verdict), verdict.resolution.why if verdict.resolution else ""]
        found.differs[DRIVER] = "; ".join(filter(None, causes)) or "its packages or files differ"
    else:
        found.lines += told(verdict)


# The role's inputs that say which driver a host shall have (roles/nvidia_driver/vars/main.yml).
WANTED = ("version", "source", "mirror", "mirror_key", "modules", "build", "upgrade", "persistence")
