"""Judges one host of a rollout; see plugins/modules/rollout_judge.py for its documentation."""

from __future__ import annotations

from typing import Any

from ansible.plugins.action import ActionBase
from ansible_collections.baremetal.vllm.plugins.plugin_utils.fleet.judge import PHASES, Limit, judge
from ansible_collections.baremetal.vllm.plugins.plugin_utils.inventory.plain import plain


class ActionModule(ActionBase):
    """Runs wholly on the control node and contacts no host."""

    _supports_check_mode = True
    _requires_connection = False

    def run(self, tmp: str | None = None, task_vars: dict[str, object] | None = None) -> dict[str, object]:
        result: dict[str, Any] = super().run(tmp, task_vars)
        _, given = self.validate_argument_spec(
            {
                "phases": {"type": "dict", "default": {}},
                "before": {"type": "str", "default": ""},
                "after": {"type": "str", "default": ""},
                "returning": {"type": "bool", "default": False},
                "otherwise": {"type": "str", "default": ""},
                "failing": {"type": "bool", "default": True},
                "first_token_factor": {"type": "float", "default": Limit.factor},
                "first_token_slack": {"type": "float", "default": Limit.slack},
            }
        )
        unknown = sorted(set(given["phases"]) - set(PHASES))
        if unknown:
            return {**result, "failed": True, "msg": f"phases: {', '.join(unknown)} is none of {', '.join(PHASES)}"}
        variables = task_vars or {}
        verdict = judge(
            {name: _registered(variables, variable) for name, variable in given["phases"].items()},
            (_registered(variables, given["before"]) or {}).get("results", []),
            (_registered(variables, given["after"]) or {}).get("results", []),
            Limit(given["first_token_factor"], given["first_token_slack"]),
            given["returning"],
            given["otherwise"],
        )
        result.update(changed=False, take_back=verdict.take_back, **plain(vars(verdict)))
        if not verdict.good and given["failing"]:
            result.update(failed=True, msg="\n".join(verdict.causes))
        return result


def _registered(variables: dict[str, object], name: Any) -> dict[str, Any] | None:
    """What a task registered; None where it did not run."""
    found: dict[str, Any] | None = plain(variables.get(str(name)))
    return found
