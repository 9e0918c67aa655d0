"""Orders, judges and reports a rollout; see plugins/modules/rollout.py for its documentation."""

from __future__ import annotations

from typing import Any

from ansible.plugins.action import ActionBase
from ansible_collections.baremetal.vllm.plugins.plugin_utils.actions import rollout_judge, rollout_order, rollout_report
from ansible_collections.baremetal.vllm.plugins.plugin_utils.actions.refusal import told_once
from ansible_collections.baremetal.vllm.plugins.plugin_utils.actions.steps import run_step

STEPS = {"order": rollout_order.STEP, "judge": rollout_judge.STEP, "report": rollout_report.STEP}


class ActionModule(ActionBase):
    """Runs wholly on the control node and contacts no host."""

    _supports_check_mode = True
    _requires_connection = False

    @told_once
    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        return {**super().run(tmp, task_vars), **run_step(self, "step", STEPS, task_vars)}
