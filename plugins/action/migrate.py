"""Writes entries of the menu for a release of vLLM, on the control node; see plugins/modules/migrate.py for its documentation."""

from __future__ import annotations

from ansible_collections.baremetal.vllm.plugins.plugin_utils.actions import migrate_command, migrate_menu
from ansible_collections.baremetal.vllm.plugins.plugin_utils.actions.base import ControlAction
from ansible_collections.baremetal.vllm.plugins.plugin_utils.actions.steps import run_step
from ansible_collections.baremetal.vllm.plugins.plugin_utils.task import Result

SUBJECTS = {"menu": migrate_menu.STEP, "command": migrate_command.STEP}


class ActionModule(ControlAction):
    _supports_diff = True

    def act(self) -> Result:
        """Move the menu, or make an entry of a command."""
        return run_step(self, "subject", SUBJECTS, self.variables, "menu")
