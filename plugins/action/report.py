"""Shows and saves what a play found on its hosts; see plugins/modules/report.py for its documentation."""

from __future__ import annotations

from ansible_collections.baremetal.vllm.plugins.plugin_utils.actions import (
    report_difference,
    report_endpoints,
    report_fleet,
)
from ansible_collections.baremetal.vllm.plugins.plugin_utils.actions.base import ControlAction
from ansible_collections.baremetal.vllm.plugins.plugin_utils.actions.steps import run_step
from ansible_collections.baremetal.vllm.plugins.plugin_utils.task import Result

SUBJECTS = {"endpoints": report_endpoints.STEP, "difference": report_difference.STEP, "fleet": report_fleet.STEP}


class ActionModule(ControlAction):
    def act(self) -> Result:
        """Tell of endpoints, of the difference, or of the fleet."""
        return run_step(self, "subject", SUBJECTS, self.variables, "endpoints")
