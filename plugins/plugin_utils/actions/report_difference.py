"""Shows and saves what a plan would change, for baremetal.vllm.report, which documents it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible.plugins.action import ActionBase
from ansible_collections.baremetal.vllm.plugins.plugin_utils.actions.gathered import planned_hosts, registered
from ansible_collections.baremetal.vllm.plugins.plugin_utils.actions.json_output import tell
from ansible_collections.baremetal.vllm.plugins.plugin_utils.actions.output import json_text, write_output
from ansible_collections.baremetal.vllm.plugins.plugin_utils.actions.steps import Step
from ansible_collections.baremetal.vllm.plugins.plugin_utils.inventory.plain import plain
from ansible_collections.baremetal.vllm.plugins.plugin_utils.plan import render
from ansible_collections.baremetal.vllm.plugins.plugin_utils.plan.compare import compare_fleet, count
from ansible_collections.baremetal.vllm.plugins.plugin_utils.planned.fleet import read_plan

SPEC: dict[str, Any] = {
    "plan": {"type": "dict", "required": True},
    "found": {"type": "str", "required": True},
    "path": {"type": "path"},
}


def run(action: ActionBase, given: dict[str, Any], variables: Mapping[str, Any]) -> dict[str, Any]:
    """Compare the plan with what hosts said, print and save it; `pending` says whether a deployment would change anything."""
    planned = plain(given["plan"])
    plan = read_plan(planned["plan"])
    found = registered(variables, planned_hosts(variables, plan), given["found"])
    answers = {host: _answer(said or {}) for host, said in found.items()}
    differences = compare_fleet(plan, {h: a for h, a in answers.items() if a["status"] == "read"})
    document = render.document(plan, planned["digest"], differences, answers)
    pending = render.pending(plan, differences, answers)
    result: dict[str, Any] = {"changed": False, "counts": count(differences), "pending": pending}
    if given["path"] and not action._task.check_mode:
        result["path"] = write_output("vllm_plan_json", given["path"], json_text(document))["path"]
    return tell(result, lambda screen: render.comparison(plan, differences, answers, screen), "plan", lambda: document)


def _answer(said: dict[str, Any]) -> dict[str, Any]:
    """What host_state said of a host; it has not run where the host was lost before."""
    return said if "status" in said else {"status": "failed", "why": str(said.get("msg", "it was not asked"))}


STEP = Step(SPEC, run, "difference")
