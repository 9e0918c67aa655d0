"""Decides and shows the order of a rollout: step of baremetal.vllm.rollout, which documents it."""

from __future__ import annotations

from ansible_collections.baremetal.vllm.plugins.plugin_utils.actions.base import Action
from ansible_collections.baremetal.vllm.plugins.plugin_utils.actions.gathered import planned_hosts, registered
from ansible_collections.baremetal.vllm.plugins.plugin_utils.actions.json_output import tell
from ansible_collections.baremetal.vllm.plugins.plugin_utils.actions.steps import Step
from ansible_collections.baremetal.vllm.plugins.plugin_utils.difference.look import read_look
from ansible_collections.baremetal.vllm.plugins.plugin_utils.fleet import rollback
from ansible_collections.baremetal.vllm.plugins.plugin_utils.fleet.look import (
    View,
    going_back,
    read_gateways,
    read_host,
)
from ansible_collections.baremetal.vllm.plugins.plugin_utils.fleet.process import this_user
from ansible_collections.baremetal.vllm.plugins.plugin_utils.fleet.render import document, schedule_lines
from ansible_collections.baremetal.vllm.plugins.plugin_utils.fleet.schedule import Asked, schedule
from ansible_collections.baremetal.vllm.plugins.plugin_utils.inventory.plain import plain
from ansible_collections.baremetal.vllm.plugins.plugin_utils.planned.fleet import FleetPlan, read_plan
from ansible_collections.baremetal.vllm.plugins.plugin_utils.task import Arguments, Registered, Result, Spec, Variables

SPEC: Spec = {
    "plan": {"type": "dict", "required": True},
    "states": {"type": "str", "required": True},
    "generations": {"type": "str", "required": True},
    "gateways": {"type": "str", "default": ""},
    "back_to": {"type": "str", "default": ""},
    "canary": {"type": "str", "default": ""},
    "serial": {"type": "raw", "default": 1},
    "allow_gap": {"type": "bool", "default": False},
    "limited": {"type": "bool", "default": False},
}


def run(action: Action, given: Arguments, variables: Variables) -> Result:
    """Which host is switched when, from what hosts and gateways said. Raises AnsibleActionFail: where a rollout cannot begin."""
    plan = read_plan(plain(given["plan"]))
    hosts = planned_hosts(variables, plan)
    if rollback.mistake(given["back_to"] or rollback.PREVIOUS):
        return {"failed": True, "msg": rollback.mistake(given["back_to"])}
    states, kept = (registered(variables, hosts, given[name]) for name in ("states", "generations"))
    found = {host: read_host(plan.hosts[host], read_look(host, states[host]), kept[host]) for host in hosts}
    if given["back_to"]:
        read = {host: said for host, said in kept.items() if said is not None and not found[host].trouble}
        meant = rollback.meaning(given["back_to"], read.values())
        found.update({host: going_back(found[host], said, meant) for host, said in read.items()})
    view = _view(plan, plain(variables.get(given["gateways"]) or {}))
    settings = (given["canary"], plain(given["serial"]), given["allow_gap"], given["limited"])
    decided = schedule(plan, found, view, Asked(*settings))
    result: Result = {"changed": False, "who": this_user(), **document(decided)}
    if decided.refusals:
        result = {"failed": True, "msg": "\n".join(decided.refusals)}
    return tell(
        result,
        lambda screen: "\n".join(schedule_lines(decided, screen)),
        "schedule",
        lambda: {**document(decided), "refusals": list(decided.refusals)},
    )


def _view(plan: FleetPlan, registered: Registered) -> View:
    """The gateways' view from a registered loop over them; one that is missing there was not asked."""
    answers = {str(item["item"]): item for item in registered.get("results", ()) if "item" in item}
    names = plan.gateway.hosts if plan.gateway is not None else ()
    return read_gateways({name: answers.get(name, {"failed": True, "msg": "it was not asked"}) for name in names})


STEP = Step(SPEC, run, "rollout_order")
