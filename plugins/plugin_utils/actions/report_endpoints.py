"""Shows and saves what the endpoints of a play have proved, for baremetal.vllm.report, which documents it."""

from __future__ import annotations

import datetime
import os
from collections.abc import Sequence

from ansible_collections.baremetal.vllm.plugins.plugin_utils.actions.base import Action
from ansible_collections.baremetal.vllm.plugins.plugin_utils.actions.gathered import registered, result_of
from ansible_collections.baremetal.vllm.plugins.plugin_utils.actions.job_stats import job_stats
from ansible_collections.baremetal.vllm.plugins.plugin_utils.actions.json_output import tell
from ansible_collections.baremetal.vllm.plugins.plugin_utils.actions.output import json_text, write_output
from ansible_collections.baremetal.vllm.plugins.plugin_utils.actions.steps import Step
from ansible_collections.baremetal.vllm.plugins.plugin_utils.difference.look import READ, read_look
from ansible_collections.baremetal.vllm.plugins.plugin_utils.inventory.plain import plain
from ansible_collections.baremetal.vllm.plugins.plugin_utils.plan.closing import closing
from ansible_collections.baremetal.vllm.plugins.plugin_utils.plan.gateway import address_of
from ansible_collections.baremetal.vllm.plugins.plugin_utils.planned.fleet import read_plan
from ansible_collections.baremetal.vllm.plugins.plugin_utils.report.endpoints import (
    document,
    failed_checks,
    gather,
    report_file,
    summary,
    table,
)
from ansible_collections.baremetal.vllm.plugins.plugin_utils.report.proved import Endpoint
from ansible_collections.baremetal.vllm.plugins.plugin_utils.task import Arguments, Result, Spec, Variables

# The variable in which the role endpoint_check leaves its results on each host.
RESULTS = "__endpoint_check_results"


SPEC: Spec = {
    "path": {"type": "path"},
    "directory": {"type": "path"},
    "digest": {"type": "str", "default": ""},
    "hosts": {"type": "list", "elements": "str"},
    "plan": {"type": "raw"},
    "look": {"type": "str", "default": ""},
    "difference": {"type": "str", "default": ""},
}


def run(action: Action, given: Arguments, variables: Variables) -> Result:
    """Gather what the endpoints of hosts have proved, print the table and the closing lines, write the report."""
    hosts = given["hosts"] or [str(host) for host in variables.get("ansible_play_hosts_all", [])]
    difference = plain(variables.get(given["difference"])) if given["difference"] else None
    found = registered(variables, hosts, RESULTS)
    endpoints, missing = gather(found, _short(given, variables, hosts, difference))
    told = summary(endpoints, missing)
    # `failed` is a flag in every Ansible result, so the list has another name there.
    stats = job_stats("report", {**told, "plan": given["digest"]})
    failures = told.pop("failed")
    failing = [host for host, said in found.items() if failed_checks((said or {}).get("results", ()))]
    result: Result = {
        "changed": False,
        "failed": False,
        "failed_endpoints": failures,
        "failing": failing,
        **told,
        **stats,
    }
    time = datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds")
    whole = document(endpoints, missing, time, given["digest"], (difference or {}).get("changes"))
    ending: list[str] = []
    path = report_file(given["path"], given["directory"], os.environ)
    if path and not action._task.check_mode:
        if not given["path"]:
            path.parent.mkdir(parents=True, exist_ok=True)
        result["path"] = write_output("vllm_report_path", str(path), json_text(whole))["path"]
        ending.append(f"The report is in {path}.")
    if given["plan"] and not action._task.check_mode:
        plan = read_plan(result_of(variables, given["plan"])["plan"])
        proved = [(one["host"], one["model"]) for one in endpoints if one["passed"]]
        ending += closing(plan, proved, lambda host: address_of(host, variables["hostvars"][host]), os.environ)
    return tell(
        result,
        lambda screen: "\n".join([*table(endpoints, missing, screen), *ending]),
        "report",
        lambda: whole,
    )


def _short(
    given: Arguments, variables: Variables, hosts: Sequence[str], difference: Result | None
) -> dict[str, list[Endpoint]]:
    """By host on which nothing differs what the look had as answers, less those of endpoints that had to be proved in full."""
    if not difference:
        return {}
    differing = set(difference["differing"])
    left = [host for host in hosts if host not in differing]
    looks = {host: read_look(host, look) for host, look in registered(variables, left, given["look"]).items()}
    return {
        host: [answer for answer in look["answers"] if answer["unit"] not in difference["unproved"].get(host, ())]
        for host, look in looks.items()
        if look["status"] == READ
    }


STEP = Step(SPEC, run)
