"""Why a rollout may not begin, in words for the operator: the key, what was seen, what to do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ansible_collections.baremetal.vllm.plugins.module_utils.text.problems import some
from ansible_collections.baremetal.vllm.plugins.plugin_utils.fleet.look import Host, View
from ansible_collections.baremetal.vllm.plugins.plugin_utils.planned.fleet import FleetPlan

ALLOW = "Or accept the gap: rollout_allow_gap: true."


def hosts(found: Mapping[str, Host]) -> list[str]:
    """Hosts that could not be read, and what their own look refuses. One that does not answer is left out, and told."""
    lines = [
        f"{name}: {host.trouble}. Repair it, or leave it out: --limit 'all:!{name}'."
        for name, host in found.items()
        if host.trouble and host.reachable
    ]
    return lines + [f"{name}: {text}" for name, host in found.items() for text in host.refusals]


def gateways(view: View, plan: FleetPlan) -> list[str]:
    """A gateway that cannot be told to drain would go on sending requests to engines that are being switched."""
    group = plan.gateway.hosts if plan.gateway is not None else ()
    return [
        f"{gateway}: this gateway cannot be asked ({why}), and would send requests to hosts that are being switched. "
        "Repair it, or take it out of the group of gateways."
        for gateway, why in view.lost.items()
        if gateway in group
    ]


def unrouted(needed: Mapping[str, object], own: Mapping[str, Sequence[str]], view: View) -> list[str]:
    """Hosts of a play without the gateways that gain or lose a model: the gateways would not follow."""
    lines = []
    for host in needed if view.known else ():
        routed = {model for model, name in view.routed if name == host}
        new, gone = sorted(set(own[host]) - routed), sorted(routed - set(own[host]))
        told = [f"do not route {some(new)} to it yet"] if new else []
        told += [f"still route {some(gone)} to it"] if gone else []
        if told:
            lines.append(
                f"{host}: the gateways {' and '.join(told)}, and --limit leaves them out. Name them too "
                f"(--limit {host},GATEWAYS), or run playbooks/gateway.yml first where only new models are missing."
            )
    return lines


def canary(name: str, plan: FleetPlan, found: Mapping[str, Host]) -> list[str]:
    """A canary that is no host of the plan, is outside the play, or does not answer."""
    if not name:
        return []
    if name not in plan.hosts:
        return [f"rollout_canary: {name!r} is no host of the plan. It has {some(list(plan.hosts))}."]
    if name not in found:
        return [f"rollout_canary: {name} is outside --limit. Name one of {some(list(found))}."]
    if not found[name].reachable:
        others = [host for host in found if found[host].reachable]
        instead = f", or name another canary: {some(others)}" if others else ""
        return [f"rollout_canary: {name} does not answer ({found[name].trouble}). Repair it{instead}."]
    return []


def moves(replicas: Mapping[str, Sequence[str]], live: Mapping[str, set[str]], view: View) -> dict[str, str]:
    """Models that only hosts serve where they are no longer planned: the gateways would lose them at their reload."""
    return {
        model: f"vllm_models.{model}: only {some(sorted(view.live[model]))} can serve it now, and it moves to "
        f"{some(list(planned))}, where nothing serves it yet. Plan it on both first "
        f"(hosts: {':'.join([*planned, *sorted(view.live[model])])}), roll out, and take the old host out afterwards."
        for model, planned in replicas.items()
        if view.live.get(model) and not live[model]
    }


def ports(
    plan: FleetPlan, found: Mapping[str, Host], needed: Mapping[str, object], live: Mapping[str, set[str]]
) -> dict[str, str]:
    """Models whose port changes while they serve: the gateways know one port of a model."""
    lines: dict[str, str] = {}
    if plan.gateway is None:
        return lines
    for host in needed:
        for service in plan.hosts[host].services if host in plan.hosts else ():
            before = found[host].ports.get(service.unit, service.port)
            if before != service.port and host in live[service.name]:
                lines[service.name] = (
                    f"vllm_models.{service.name}.port: changes from {before} to {service.port}, and the gateways know "
                    f"one port of a model: they lose every replica until its switch. Write port: {before}, or give the new "
                    "port to an entry of another name and move clients there."
                )
    return lines


def secrets(plan: FleetPlan, found: Mapping[str, Host]) -> dict[str, str]:
    """A change of the engines' secrets, which may be that of their key: the gateways know one key of all engines."""
    changing = [
        name
        for name, host in found.items()
        if any(cause["what"] == "secrets" for step in host.steps for cause in step.get("causes", ()))
    ]
    if plan.gateway is None or not changing:
        return {}
    return {
        "vllm_api_key": f"vllm_api_key or vllm_secret_env: differs from what engines on {some(changing)} were started with. "
        "If it is the key, the gateways know one for all engines, and those that are not switched yet would refuse their "
        "requests."
    }


def last_replicas(
    stuck: Mapping[str, Sequence[str]],
    first: str,
    replicas: Mapping[str, Sequence[str]],
    live: Mapping[str, set[str]],
    found: Mapping[str, Host],
    view: View,
) -> list[str]:
    """One line for each model and host that would leave it without a replica."""
    lines = []
    for host, models in stuck.items():
        for model in models:
            others = [name for name in replicas[model] if name != host]
            away = [f"{name} {_absence(name, model, found, view)}" for name in others if name not in live[model]]
            if not others:
                told = f"{host} has its only replica. Plan a second one (hosts)."
            elif not away:
                told = f"{host} would be the last to lose it, and nobody would serve it any more."
            elif host == first and all(name in found and found[name].reachable for name in others):
                told = f"{host} is the canary and has its last live replica ({'; '.join(away)}). "
                told += f"Bring back {some(others)} first, or name another canary (rollout_canary)."
            else:
                told = f"{host} has its last live replica ({'; '.join(away)}). Repair {some(others)} first."
            lines.append(f"vllm_models.{model}: {told} {ALLOW}")
    return lines


def left_drained(view: View) -> list[str]:
    """Hosts that a refused rollout leaves as an earlier one left them: somebody has to know."""
    held = {host: view.told[model, host] for (model, host), whose in view.drained.items() if whose == "rollout"}
    return [
        f"{host}: still drained by {who}. The next rollout that is not refused begins with it and undrains it."
        for host, who in sorted(held.items())
    ]


def gaps(accepted: Mapping[str, Sequence[str]]) -> list[str]:
    """What is told of gaps that are allowed."""
    return [
        f"vllm_models.{model}: no replica serves it while {host} is switched."
        for host, models in accepted.items()
        for model in models
    ]


def _absence(name: str, model: str, found: Mapping[str, Host], view: View) -> str:
    """Why a planned replica does not serve."""
    if (model, name) in view.told:
        return f"is drained by {view.told[model, name]}"
    if name in found and not found[name].reachable:
        return "does not answer"
    return "is down" if view.known else "does not run"
