"""Show and save what the endpoints of a play have proved; see the module of the same name for the documentation."""

from __future__ import annotations

import datetime
import os
from typing import Any

from ansible.plugins.action import ActionBase
from ansible_collections.baremetal.vllm.plugins.plugin_utils.actions.job_stats import job_stats
from ansible_collections.baremetal.vllm.plugins.plugin_utils.actions.json_output import tell
from ansible_collections.baremetal.vllm.plugins.plugin_utils.actions.output import json_text, write_output
from ansible_collections.baremetal.vllm.plugins.plugin_utils.actions.refusal import told_once
from ansible_collections.baremetal.vllm.plugins.plugin_utils.inventory.plain import plain
from ansible_collections.baremetal.vllm.plugins.plugin_utils.plan.closing import closing
from ansible_collections.baremetal.vllm.plugins.plugin_utils.plan.gateway import address_of
from ansible_collections.baremetal.vllm.plugins.plugin_utils.planned.fleet import read_plan
from ansible_collections.baremetal.vllm.plugins.plugin_utils.report.endpoints import (
    document,
    gather,
    report_file,
    summary,
    table,
)

# The variable in which the role endpoint_check leaves its results on each host.
RESULTS = "__endpoint_check_results"


class ActionModule(ActionBase):
    """Runs wholly on the control node and contacts no host."""

    _supports_check_mode = True
    _requires_connection = False

    @told_once
    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, object]:
        result: dict[str, Any] = super().run(tmp, task_vars)
        _, parameters = self.validate_argument_spec(
            {
                "path": {"type": "path"},
                "directory": {"type": "path"},
                "digest": {"type": "str", "default": ""},
                "hosts": {"type": "list", "elements": "str"},
                "plan": {"type": "dict"},
            }
        )
        variables = task_vars or {}
        hosts = parameters["hosts"] or variables.get("ansible_play_hosts_all", [])
        hostvars = variables.get("hostvars", {})
        endpoints, missing = gather({str(host): hostvars[host].get(RESULTS) for host in hosts})
        told = summary(endpoints, missing)
        # `failed` is a flag in every Ansible result, so the list has another name there.
        result.update(changed=False, failed=False, failed_endpoints=told.pop("failed"), **told)
        result.update(job_stats("report", {**summary(endpoints, missing), "plan": parameters["digest"]}))
        time = datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds")
        whole = document(endpoints, missing, time, parameters["digest"])
        ending: list[str] = []
        path = report_file(parameters["path"], parameters["directory"], os.environ)
        if path and not self._task.check_mode:
            if not parameters["path"]:
                path.parent.mkdir(parents=True, exist_ok=True)
            result["path"] = write_output("vllm_report_path", str(path), json_text(whole))["path"]
            ending.append(f"The report is in {path}.")
        if parameters["plan"] and not self._task.check_mode:
            plan = read_plan(plain(parameters["plan"]))
            addresses = {host: address_of(host, hostvars[host]) for host in plan.hosts}
            proved = [(one["host"], one["model"]) for one in endpoints if one["passed"]]
            ending += closing(plan, proved, addresses, os.environ)
        return tell(
            result,
            lambda screen: "\n".join([*table(endpoints, missing, screen), *ending]),
            "report",
            lambda: whole,
        )
