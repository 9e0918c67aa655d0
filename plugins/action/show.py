"""Prints text on the control node's terminal, or ends a run with it; see plugins/modules/show.py for its documentation."""

from __future__ import annotations

from ansible.errors import AnsibleActionFail
from ansible_collections.baremetal.vllm.plugins.plugin_utils.actions.base import ControlAction
from ansible_collections.baremetal.vllm.plugins.plugin_utils.actions.follow import display
from ansible_collections.baremetal.vllm.plugins.plugin_utils.task import Result

SPEC = {
    "text": {"type": "str", "required": True},
    "refuse": {"type": "bool", "default": False},
    "reasons": {"type": "list", "elements": "str"},
}


class ActionModule(ControlAction):
    def act(self) -> Result:
        """Print the text, or end the run with it."""
        given = self.checked(SPEC)
        # A module of its own before, which meta/runtime.yml sends here.
        if not given["refuse"] and str(self._task.action).rpartition(".")[2] != "refuse":
            display.display(given["text"])
            return {"changed": False}
        if given["reasons"] == []:
            return {"changed": False}
        if not self._task.run_once:
            given["text"] = f"{self.host}: {given['text']}"
        raise AnsibleActionFail("\n".join([given["text"], *(f"  - {reason}" for reason in given["reasons"] or ())]))
