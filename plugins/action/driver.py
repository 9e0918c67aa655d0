"""Looks at a host's GPU driver and decides, writes files, follows commands; documented in plugins/modules/driver.py."""

from __future__ import annotations

from ansible_collections.baremetal.vllm.plugins.plugin_utils.actions.base import Action
from ansible_collections.baremetal.vllm.plugins.plugin_utils.actions.driver_amd import LookAmd
from ansible_collections.baremetal.vllm.plugins.plugin_utils.actions.driver_look import Look
from ansible_collections.baremetal.vllm.plugins.plugin_utils.actions.driver_run import Run
from ansible_collections.baremetal.vllm.plugins.plugin_utils.actions.steps import step_of
from ansible_collections.baremetal.vllm.plugins.plugin_utils.task import Result

FORMER = {"driver_state": "look", "rocm_state": "look_amd", "driver_repository": "files", "driver_job": "run"}


class ActionModule(Action):
    def act(self) -> Result:
        """Do one step: on the control node what it decides, on the host the rest."""
        step = step_of(self, "step", FORMER)
        if step == "look":
            return Look(self).run()
        if step == "look_amd":
            return LookAmd(self).run()
        if step == "run":
            return Run(self).run()
        # Files are for the host alone; what is no step is told there.
        return self.ask_host("driver", {**self.given, "step": step})
