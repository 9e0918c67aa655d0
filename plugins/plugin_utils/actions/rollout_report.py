"""Shows and saves what became of a rollout: step of baremetal.vllm.rollout, which documents it."""

from __future__ import annotations

import datetime

from ansible_collections.baremetal.vllm.plugins.plugin_utils.actions.base import Action
from ansible_collections.baremetal.vllm.plugins.plugin_utils.actions.job_stats import job_stats
from ansible_collections.baremetal.vllm.plugins.plugin_utils.actions.json_output import tell
from ansible_collections.baremetal.vllm.plugins.plugin_utils.actions.output import json_text, write_output
from ansible_collections.baremetal.vllm.plugins.plugin_utils.actions.steps import Step
from ansible_collections.baremetal.vllm.plugins.plugin_utils.fleet import outcome
from ansible_collections.baremetal.vllm.plugins.plugin_utils.fleet.judge import Verdict, ran, troubles, worked
from ansible_collections.baremetal.vllm.plugins.plugin_utils.fleet.process import this_run
from ansible_collections.baremetal.vllm.plugins.plugin_utils.inventory.plain import plain
from ansible_collections.baremetal.vllm.plugins.plugin_utils.task import Arguments, Registered, Result, Spec, Variables

SPEC: Spec = {
    "schedule": {"type": "dict", "required": True},
    **{name: {"type": "str", "required": True} for name in ("verdict", "back", "undrain")},
    "drains": {"type": "list", "elements": "str", "required": True},
    "path": {"type": "path"},
    "digest": {"type": "str", "default": ""},
}


def run(action: Action, given: Arguments, variables: Variables) -> Result:
    """Print what the rollout has done so far, and write its report."""
    if len(given["drains"]) != 2:
        return {"failed": True, "msg": f"drains: {given['drains']} are not two names of variables"}
    schedule, hostvars = plain(given["schedule"]), variables["hostvars"]
    endings = {host: outcome.ending(_happened(turn, hostvars[host], given)) for host, turn in schedule["hosts"].items()}
    summary = outcome.Summary(endings, schedule["left"], schedule["lost"], schedule["gaps"])
    over = summary.finished or not summary.good
    time = datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds")
    document = outcome.document(summary, this_run().identity, given["digest"], time)
    result: Result = {
        "changed": False,
        "good": summary.whole if over else summary.good,
        "complete": summary.whole,
    }
    result.update(over=over, told=outcome.told(summary))
    left = {name: document[name] for name in ("id", "plan_digest", "complete", "stopped", "skipped", "unreachable")}
    result.update(
        job_stats("rollout", {**left, "hosts": {host: end["what"] for host, end in document["hosts"].items()}})
    )
    if over and given["path"] and not action._task.check_mode:
        result["path"] = write_output("rollout_report_path", given["path"], json_text(document))["path"]
    return tell(
        result,
        lambda screen: "\n".join(outcome.lines(summary, screen) if over else [outcome.progress(summary)]),
        "rollout",
        lambda: document,
    )


def _happened(turn: Registered, variables: Variables, given: Arguments) -> outcome.HostResult:
    """One host from what its tasks registered."""
    drain, again, undrain = (plain(variables.get(name)) for name in (*given["drains"], given["undrain"]))
    return outcome.HostResult(
        action=turn["action"],
        why=turn["why"],
        verdict=_verdict(plain(variables.get(given["verdict"]))),
        back=_verdict(plain(variables.get(given["back"]))),
        drained=turn["drained"] or worked(drain),
        drained_again=worked(again),
        undrained=ran(undrain) and not troubles(undrain),
    )


def _verdict(registered: Registered | None) -> Verdict | None:
    if not registered or "good" not in registered:
        return None
    causes = tuple(registered["causes"])
    return Verdict(registered["good"], causes, registered["phase"], registered["switched"], registered["reachable"])


STEP = Step(SPEC, run, "rollout_report")
