"""Looks at a host's GPU driver and decides, writes files, follows commands; documented in plugins/modules/driver.py."""

from __future__ import annotations

from typing import Any

from ansible.plugins.action import ActionBase
from ansible_collections.baremetal.vllm.plugins.plugin_utils.actions.driver_amd import LookAmd
from ansible_collections.baremetal.vllm.plugins.plugin_utils.actions.driver_look import Look
from ansible_collections.baremetal.vllm.plugins.plugin_utils.actions.driver_run import Run
from ansible_collections.baremetal.vllm.plugins.plugin_utils.actions.steps import step_of

FORMER = {"driver_state": "look", "rocm_state": "look_amd", "driver_repository": "files", "driver_job": "run"}


class ActionModule(ActionBase):
    TRANSFERS_FILES = False
    _supports_check_mode = True

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        super().run(tmp, task_vars)
        variables = task_vars or {}
        step = step_of(self, "step", FORMER)
        if step == "look":
            return Look(self, variables).run()
        if step == "look_amd":
            return LookAmd(self, variables).run()
        if step == "run":
            return Run(self, variables).run()
        # Files are for the host alone; what is no step is told there.
        answer: dict[str, Any] = self._execute_module(
            module_name="baremetal.vllm.driver", module_args={**self._task.args, "step": step}, task_vars=variables
        )
        return answer
