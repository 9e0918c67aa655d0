"""Shows and saves the state of a fleet, for baremetal.vllm.report, which documents it."""

from __future__ import annotations

import datetime

from ansible_collections.baremetal.vllm.plugins.plugin_utils.actions.base import Action
from ansible_collections.baremetal.vllm.plugins.plugin_utils.actions.gathered import (
    looked_hosts,
    registered,
    result_of,
)
from ansible_collections.baremetal.vllm.plugins.plugin_utils.actions.job_stats import job_stats
from ansible_collections.baremetal.vllm.plugins.plugin_utils.actions.json_output import tell
from ansible_collections.baremetal.vllm.plugins.plugin_utils.actions.output import json_text, write_output
from ansible_collections.baremetal.vllm.plugins.plugin_utils.actions.steps import Step
from ansible_collections.baremetal.vllm.plugins.plugin_utils.difference.answer import FilesetDifference, HostAnswer
from ansible_collections.baremetal.vllm.plugins.plugin_utils.difference.look import OF_GATEWAY, PARTS, READ, read_look
from ansible_collections.baremetal.vllm.plugins.plugin_utils.fleet.status_document import (
    document,
    fleet_problems,
    host_problems,
)
from ansible_collections.baremetal.vllm.plugins.plugin_utils.fleet.status_gather import (
    Fleet,
    answer,
    held,
    look_at_gateway,
    one_line,
    read_gateway,
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
    "gateways": {"type": "list", "elements": "dict", "default": []},
    "checked": {"type": "str", "default": ""},
    "around": {"type": "dict", "default": {}},
    "doors": {"type": "str", "default": ""},
    "lock": _NAMED,
    "path": {"type": "path"},
}


def run(action: Action, given: Arguments, variables: Variables) -> Result:
    """Gather the state of hosts and gateways, print one row a host and what wants attention."""
    planned = result_of(variables, given["plan"])
    plan = read_plan(planned["plan"])
    found = registered(variables, looked_hosts(variables, plan), given["state"])
    looks = {host: read_look(host, said, PARTS if host in plan.hosts else OF_GATEWAY) for host, said in found.items()}
    hosts = [host for host in looks if host in plan.hosts]
    _add_what_others_asked(looks, given, variables)
    asked = {str(said["item"]): said for said in plain(given["gateways"])}
    files = {name: _compared(said or {}) for name, said in registered(variables, asked, given["doors"]).items()}
    gateways = tuple(
        look_at_gateway(name, looks[name])
        if name in looks and name not in asked
        else read_gateway(name, asked.get(name), files.get(name))
        for name in (plan.gateway.hosts if plan.gateway is not None else ())
    )
    fleet = Fleet(
        hosts=tuple(read_host(host, plan.hosts[host], looks[host], gateways) for host in hosts),
        gateways=gateways,
        lock=held(registered(variables, looks, given["lock"]).values(), looks.values()),
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
    """Tasks beside the look may have asked endpoints, and compared sets of files, as they did before it could."""
    read = [host for host, look in looks.items() if look["status"] == READ]
    for host, checked in registered(variables, read, given["checked"]).items() if given["checked"] else ():
        results = answer(checked, "results")
        looks[host]["answers"], looks[host]["unasked"] = results.get("results", []), results.get("why", "")
    for what, name in given["around"].items():
        for host, compared in registered(variables, read, name).items():
            looks[host]["filesets"][what] = _compared(compared or {})


def _compared(found: Result) -> FilesetDifference:
    """What a task with module unit_files or gateway found that would be done."""
    if found.get("failed") or found.get("unreachable"):
        return {"steps": [], "warnings": [], "unknown": [one_line(found.get("msg") or "it could not be compared")]}
    return {"steps": list(found.get("steps", ())), "warnings": [], "unknown": []}


STEP = Step(SPEC, run, "status")
