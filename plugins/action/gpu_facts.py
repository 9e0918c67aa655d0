"""Asks a host for its GPUs and judges them on the control node; documented in plugins/modules/gpu_facts.py."""

from __future__ import annotations

from collections.abc import Iterable

from ansible_collections.baremetal.vllm.plugins.module_utils.text.words import printable
from ansible_collections.baremetal.vllm.plugins.plugin_utils.actions.base import Action
from ansible_collections.baremetal.vllm.plugins.plugin_utils.actions.follow import display
from ansible_collections.baremetal.vllm.plugins.plugin_utils.gpus.finding import Finding, as_dicts
from ansible_collections.baremetal.vllm.plugins.plugin_utils.gpus.judge import judge
from ansible_collections.baremetal.vllm.plugins.plugin_utils.gpus.occupied import NAMES
from ansible_collections.baremetal.vllm.plugins.plugin_utils.inventory.jsonform import build
from ansible_collections.baremetal.vllm.plugins.plugin_utils.inventory.plain import names, whole
from ansible_collections.baremetal.vllm.plugins.plugin_utils.places import TEMPLATES
from ansible_collections.baremetal.vllm.plugins.plugin_utils.plan.control import render_units
from ansible_collections.baremetal.vllm.plugins.plugin_utils.plan.hosts import ACCELERATORS
from ansible_collections.baremetal.vllm.plugins.plugin_utils.planned.fleet import Declared, read_services
from ansible_collections.baremetal.vllm.plugins.plugin_utils.task import Arguments, Result


class ActionModule(Action):
    """One module call, none for a host without GPUs."""

    def act(self) -> Result:
        """Return the module's answer with `findings`; failed where a fatal one is not accepted."""
        asked, host = self.given, self.host
        given = asked.get("declared")
        if given and given.get("accelerator") not in ACCELERATORS:
            return {
                "failed": True,
                "msg": f"declared.accelerator: expected one of {', '.join(ACCELERATORS)}, got {given}",
            }
        declared = build(Declared, {**given, "gpu_count": whole(given.get("gpu_count")) or 0}) if given else None
        if declared is not None and declared.accelerator == "cpu":
            return {"changed": False, "facts": None, "bus": [], "holders": [], "units": {}, "findings": []}
        given_services = asked.get("services")
        services = None if given_services is None else read_services(given_services)
        arguments: Arguments = {"accelerator": asked.get("accelerator") or "auto"}
        if services is not None:
            rendered = render_units(TEMPLATES, services)
            arguments["units"] = [{"unit": unit.unit, "text": unit.text, "digest": unit.digest} for unit in rendered]
        if declared is not None and "accelerator" not in asked:
            arguments["accelerator"] = declared.accelerator
        answer = self.ask_host("gpu_facts", arguments)
        if "facts" not in answer:
            return answer
        accepted = set(names(asked.get("accept")))
        findings = judge(answer, declared, host, services or ())
        answer["findings"] = as_dicts(findings)
        judged = findings if declared is not None else [f for f in findings if services is not None and f.name in NAMES]
        bad = [finding for finding in judged if finding.fatal and finding.name not in accepted]
        _tell(host, (finding for finding in judged if finding not in bad))
        return {"failed": True, "changed": False, "msg": refusal(host, bad)} if bad else answer


def refusal(host: str, findings: list[Finding]) -> str:
    """One message with everything that has to be mended."""
    lines = [f"The GPUs of {host} are not as they should be:", *(f"  {finding}" for finding in findings)]
    return "\n".join(map(printable, lines))


def _tell(host: str, findings: Iterable[Finding]) -> None:
    for finding in findings:
        display.warning(printable(f"{host}: {finding}"))
