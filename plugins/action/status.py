"""Shows and saves the state of a fleet; see plugins/modules/status.py for its documentation."""

from __future__ import annotations

import datetime
from typing import Any

from ansible.plugins.action import ActionBase
from ansible_collections.baremetal.vllm.plugins.plugin_utils.actions.job_stats import job_stats
from ansible_collections.baremetal.vllm.plugins.plugin_utils.actions.json_output import tell
from ansible_collections.baremetal.vllm.plugins.plugin_utils.actions.output import json_text, write_output
from ansible_collections.baremetal.vllm.plugins.plugin_utils.actions.refusal import told_once
from ansible_collections.baremetal.vllm.plugins.plugin_utils.fleet.status_document import (
    document,
    fleet_problems,
    host_problems,
)
from ansible_collections.baremetal.vllm.plugins.plugin_utils.fleet.status_gather import (
    Fleet,
    held,
    read_gateways,
    read_host,
)
from ansible_collections.baremetal.vllm.plugins.plugin_utils.fleet.status_table import notes, status_table
from ansible_collections.baremetal.vllm.plugins.plugin_utils.inventory.plain import plain
from ansible_collections.baremetal.vllm.plugins.plugin_utils.planned.fleet import read_plan


class ActionModule(ActionBase):
    _requires_connection = False
    _supports_check_mode = True

    @told_once
    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, object]:
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
        plan = read_plan(planned["plan"])
        hosts = [host for host in variables["ansible_play_hosts_all"] if host in plan.hosts]
        asked = {str(said["item"]): said for said in plain(given["gateways"])}
        gateways = read_gateways(asked, {name: plain(hostvars.get(name, {}).get(given["doors"])) for name in asked})
        fleet = Fleet(
            hosts=tuple(
                read_host(
                    host,
                    plan.hosts[host],
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
        told = document(fleet, now.isoformat(timespec="seconds"), planned["digest"])
        if given["path"] and not self._task.check_mode:
            result["path"] = write_output("vllm_status_json", given["path"], json_text(told))["path"]
        problems = {host.name: host_problems(host, fleet) for host in fleet.hosts}
        of_fleet = fleet_problems(fleet)
        left = {"problems_of": {host: lines for host, lines in problems.items() if lines}, "fleet_problems": of_fleet}
        result.update(changed=False, problems_of=problems, fleet_problems=of_fleet, **job_stats("status", left))
        return tell(
            result,
            lambda screen: f"{status_table(fleet, now, screen)}\n\n{notes(fleet, screen)}",
            "status",
            lambda: told,
        )
