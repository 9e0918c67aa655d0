"""Shows and saves what a plan would change; see plugins/modules/difference.py for its documentation."""

from __future__ import annotations

from typing import Any

from ansible.plugins.action import ActionBase
from ansible_collections.baremetal.vllm.plugins.plugin_utils.actions.json_output import tell
from ansible_collections.baremetal.vllm.plugins.plugin_utils.actions.output import json_text, write_output
from ansible_collections.baremetal.vllm.plugins.plugin_utils.actions.refusal import told_once
from ansible_collections.baremetal.vllm.plugins.plugin_utils.inventory.plain import plain
from ansible_collections.baremetal.vllm.plugins.plugin_utils.plan import told
from ansible_collections.baremetal.vllm.plugins.plugin_utils.plan.compare import compare_fleet, count
from ansible_collections.baremetal.vllm.plugins.plugin_utils.planned.fleet import read_plan


class ActionModule(ActionBase):
    _requires_connection = False
    _supports_check_mode = True

    @told_once
    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, object]:
        result: dict[str, Any] = super().run(tmp, task_vars)
        spec = {"plan": {"type": "dict", "required": True}, "found": {"type": "str", "required": True}}
        _, given = self.validate_argument_spec({**spec, "path": {"type": "path"}})
        planned = plain(given["plan"])
        plan, variables = read_plan(planned["plan"]), task_vars or {}
        hosts = [host for host in variables["ansible_play_hosts_all"] if host in plan.hosts]
        answers = {host: _answer(variables["hostvars"][host].get(given["found"])) for host in hosts}
        differences = compare_fleet(plan, {h: a for h, a in answers.items() if a["status"] == "read"})
        document = told.document(plan, planned["digest"], differences, answers)
        if given["path"] and not self._task.check_mode:
            result["path"] = write_output("vllm_plan_json", given["path"], json_text(document))["path"]
        pending = told.pending(plan, differences, answers)
        result.update(changed=False, counts=count(differences), pending=pending)
        return tell(
            result, lambda screen: told.comparison(plan, differences, answers, screen), "plan", lambda: document
        )


def _answer(registered: Any) -> dict[str, Any]:
    """What host_state said of a host; it has not run where the host was lost before."""
    said: dict[str, Any] = plain(registered or {})
    return said if "status" in said else {"status": "failed", "why": str(said.get("msg", "it was not asked"))}
