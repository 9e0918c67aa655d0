"""Shows and saves the state of a fleet, for baremetal.vllm.report, which documents it."""

from __future__ import annotations

import datetime

from ansible_collections.baremetal.vllm.plugins.plugin_utils.actions.base import Action
from ansible_collections.baremetal.vllm.plugins.plugin_utils.actions.gathered import (
    planned_hosts,
    registered,
    result_of,
)
from ansible_collections.baremetal.vllm.plugins.plugin_utils.actions.job_stats import job_stats
from ansible_collections.baremetal.vllm.plugins.plugin_utils.actions.json_output import tell
from ansible_collections.baremetal.vllm.plugins.plugin_utils.actions.output import json_text, write_output
from ansible_collections.baremetal.vllm.plugins.plugin_utils.actions.steps import Step
from ansible_collections.baremetal.vllm.plugins.plugin_utils.difference.answer import HostAnswer
from ansible_collections.baremetal.vllm.plugins.plugin_utils.difference.look import READ, read_look
from ansible_collections.baremetal.vllm.plugins.plugin_utils.fleet.status_document import (
    document,
    fleet_problems,
    host_problems,
)
from ansible_collections.baremetal.vllm.plugins.plugin_utils.fleet.status_gather import (
    Fleet,
    answer,
    held,
    one_line,
    read_gateways,
    read_host,
)
from ansible_collections.baremetal.vllm.plugins.plugin_utils.fleet.status_table import notes, status_table
from ansible_collections.baremetal.vllm.plugins.plugin_utils.inventory.plain import plain
from ansible_collections.baremetal.vllm.plugins.plugin_utils.planned.fleet import read_plan
from ansible_collections.baremetal.vllm.plugins.plugin_utils.task import Arguments, Result, Spec, Variables

_NAMED = {"type": "str", "required": True}
SPEC: Spec = {
    "plan": {"type": "raw", "required": True},
    "state": _NAMED,
    "checked": {"type": "str", "default": ""},
    "around": {"type": "dict", "default": {}},
    "doors": {"type": "str", "default": ""},
    "gateways": {"type": "list", "elements": "dict", "default": []},
    "lock": _NAMED,
    "path": {"type": "path"},
}


def run(action: Action, given: Arguments, variables: Variables) -> Result:
    """Gather the state of hosts and gateways, print one row a host and what wants attention."""
    planned, hostvars = result_of(variables, given["plan"]), variables["hostvars"]
    plan = read_plan(planned["plan"])
    hosts = planned_hosts(variables, plan)
    looks = {host: read_look(host, look) for host, look in registered(variables, hosts, given["state"]).items()}
    _add_what_others_asked(looks, given, variables)
    asked = {str(said["item"]): said for said in plain(given["gateways"])}
    gateways = read_gateways(asked, {name: plain(hostvars.get(name, {}).get(given["doors"])) for name in asked})
    fleet = Fleet(
        hosts=tuple(read_host(host, plan.hosts[host], looks[host], gateways) for host in hosts),
        gateways=gateways,
        lock=held(registered(variables, hosts, given["lock"]).values(), looks.values()),
    )
    now = datetime.datetime.now(datetime.timezone.utc)
    told = document(fleet, now.isoformat(timespec="seconds"), planned["digest"])
    problems = {host.name: host_problems(host, fleet) for host in fleet.hosts}
    of_fleet = fleet_problems(fleet)
    left = {"problems_of": {host: lines for host, lines in problems.items() if lines}, "fleet_problems": of_fleet}
    result: Result = {"changed": False, "problems_of": problems, "fleet_problems": of_fleet}
    result.update(job_stats("status", left))
    if given["path"] and not action._task.check_mode:
        result["path"] = write_output("vllm_status_json", given["path"], json_text(told))["path"]
    return tell(
        result,
        lambda screen: f"{status_table(fleet, now, screen)}\n\n{notes(fleet, screen)}",
        "status",
        lambda: told,
    )


def _add_what_others_asked(looks: dict[str, HostAnswer], given: Arguments, variables: Variables) -> None:
    """Tasks beside the look may have asked endpoints, and compared files around the engines, as they did before it could."""
    read = [host for host, look in looks.items() if look["status"] == READ]
    for host, checked in registered(variables, read, given["checked"]).items() if given["checked"] else ():
        results = answer(checked, "results")
        looks[host]["answers"], looks[host]["unasked"] = results.get("results", []), results.get("why", "")
    for what, name in given["around"].items():
        for host, compared in registered(variables, read, name).items():
            found = compared or {}
            lost = bool(found.get("failed") or found.get("unreachable"))
            why = [one_line(found.get("msg") or "it could not be compared")] if lost else []
            steps = [] if lost else list(found.get("steps", ()))
            looks[host]["filesets"][what] = {"steps": steps, "warnings": [], "unknown": why}


STEP = Step(SPEC, run, "status")
