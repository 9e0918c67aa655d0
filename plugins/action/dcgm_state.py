"""Asks a host once and decides on the control node what DCGM lacks; documented in plugins/modules/dcgm_state.py."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from ansible.module_utils.parsing.convert_bool import boolean
from ansible.plugins.action import ActionBase
from ansible_collections.baremetal.vllm.plugins.module_utils.drivers.acceptance.dcgm_model import Seen
from ansible_collections.baremetal.vllm.plugins.plugin_utils.drivers.acceptance import dcgm
from ansible_collections.baremetal.vllm.plugins.plugin_utils.inventory.jsonform import build


class ActionModule(ActionBase):
    """One module call."""

    TRANSFERS_FILES = False

    def run(self, tmp: str | None = None, task_vars: dict[str, object] | None = None) -> dict[str, object]:
        """Return the module's answer with todo and work added; failed where the wanted package cannot be told."""
        super().run(tmp, task_vars)
        asked = self._task.args
        answer: dict[str, Any] = self._execute_module(task_vars=task_vars)
        if answer.get("failed") or "seen" not in answer:
            return answer
        seen = build(Seen, answer["seen"])
        try:
            todo = dcgm.todo(
                seen, int(asked.get("cuda") or 0), boolean(asked.get("exporter", True)), str(asked.get("drop_in") or "")
            )
        except dcgm.RefusalError as error:
            return {"failed": True, "msg": f"DCGM: {error}"}
        return {**answer, "todo": asdict(todo), "work": todo.changes}
