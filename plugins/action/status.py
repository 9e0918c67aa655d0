"""Shows and saves the state of a fleet; see plugins/modules/status.py for its documentation."""

from __future__ import annotations

import datetime
from pathlib import Path
from typing import Any

from ansible.plugins.action import ActionBase
from ansible.utils.display import Display
from ansible_collections.baremetal.vllm.plugins.module_utils.inventory.plain import plain
from ansible_collections.baremetal.vllm.plugins.module_utils.plan.jsonfile import write_json
from ansible_collections.baremetal.vllm.plugins.module_utils.status.document import (
    document,
    fleet_problems,
    host_problems,
)
from ansible_collections.baremetal.vllm.plugins.module_utils.status.gather import (
    Fleet,
    held,
    read_gateways,
    read_host,
)
from ansible_collections.baremetal.vllm.plugins.module_utils.status.table import notes, status_table
from ansible_collections.baremetal.vllm.plugins.plugin_utils.job_stats import job_stats

display = Display()


class ActionModule(ActionBase):
    _requires_connection = False
    _supports_check_mode = True

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        result: dict[str, Any] = super().run(tmp, task_vars)
        named = {"type": "str", "required": True}
        _, given = self.validate_argument_spec(
            {
                "plan": {"type": "dict", "required": True},
                "state": named,
                "checked": named,
                "around": {"type": "dict", "default": {}},
                "doors": {"type": "str", "default": ""},
                "gateways": {"type": "list", "elements": "dict", "default": []},
                "lock": named,
                "path": {"type": "path"},
            }
        )
        variables = task_vars or {}
        planned, hostvars = plain(given["plan"]), variables["hostvars"]
        hosts = [host for host in variables["ansible_play_hosts_all"] if host in planned["plan"]["hosts"]]
        asked = {str(said["item"]): said for said in plain(given["gateways"])}
        gateways = read_gateways(asked, {name: plain(hostvars.get(name, {}).get(given["doors"])) for name in asked})
        fleet = Fleet(
            hosts=tuple(
                read_host(
                    host,
                    planned["plan"]["hosts"][host],
                    plain(hostvars[host].get(given["state"])),
                    plain(hostvars[host].get(given["checked"])),
                    gateways,
                    {what: plain(hostvars[host].get(name)) for what, name in given["around"].items()},
                )
                for host in hosts
            ),
            gateways=gateways,
            lock=held(plain(hostvars[host].get(given["lock"])) for host in hosts),
        )
        now = datetime.datetime.now(datetime.timezone.utc)
        display.display(status_table(fleet, now))
        display.display(f"\n{notes(fleet)}")
        if given["path"] and not self._task.check_mode:
            write_json(Path(given["path"]), document(fleet, now.isoformat(timespec="seconds"), planned["digest"]))
            result["path"] = given["path"]
        problems = {host.name: host_problems(host, fleet) for host in fleet.hosts}
        told = {"problems_of": problems, "fleet_problems": fleet_problems(fleet)}
        left = {**told, "problems_of": {host: lines for host, lines in problems.items() if lines}}
        return {**result, "changed": False, **told, **job_stats("status", left)}
