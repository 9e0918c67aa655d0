"""Renders the units and asks the host once; documented in plugins/modules/gpu_settings.py."""

from __future__ import annotations

from pathlib import Path

from ansible_collections.baremetal.vllm.plugins.module_utils.gpus.settings import from_dicts
from ansible_collections.baremetal.vllm.plugins.plugin_utils.actions.base import Action
from ansible_collections.baremetal.vllm.plugins.plugin_utils.gpus.settings_render import render_units
from ansible_collections.baremetal.vllm.plugins.plugin_utils.task import Result


class ActionModule(Action):
    """One module call, whatever there is to do."""

    def act(self) -> Result:
        """The host's answer."""
        gpus = self.given.get("gpus") or []
        units = render_units(Path(self.given["templates"]), from_dicts(gpus))
        return self.ask_host("gpu_settings", {"gpus": gpus, "units": units})
