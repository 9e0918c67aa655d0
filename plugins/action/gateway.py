"""Renders the gateway's files and asks the host; documented in plugins/modules/gateway.py."""

from __future__ import annotations

from pathlib import Path

from ansible_collections.baremetal.vllm.plugins.plugin_utils.actions.base import Action, lost
from ansible_collections.baremetal.vllm.plugins.plugin_utils.actions.gateway_sets import gateway_sets
from ansible_collections.baremetal.vllm.plugins.plugin_utils.task import Arguments, Result


class ActionModule(Action):
    def act(self) -> Result:
        """Bring the host's sets of files to what the plan asks for, or take them away."""
        given = self.given
        compare = given.get("compare", False)
        return self._ask([{**each, "compare": compare} for each in gateway_sets(self, Path(given["templates"]), given)])

    def _ask(self, requests: list[Arguments]) -> Result:
        """Each request to the host in turn, until one fails; their results as one."""
        whole: Result = {"changed": False, "steps": [], "missing": [], "diff": []}
        for request in requests:
            answer = self.ask_host("unit_files", request)
            if lost(answer):
                return {**answer, "changed": whole["changed"] or answer.get("changed", False)}
            whole["changed"] = whole["changed"] or answer["changed"]
            for key in ("steps", "missing", "diff"):
                whole[key] += answer[key]
            if answer.get("warnings"):
                whole.setdefault("warnings", []).extend(answer["warnings"])
        return whole
