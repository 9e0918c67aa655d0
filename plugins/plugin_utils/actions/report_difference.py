"""Shows and saves what a plan would change, for baremetal.vllm.report, which documents it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible.plugins.action import ActionBase
from ansible.utils.display import Display
from ansible_collections.baremetal.vllm.plugins.plugin_utils.actions.gathered import (
    planned_hosts,
    registered,
    result_of,
)
from ansible_collections.baremetal.vllm.plugins.plugin_utils.actions.json_output import tell
from ansible_collections.baremetal.vllm.plugins.plugin_utils.actions.output import json_text, write_output
from ansible_collections.baremetal.vllm.plugins.plugin_utils.actions.steps import Step
from ansible_collections.baremetal.vllm.plugins.plugin_utils.difference.host import ACCEPTANCE, TOPICS, topics, unproved
from ansible_collections.baremetal.vllm.plugins.plugin_utils.difference.look import READ, read_look
from ansible_collections.baremetal.vllm.plugins.plugin_utils.plan import render
from ansible_collections.baremetal.vllm.plugins.plugin_utils.plan.compare import compare_fleet, count
from ansible_collections.baremetal.vllm.plugins.plugin_utils.planned.fleet import read_plan

display = Display()
SPEC: dict[str, Any] = {
    "plan": {"type": "raw", "required": True},
    "found": {"type": "str", "required": True},
    "path": {"type": "path"},
    "brief": {"type": "bool", "default": False},
}


def run(action: ActionBase, given: dict[str, Any], variables: Mapping[str, Any]) -> dict[str, Any]:
    """Compare the plan with what hosts said, print and save it.

    `pending` says whether a deployment would change anything; `differing` are the hosts on which a role has something to do,
    `unproved` by each other host the units of endpoints that have to be proved in full.
    """
    planned = result_of(variables, given["plan"])
    plan = read_plan(planned["plan"])
    found = registered(variables, planned_hosts(variables, plan), given["found"])
    answers = {host: read_look(host, said) for host, said in found.items()}
    read = {host: answer for host, answer in answers.items() if answer["status"] == READ}
    differences = compare_fleet(plan, read)
    topics_of = {host: topics(plan.hosts[host], look) for host, look in read.items()}
    # Whether a host was accepted is asked for, and changes nothing.
    differing = [host for host, found in topics_of.items() if found - {ACCEPTANCE}]
    result: dict[str, Any] = {
        "changed": False,
        "counts": count(differences),
        "pending": render.pending(plan, differences, answers),
        "topics": {topic: [host for host, found in topics_of.items() if topic in found] for topic in TOPICS},
        "differing": differing,
        "unproved": {host: units for host in topics_of if host not in differing and (units := unproved(read[host]))},
    }
    if given["brief"]:
        display.display(render.brief(topics_of))
        return result
    document = render.document(plan, planned["digest"], differences, answers)
    if given["path"] and not action._task.check_mode:
        result["path"] = write_output("vllm_plan_json", given["path"], json_text(document))["path"]
    return tell(result, lambda screen: render.comparison(plan, differences, answers, screen), "plan", lambda: document)


STEP = Step(SPEC, run, "difference")
