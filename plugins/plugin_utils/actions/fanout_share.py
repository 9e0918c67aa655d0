"""Decides what hosts bring to each other, makes a run's certificate, tells what came of a wave: steps of baremetal.vllm.fan_out,
which documents them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ansible_collections.baremetal.vllm.plugins.module_utils.text.problems import some
from ansible_collections.baremetal.vllm.plugins.module_utils.text.words import printable
from ansible_collections.baremetal.vllm.plugins.module_utils.weights.selection import in_units
from ansible_collections.baremetal.vllm.plugins.plugin_utils.actions.base import Action
from ansible_collections.baremetal.vllm.plugins.plugin_utils.actions.follow import display
from ansible_collections.baremetal.vllm.plugins.plugin_utils.actions.gathered import by_name
from ansible_collections.baremetal.vllm.plugins.plugin_utils.actions.steps import Step
from ansible_collections.baremetal.vllm.plugins.plugin_utils.difference.look import READ
from ansible_collections.baremetal.vllm.plugins.plugin_utils.fanout import certificate
from ansible_collections.baremetal.vllm.plugins.plugin_utils.fanout.parts import PORT, Where, bounds, parts
from ansible_collections.baremetal.vllm.plugins.plugin_utils.fanout.shared import (
    KINDS,
    WEIGHTS,
    Content,
    shared_contents,
    waves,
)
from ansible_collections.baremetal.vllm.plugins.plugin_utils.inventory.hostvars import raw_variables
from ansible_collections.baremetal.vllm.plugins.plugin_utils.inventory.jsonform import json_form
from ansible_collections.baremetal.vllm.plugins.plugin_utils.inventory.plain import plain
from ansible_collections.baremetal.vllm.plugins.plugin_utils.plan.fanout import UPSTREAM, WEIGHTS_FROM
from ansible_collections.baremetal.vllm.plugins.plugin_utils.plan.gateway import address_of
from ansible_collections.baremetal.vllm.plugins.plugin_utils.planned.fleet import FleetPlan, read_plan
from ansible_collections.baremetal.vllm.plugins.plugin_utils.task import Arguments, Result, Variables

_TEXT = {"type": "str", "required": True}
SHARE_SPEC = {"plan": _TEXT, "look": _TEXT}
OF_WAVE = {
    "shared": _TEXT,
    "kind": {"type": "str", "choices": list(KINDS), "required": True},
    "wave": {"type": "int", "required": True},
    "results": {"type": "dict", "default": {}},
}
# What the decision and the addresses are made of, of each host.
_OF_HOST = (WEIGHTS_FROM, "vllm_rack", "vllm_fanout_port", "vllm_endpoint_address", "ansible_host")


def share(action: Action, given: Arguments, variables: Variables) -> Result:
    """Which host brings what from outside, and who takes it from whom, from what hosts were found to have."""
    planned = plain((by_name(variables, given["plan"]) or {}).get("plan") or {})
    plan = read_plan(planned) if planned else FleetPlan({})
    hosts = [str(host) for host in variables["ansible_play_hosts"] if host in plan.hosts]
    looks = {host: look for host in hosts if (look := _look(variables, host, given["look"]))}
    declared = {host: _declared(variables, host) for host in looks}
    looks = {host: look for host, look in looks.items() if declared[host].get(WEIGHTS_FROM) != UPSTREAM}
    racks = {host: str(declared[host].get("vllm_rack") or "") for host in looks}
    contents = shared_contents(plan, looks, racks)
    at = {
        host: Where(address_of(host, declared[host]), int(declared[host].get("vllm_fanout_port") or PORT), racks[host])
        for content in contents
        for host in content.members
    }
    for content in contents:
        display.display(printable(_line(content, action._task.check_mode)))
    return {
        "changed": False,
        "hosts": [host for host in hosts if host in at],
        "kinds": {kind: _of_kind(plan, [each for each in contents if each.kind == kind], at) for kind in KINDS},
    }


def make(action: Action, given: Arguments, variables: Variables) -> Result:
    """The run's certificate and its key; the task that asks for it has no_log."""
    return {"changed": False, "pem": certificate.make()}


def tell(action: Action, given: Arguments, variables: Variables) -> Result:
    """Say what came of each content of a wave: who has it now, and who takes it in the ordinary way, and why."""
    lines = []
    for content in contents_of(variables, given):
        found = {
            host: result_of_step(variables, host, given["results"], "follow")
            or result_of_step(variables, host, given["results"], "start")
            for host in content["receivers"]
        }
        lines += told(content, found)
    for line in lines:
        display.display(printable(line))
    return {"changed": False, "told": lines}


def told(content: Mapping[str, Any], found: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """A line on those that have it, and one for each reason why hosts do not; `found`: by receiver what following it came to."""
    whole = [host for host, result in found.items() if result.get("whole")]
    lines = []
    if whole:
        size, seconds = (
            max(int(found[host]["size"]) for host in whole),
            max(float(found[host]["seconds"]) for host in whole),
        )
        took = f"{in_units(size)} each in {seconds:.0f} s, {in_units(size * len(whole) / max(seconds, 1.0))}/s in all"
        lines.append(f"{content['name']}: from host to host to {some(whole)}, {took}")
    reasons: dict[str, list[str]] = {}
    for host, result in found.items():
        if host not in whole:
            reasons.setdefault(str(result.get("why") or "it was not given"), []).append(host)
    return [
        *lines,
        *(f"{content['name']}: {some(hosts)} in the ordinary way: {why}" for why, hosts in reasons.items()),
    ]


def contents_of(variables: Variables, given: Arguments) -> Sequence[Mapping[str, Any]]:
    """The contents of the wave that a task is about, as step share returned them."""
    shared = by_name(variables, given["shared"])
    found: Sequence[Mapping[str, Any]] = shared["kinds"][given["kind"]]["waves"][given["wave"]]
    return found


def result_of_step(variables: Variables, host: str, names: Mapping[str, str], step: str) -> Result:
    """What a step of this wave returned on a host; {} where it did not run there."""
    found: Result = plain(raw_variables(variables["hostvars"], host).get(names.get(step, ""))) or {}
    return {} if found.get("skipped") else found


def _look(variables: Variables, host: str, name: str) -> Result:
    """Of a host's look what it has of engine and weights; {} of a host that was not read."""
    found = raw_variables(variables["hostvars"], host).get(name) or {}
    if found.get("status") != READ:
        return {}
    return {part: plain(found.get(part)) for part in ("engine", "weights")}


def _declared(variables: Variables, host: str) -> Arguments:
    own = variables["hostvars"][host]
    return {key: plain(own[key]) for key in _OF_HOST if key in own}


def _of_kind(plan: FleetPlan, contents: Sequence[Content], at: Mapping[str, Where]) -> Result:
    """The contents of one kind by waves, with the waves' numbers for a loop, whose items Ansible prints."""
    found = [[_form(content, at) for content in wave] for wave in waves(contents)]
    return {"waves": found, "numbers": list(range(len(found))), "seeds": _seeds(plan, contents)}


def _seeds(plan: FleetPlan, contents: Sequence[Content]) -> Result:
    """By host that brings something from outside its engine, and the weights among that."""
    found: Result = {}
    for content in contents:
        if not content.seed:
            continue
        planned = plan.hosts[content.seed]
        seed = found.setdefault(content.seed, {"engine": json_form(planned.engine), "weights": []})
        if content.kind == WEIGHTS:
            seed["weights"] += [json_form(item) for item in planned.weights if item.path == content.path]
    for seed in found.values():
        # What the control node sends asks for no engine.
        if seed["weights"] and all(item["source"] != "hub" for item in seed["weights"]):
            seed["engine"] = None
    return found


def _form(content: Content, at: Mapping[str, Where]) -> Result:
    """A content as the other steps read it."""
    each = {
        host: {
            "neighbours": [neighbour._asdict() for neighbour in part.neighbours],
            "peers": list(part.peers),
            "listen": part.listen,
            "port": part.port,
        }
        for host, part in parts(content, at).items()
    }
    return {
        "name": content.name,
        "path": content.path,
        "givers": list(content.givers),
        "receivers": list(content.receivers),
        "bounds": bounds(len(each)),
        "parts": each,
    }


def _line(content: Content, check: bool) -> str:
    size = f" ({in_units(content.size)})" if content.size else ""
    whom, would = some(list(content.receivers)), " would" if check else ""
    if content.seed:
        return f"{content.name}{size}: {content.seed}{would} bring{'' if check else 's'} it, and {whom}{would} take it from there"
    return f"{content.name}{size}: {whom}{would} take it from {some(list(content.sources))}"


SHARE, CERTIFICATE, TELL = Step(SHARE_SPEC, share), Step({}, make), Step(OF_WAVE, tell)
