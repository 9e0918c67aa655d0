"""Prints text on the control node's terminal, or ends a run with it; see plugins/modules/show.py for its documentation."""

from __future__ import annotations

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible.utils.display import Display
from ansible_collections.baremetal.vllm.plugins.plugin_utils.actions.refusal import told_once

SPEC = {
    "text": {"type": "str", "required": True},
    "refuse": {"type": "bool", "default": False},
    "reasons": {"type": "list", "elements": "str"},
}


class ActionModule(ActionBase):
    """Runs wholly on the control node and contacts no host."""

    _requires_connection = False
    _supports_check_mode = True

    @told_once
    def run(self, tmp: str | None = None, task_vars: dict[str, object] | None = None) -> dict[str, object]:
        super().run(tmp, task_vars)
        __, given = self.validate_argument_spec(SPEC)
        # A module of its own before, which meta/runtime.yml sends here.
        if not given["refuse"] and str(self._task.action).rpartition(".")[2] != "refuse":
            Display().display(given["text"])
            return {"changed": False}
        if given["reasons"] == []:
            return {"changed": False}
        if not self._task.run_once:
            given["text"] = f"{(task_vars or {}).get('inventory_hostname')}: {given['text']}"
        raise AnsibleActionFail("\n".join([given["text"], *(f"  - {reason}" for reason in given["reasons"] or ())]))
