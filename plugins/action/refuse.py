"""Ends a run with reasons that are read once; see plugins/modules/refuse.py for its documentation."""

from __future__ import annotations

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible_collections.baremetal.vllm.plugins.plugin_utils.actions.refusal import told_once


class ActionModule(ActionBase):
    _requires_connection = False
    _supports_check_mode = True

    @told_once
    def run(self, tmp: str | None = None, task_vars: dict[str, object] | None = None) -> dict[str, object]:
        super().run(tmp, task_vars)
        _, given = self.validate_argument_spec(
            {"text": {"type": "str", "required": True}, "reasons": {"type": "list", "elements": "str"}}
        )
        if given["reasons"] == []:
            return {"changed": False}
        if not self._task.run_once:
            given["text"] = f"{(task_vars or {}).get('inventory_hostname')}: {given['text']}"
        raise AnsibleActionFail("\n".join([given["text"], *(f"  - {reason}" for reason in given["reasons"] or ())]))
