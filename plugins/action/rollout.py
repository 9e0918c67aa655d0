"""Orders, judges and reports a rollout; see plugins/modules/rollout.py for its documentation."""

from __future__ import annotations

from ansible_collections.baremetal.vllm.plugins.plugin_utils.actions import rollout_judge, rollout_order, rollout_report
from ansible_collections.baremetal.vllm.plugins.plugin_utils.actions.base import ControlAction
from ansible_collections.baremetal.vllm.plugins.plugin_utils.actions.steps import run_step
from ansible_collections.baremetal.vllm.plugins.plugin_utils.task import Result

STEPS = {"order": rollout_order.STEP, "judge": rollout_judge.STEP, "report": rollout_report.STEP}


class ActionModule(ControlAction):
    def act(self) -> Result:
        """Order, judge or report."""
        return run_step(self, "step", STEPS, self.variables)
