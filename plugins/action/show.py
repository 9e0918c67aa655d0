"""Prints text on the control node's terminal; see plugins/modules/show.py for its documentation."""

from __future__ import annotations

from ansible.plugins.action import ActionBase
from ansible.utils.display import Display


class ActionModule(ActionBase):
    _requires_connection = False
    _supports_check_mode = True

    def run(self, tmp: str | None = None, task_vars: dict[str, object] | None = None) -> dict[str, object]:
        super().run(tmp, task_vars)
        Display().display(str(self._task.args["text"]))
        return {"changed": False}
