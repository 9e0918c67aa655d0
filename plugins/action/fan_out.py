"""Has hosts bring content to each other; documented in plugins/modules/fan_out.py."""

from __future__ import annotations

from ansible_collections.baremetal.vllm.plugins.plugin_utils.actions import fanout_member, fanout_share
from ansible_collections.baremetal.vllm.plugins.plugin_utils.actions.base import Action
from ansible_collections.baremetal.vllm.plugins.plugin_utils.actions.steps import run_step
from ansible_collections.baremetal.vllm.plugins.plugin_utils.task import Result

# These ask no host.
CONTROL = {"share": fanout_share.SHARE, "certificate": fanout_share.CERTIFICATE, "tell": fanout_share.TELL}
STEPS = {
    **CONTROL,
    "describe": fanout_member.DESCRIBE,
    "start": fanout_member.START,
    "follow": fanout_member.FOLLOW,
    "end": fanout_member.END,
}


class ActionModule(Action):
    """A task that names no `shared` content is the module's alone."""

    def act(self) -> Result:
        """What the step came to; of the role's steps none fails."""
        if self.given.get("step") not in CONTROL and "shared" not in self.given:
            return self.ask_host("fan_out", self.given)
        return run_step(self, "step", STEPS, self.variables)
