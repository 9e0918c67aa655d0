"""Show and save what the endpoints of a play have proved; see the module of the same name for the documentation."""

from __future__ import annotations

import datetime
import os
from typing import Any

from ansible.plugins.action import ActionBase
from ansible.utils.display import Display
from ansible_collections.baremetal.vllm.plugins.module_utils.endpoint.report import (
    document,
    gather,
    report_file,
    summary,
    table,
)
from ansible_collections.baremetal.vllm.plugins.module_utils.plan.jsonfile import write_json
from ansible_collections.baremetal.vllm.plugins.plugin_utils.job_stats import job_stats

# The variable in which the role endpoint_check leaves its results on each host.
RESULTS = "__endpoint_check_results"


class ActionModule(ActionBase):
    """Runs wholly on the control node and contacts no host."""

    _supports_check_mode = True
    _requires_connection = False

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        result: dict[str, Any] = super().run(tmp, task_vars)
        _, parameters = self.validate_argument_spec(
            {
                "path": {"type": "path"},
                "directory": {"type": "path"},
                "digest": {"type": "str", "default": ""},
                "hosts": {"type": "list", "elements": "str"},
            }
        )
        variables = task_vars or {}
        hosts = parameters["hosts"] or variables.get("ansible_play_hosts_all", [])
        hostvars = variables.get("hostvars", {})
        endpoints, missing = gather({str(host): hostvars[host].get(RESULTS) for host in hosts})
        for line in table(endpoints, missing):
            Display().display(line)
        told = summary(endpoints, missing)
        # `failed` is a flag in every Ansible result, so the list has another name there.
        result.update(changed=False, failed=False, failed_endpoints=told.pop("failed"), **told)
        result.update(job_stats("report", {**summary(endpoints, missing), "plan": parameters["digest"]}))
        path = report_file(parameters["path"], parameters["directory"], os.environ)
        if path and not self._task.check_mode:
            time = datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds")
            write_json(path, document(endpoints, missing, time, parameters["digest"]))
            result["path"] = str(path)
            Display().display(f"The report is in {path}.")
        return result
