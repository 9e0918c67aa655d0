"""Shows and saves what a plan would change, for baremetal.vllm.report, which documents it."""

from __future__ import annotations

from pathlib import Path

from ansible.utils.display import Display
from ansible_collections.baremetal.vllm.plugins.plugin_utils.actions.base import Action
from ansible_collections.baremetal.vllm.plugins.plugin_utils.actions.gathered import (
    planned_hosts,
    registered,
    result_of,
)
from ansible_collections.baremetal.vllm.plugins.plugin_utils.actions.json_output import tell
from ansible_collections.baremetal.vllm.plugins.plugin_utils.actions.output import json_text, write_output
from ansible_collections.baremetal.vllm.plugins.plugin_utils.actions.refusal import refusal
from ansible_collections.baremetal.vllm.plugins.plugin_utils.actions.run import few_forks
from ansible_collections.baremetal.vllm.plugins.plugin_utils.actions.steps import Step
from ansible_collections.baremetal.vllm.plugins.plugin_utils.difference.host import (
    ACCEPTANCE,
    TOPICS,
    refusals,
    topics,
    unproved,
)
from ansible_collections.baremetal.vllm.plugins.plugin_utils.difference.look import READ, read_look
from ansible_collections.baremetal.vllm.plugins.plugin_utils.difference.saved import (
    NoDifferenceError,
    moved,
    read_saved,
)
from ansible_collections.baremetal.vllm.plugins.plugin_utils.plan import render
from ansible_collections.baremetal.vllm.plugins.plugin_utils.plan.compare import compare_fleet, count
from ansible_collections.baremetal.vllm.plugins.plugin_utils.planned.fleet import read_plan
from ansible_collections.baremetal.vllm.plugins.plugin_utils.task import Arguments, Result, Spec, Variables

display = Display()
SPEC: Spec = {
    "plan": {"type": "raw", "required": True},
    "found": {"type": "str", "required": True},
    "path": {"type": "path"},
    "saved": {"type": "path", "default": ""},
    "brief": {"type": "bool", "default": False},
}


def run(action: Action, given: Arguments, variables: Variables) -> Result:
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
    if slow := few_forks(len(found)):
        display.display(slow)
    topics_of = {host: topics(plan.hosts[host], look) for host, look in read.items()}
    # Whether a host was accepted is asked for, and changes nothing.
    differing = {host: None for host, found in topics_of.items() if found - {ACCEPTANCE}}
    result: Result = {
        "changed": False,
        "counts": count(differences),
        "pending": render.pending(plan, differences, answers),
        "topics": {topic: [host for host, found in topics_of.items() if topic in found] for topic in TOPICS},
        "differing": list(differing),
        "refused": {host: lines for host, look in read.items() if (lines := refusals(plan.hosts[host], look))},
        "unproved": {host: units for host in topics_of if host not in differing and (units := unproved(read[host]))},
    }

    def document() -> Result:
        whole: Result = render.document(plan, planned["digest"], differences, answers)
        return whole

    if given["saved"]:
        _hold(given["saved"], document())
    if given["brief"]:
        display.display(render.brief(topics_of))
        return result
    if given["path"] and not action._task.check_mode:
        result["path"] = write_output("vllm_plan_json", given["path"], json_text(document()))["path"]
    return tell(result, lambda screen: render.comparison(plan, differences, answers, screen), "plan", document)


def _hold(path: str, now: Result) -> None:
    """Raise a refusal where the difference that was saved in a file is not the one of now."""
    remedy = f"Look again: plan.yml --diff -e vllm_plan_json={path}"
    try:
        saved = read_saved(Path(path).expanduser().read_text(encoding="utf-8"), render.SCHEMA)
    except (OSError, UnicodeDecodeError, NoDifferenceError) as error:
        why = error.strerror if isinstance(error, OSError) else error
        raise refusal(f"vllm_plan_from: nothing was changed. {path} cannot be applied: {why}. {remedy}") from None
    lines = moved(saved, now)
    if lines:
        told = "\n".join(f"  - {line}" for line in lines)
        raise refusal(f"Nothing was changed: the fleet is not as it was when {path} was written. {remedy}\n{told}")


STEP = Step(SPEC, run, "difference")
