"""Writes entries of the menu for a release of vLLM, on the control node; see plugins/modules/migrate.py for its documentation."""

from __future__ import annotations

from typing import Any

from ansible.plugins.action import ActionBase
from ansible_collections.baremetal.vllm.plugins.plugin_utils.actions import migrate_command, migrate_menu
from ansible_collections.baremetal.vllm.plugins.plugin_utils.actions.refusal import told_once
from ansible_collections.baremetal.vllm.plugins.plugin_utils.actions.steps import run_step

SUBJECTS = {"menu": migrate_menu.STEP, "command": migrate_command.STEP}


class ActionModule(ActionBase):
    _requires_connection = False
    _supports_check_mode = True
    _supports_diff = True

    @told_once
    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, object]:
        super().run(tmp, task_vars)
        return run_step(self, "subject", SUBJECTS, task_vars, "menu")
