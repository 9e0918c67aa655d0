"""Asks a host for its GPUs and judges them on the control node; documented in plugins/modules/gpu_facts.py."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ansible.plugins.action import ActionBase
from ansible.utils.display import Display
from ansible_collections.baremetal.vllm.plugins.module_utils.driver.model import Device
from ansible_collections.baremetal.vllm.plugins.module_utils.gpu import health
from ansible_collections.baremetal.vllm.plugins.module_utils.gpu.declared import Declared, compare
from ansible_collections.baremetal.vllm.plugins.module_utils.gpu.finding import Finding, as_dicts
from ansible_collections.baremetal.vllm.plugins.module_utils.gpu.jsonform import build
from ansible_collections.baremetal.vllm.plugins.module_utils.gpu.model import Facts
from ansible_collections.baremetal.vllm.plugins.module_utils.inventory.plain import names, whole
from ansible_collections.baremetal.vllm.plugins.module_utils.inventory.words import printable
from ansible_collections.baremetal.vllm.plugins.module_utils.plan.hosts import ACCELERATORS

_VENDORS = {"cuda": "10de", "rocm": "1002"}
_display = Display()


class ActionModule(ActionBase):
    """One module call, none for a host without GPUs."""

    TRANSFERS_FILES = False
    _supports_check_mode = True

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Return the module's answer with `findings`; failed where a fatal one is not accepted."""
        super().run(tmp, task_vars)
        host = str((task_vars or {}).get("inventory_hostname", "host"))
        given = self._task.args.get("declared")
        if given and given.get("accelerator") not in ACCELERATORS:
            return {
                "failed": True,
                "msg": f"declared.accelerator: expected one of {', '.join(ACCELERATORS)}, got {given}",
            }
        declared = build(Declared, {**given, "gpu_count": whole(given.get("gpu_count")) or 0}) if given else None
        if declared is not None and declared.accelerator == "cpu":
            return {"changed": False, "facts": None, "bus": [], "findings": []}
        arguments = {"accelerator": self._task.args.get("accelerator") or "auto"}
        if declared is not None and "accelerator" not in self._task.args:
            arguments["accelerator"] = declared.accelerator
        answer: dict[str, Any] = self._execute_module(module_args=arguments, task_vars=task_vars)
        if "facts" not in answer:
            return answer
        accepted = set(names(self._task.args.get("accept")))
        findings = judge(answer, declared, host)
        bad = [finding for finding in findings if finding.fatal and finding.name not in accepted]
        answer["findings"] = as_dicts(findings)
        if declared is not None:
            _tell(host, (finding for finding in findings if finding not in bad))
            if bad:
                return {"failed": True, "changed": False, "msg": refusal(host, bad)}
        return answer


def judge(answer: Mapping[str, Any], declared: Declared | None, host: str) -> list[Finding]:
    """Everything wrong with a host's GPUs, worst first, from the module's answer."""
    facts = build(Facts, answer["facts"])
    bus = tuple(build(Device, device) for device in answer["bus"])
    if declared is None:
        return health.findings(facts)
    ours = tuple(device.address for device in bus if device.vendor == _VENDORS[declared.accelerator])
    differences = compare(declared, facts, ours, host)
    # A tool that is not there has no words of its own.
    own = [] if facts.returncode is None else health.findings(facts)
    # Several kinds that are declared as such are no fault.
    own = [finding for finding in own if finding.name != "mixed-gpus" or not declared.gpus]
    found = [*own, *differences]
    return sorted(found, key=lambda finding: not finding.fatal)


def refusal(host: str, findings: list[Finding]) -> str:
    """One message with everything that has to be mended."""
    lines = [f"The GPUs of {host} are not as they should be:", *(f"  {finding}" for finding in findings)]
    return "\n".join(map(printable, lines))


def _tell(host: str, findings: Iterable[Finding]) -> None:
    for finding in findings:
        _display.warning(printable(f"{host}: {finding}"))
