"""Reads the templates on the control node and asks the host once; documented in plugins/modules/unit_files.py."""

from __future__ import annotations

from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible_collections.baremetal.vllm.plugins.plugin_utils.gateway.contents import ContentError, with_contents
from ansible_collections.baremetal.vllm.plugins.plugin_utils.inventory.plain import plain


class ActionModule(ActionBase):
    """One module call, whatever there is to do."""

    TRANSFERS_FILES = False
    _supports_check_mode = True

    def run(self, tmp: str | None = None, task_vars: dict[str, object] | None = None) -> dict[str, object]:
        super().run(tmp, task_vars)
        try:
            arguments = with_contents(plain(self._task.args))
        except ContentError as error:
            raise AnsibleActionFail(str(error)) from error
        answer: dict[str, Any] = self._execute_module(module_args=arguments, task_vars=task_vars)
        answer.pop("invocation", None)
        return answer
