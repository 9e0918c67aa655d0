"""Shows and saves what a play found on its hosts; see plugins/modules/report.py for its documentation."""

from __future__ import annotations

from typing import Any

from ansible.plugins.action import ActionBase
from ansible_collections.baremetal.vllm.plugins.plugin_utils.actions import (
    report_difference,
    report_endpoints,
    report_fleet,
)
from ansible_collections.baremetal.vllm.plugins.plugin_utils.actions.refusal import told_once
from ansible_collections.baremetal.vllm.plugins.plugin_utils.actions.steps import run_step

SUBJECTS = {"endpoints": report_endpoints.STEP, "difference": report_difference.STEP, "fleet": report_fleet.STEP}


class ActionModule(ActionBase):
    """Runs wholly on the control node and contacts no host."""

    _supports_check_mode = True
    _requires_connection = False

    @told_once
    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, object]:
        return {**super().run(tmp, task_vars), **run_step(self, "subject", SUBJECTS, task_vars, "endpoints")}
