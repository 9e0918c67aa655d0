"""Renders the units and asks the host once; documented in plugins/modules/gpu_settings.py."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ansible.plugins.action import ActionBase
from ansible_collections.baremetal.vllm.plugins.module_utils.gpus.settings import from_dicts
from ansible_collections.baremetal.vllm.plugins.plugin_utils.gpus.settings_render import render_units
from ansible_collections.baremetal.vllm.plugins.plugin_utils.inventory.plain import plain


class ActionModule(ActionBase):
    """One module call, whatever there is to do."""

    TRANSFERS_FILES = False
    _supports_check_mode = True

    def run(self, tmp: str | None = None, task_vars: dict[str, object] | None = None) -> dict[str, object]:
        super().run(tmp, task_vars)
        gpus = plain(self._task.args.get("gpus") or [])
        units = render_units(Path(self._task.args["templates"]), from_dicts(gpus))
        answer: dict[str, Any] = self._execute_module(module_args={"gpus": gpus, "units": units}, task_vars=task_vars)
        return answer
