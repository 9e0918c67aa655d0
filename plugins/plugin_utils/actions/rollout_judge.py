"""Judges one host of a rollout: step of baremetal.vllm.rollout, which documents it."""

from __future__ import annotations

from ansible_collections.baremetal.vllm.plugins.plugin_utils.actions.base import Action
from ansible_collections.baremetal.vllm.plugins.plugin_utils.actions.steps import Step
from ansible_collections.baremetal.vllm.plugins.plugin_utils.fleet.judge import PHASES, Limit, judge
from ansible_collections.baremetal.vllm.plugins.plugin_utils.inventory.plain import plain
from ansible_collections.baremetal.vllm.plugins.plugin_utils.task import Arguments, Registered, Result, Spec, Variables

SPEC: Spec = {
    "phases": {"type": "dict", "default": {}},
    "before": {"type": "str", "default": ""},
    "after": {"type": "str", "default": ""},
    "returning": {"type": "bool", "default": False},
    "otherwise": {"type": "str", "default": ""},
    "failing": {"type": "bool", "default": True},
    "first_token_factor": {"type": "float", "default": Limit.factor},
    "first_token_slack": {"type": "float", "default": Limit.slack},
}


def run(action: Action, given: Arguments, variables: Variables) -> Result:
    """Whether a host that was switched may serve, or has to be taken back, and why."""
    unknown = sorted(set(given["phases"]) - set(PHASES))
    if unknown:
        return {"failed": True, "msg": f"phases: {', '.join(unknown)} is none of {', '.join(PHASES)}"}
    verdict = judge(
        {name: _registered(variables, str(variable)) for name, variable in given["phases"].items()},
        (_registered(variables, given["before"]) or {}).get("results", []),
        (_registered(variables, given["after"]) or {}).get("results", []),
        Limit(given["first_token_factor"], given["first_token_slack"]),
        given["returning"],
        given["otherwise"],
    )
    result: Result = {"changed": False, "take_back": verdict.take_back, **plain(vars(verdict))}
    if not verdict.good and given["failing"]:
        result.update(failed=True, msg="\n".join(verdict.causes))
    return result


def _registered(variables: Variables, name: str) -> Registered | None:
    """What a task registered; None where it did not run."""
    found: Registered | None = plain(variables.get(name))
    return found


STEP = Step(SPEC, run, "rollout_judge")
