"""What a rollout sees before it decides: planned replicas, hosts, and the gateways' view of who serves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from ansible_collections.baremetal.vllm.plugins.plugin_utils.difference.answer import HostAnswer
from ansible_collections.baremetal.vllm.plugins.plugin_utils.difference.host import brought
from ansible_collections.baremetal.vllm.plugins.plugin_utils.difference.look import READ, UNREACHABLE
from ansible_collections.baremetal.vllm.plugins.plugin_utils.fleet import rollback
from ansible_collections.baremetal.vllm.plugins.plugin_utils.fleet.resume import OURS, Seen, units_seen
from ansible_collections.baremetal.vllm.plugins.plugin_utils.planned.fleet import FleetPlan, HostPlan

Replicas = Mapping[str, Sequence[str]]


@dataclass(frozen=True)
class Host:
    """One host of the play. `steps`: those of host_state, or of going to the generation `target`; `ports`: of installed
    units by unit; `current`: the installed generation and `outcome` how it ended (0 and "" for none); `previous`: the
    newest one before it that served; `differing`: topics beside the units in which the host is not as planned; `aim`: the
    generation `target` in words; `trouble`: why the host cannot be switched, "" for nothing; `refusals`: what stops a switch."""

    reachable: bool = True
    steps: tuple[Mapping[str, Any], ...] = ()
    ports: Mapping[str, int] = field(default_factory=dict)
    current: int = 0
    outcome: str = ""
    previous: int = 0
    differing: tuple[str, ...] = ()
    target: int = 0
    aim: str = ""
    trouble: str = ""
    refusals: tuple[str, ...] = ()

    def verb(self, unit: str) -> str:
        """What a switch does to a unit; "keep" where nothing."""
        return next((str(step["verb"]) for step in self.steps if step["unit"] == unit), "keep")

    def serves(self, unit: str) -> bool:
        """Whether the host has the unit after its switch. On the way back the plan tells of units that are not there."""
        return self.verb(unit) != "remove" and (not self.target or unit in self.ports)


@dataclass(frozen=True)
class View:
    """What the running gateways agree on. `known`: whether any could be asked; `live`: by model the hosts that every one
    of them sees up and undrained; `drained`: (model, host) to "rollout" or "operator"; `told`: the same to who and why;
    `routed`: (model, host) that every one of them knows; `lost`: gateways that could not be asked, with the reason."""

    known: bool = False
    live: Mapping[str, frozenset[str]] = field(default_factory=dict)
    drained: Mapping[tuple[str, str], str] = field(default_factory=dict)
    told: Mapping[tuple[str, str], str] = field(default_factory=dict)
    lost: Mapping[str, str] = field(default_factory=dict)
    routed: frozenset[tuple[str, str]] = frozenset()

    def drain_of(self, host: str, models: Sequence[str]) -> str:
        """Who holds a host drained: "rollout" as soon as one of its replicas is ours to undrain."""
        kinds = {self.drained.get((model, host), "") for model in models}
        return "rollout" if "rollout" in kinds else "operator" if "operator" in kinds else ""


def planned_replicas(plan: FleetPlan) -> dict[str, tuple[str, ...]]:
    """Model to its hosts, from the plan's gateway, or from its hosts where it has none."""
    if plan.gateway is not None:
        return {m.name: tuple(r.host for r in m.replicas) for m in plan.gateway.models}
    found: dict[str, tuple[str, ...]] = {}
    for host, service in plan.endpoints:
        found[service.name] = (*found.get(service.name, ()), host)
    return found


def read_host(planned: HostPlan, look: HostAnswer, kept: Mapping[str, Any] | None) -> Host:
    """A host from its plan, the look at it (difference.look.read_look), and what model_service (phase list) returned there, which
    may be missing or have failed."""
    kept = kept or {}
    if look["status"] != READ:
        return Host(reachable=look["status"] != UNREACHABLE, trouble=look["why"])
    if not kept or kept.get("unreachable"):
        return Host(reachable=False, trouble=_why(kept, "it was not asked"))
    if kept.get("failed"):
        return Host(trouble=_why(kept, "it could not be read"))
    current = int(kept.get("current") or 0)
    by_number = {int(g["number"]): str(g["outcome"]) for g in kept.get("generations", [])}
    return Host(
        steps=tuple(look["steps"]),
        ports={unit: int(port) for unit, facts in look["units"].items() if (port := facts.get("port"))},
        current=current,
        outcome=by_number.get(current, ""),
        previous=int(kept.get("back") or 0),
        differing=tuple(brought(planned, look)),
        refusals=tuple(look["refusals"]),
    )


def going_back(host: Host, kept: Mapping[str, Any], meant: rollback.Meaning) -> Host:
    """A host that goes to a kept generation instead of the plan. `ports` become that one's."""
    try:
        target = rollback.target(kept, meant)
    except rollback.NoWayBackError as error:
        return replace(host, refusals=(f"rollback_to: {error}",), steps=(), differing=())
    found = next(g for g in kept["generations"] if g["number"] == target)
    ports = {unit: int(facts["service"]["port"]) for unit, facts in found["units"].items() if facts.get("service")}
    steps = tuple(rollback.steps(kept, target))
    aim = rollback.told(found)
    return replace(host, target=target, aim=aim, steps=steps, ports=ports, differing=(), refusals=())


def _why(answer: Mapping[str, Any], otherwise: str) -> str:
    return " ".join(str(answer.get("why") or answer.get("msg") or otherwise).split())


def read_gateways(answers: Mapping[str, Mapping[str, Any]]) -> View:
    """The gateways' view from what gateway_server returned on each gateway host.

    A gateway whose HAProxy does not run sees nobody and serves nobody: it has no say. Its records of drains count.
    """
    lost = {g: _why(a, "it could not be asked") for g, a in answers.items() if a.get("unreachable") or a.get("failed")}
    asked = [answer for gateway, answer in answers.items() if gateway not in lost]
    running = [answer for answer in asked if answer.get("running") and answer.get("servers") is not None]
    live: dict[str, frozenset[str]] = {}
    drained: dict[tuple[str, str], str] = {}
    told: dict[tuple[str, str], str] = {}
    for model in {model for answer in running for model in answer["servers"]}:
        ready = [
            {host for host, s in answer["servers"].get(model, {}).items() if s["up"] and s["admin"] == "ready"}
            for answer in running
        ]
        live[model] = frozenset(set.intersection(*ready))
    for answer in asked:
        records = answer.get("drains") or {}
        away = {
            (model, host)
            for model, servers in (answer.get("servers") or {}).items()
            for host, server in servers.items()
            if server["admin"] != "ready"
        }
        for key in away | {(key.partition("/")[0], key.partition("/")[2]) for key in records}:
            record = records.get("/".join(key), {})
            ours = str(record.get("why", "")).startswith(OURS)
            # Where one gateway has our record and another an operator's, the operator's word stands.
            if drained.get(key) != "operator":
                drained[key] = "rollout" if ours else "operator"
                told[key] = f"{record.get('who') or 'somebody'} ({record.get('why') or 'no reason given'})"
    servers = [{(m, host) for m, hosts in answer["servers"].items() for host in hosts} for answer in running]
    routed = frozenset(set.intersection(*servers)) if servers else frozenset()
    return View(bool(running), live, drained, told, lost, routed)


def live_replicas(
    replicas: Replicas, hosts: Mapping[str, Host], view: View, units: Mapping[str, str]
) -> dict[str, set[str]]:
    """By planned model the planned hosts that serve it now. `units`: the unit of each model.

    Without a view (no gateway, or none that runs) a host serves what host_state found running; one outside the play
    (`--limit`) is taken to serve.
    """
    found: dict[str, set[str]] = {}
    for model, planned in replicas.items():
        if view.known:
            found[model] = set(planned) & view.live.get(model, frozenset())
        else:
            found[model] = {host for host in planned if host not in hosts or _runs(hosts[host], units[model])}
    return found


def _runs(host: Host, unit: str) -> bool:
    return host.reachable and not host.trouble and host.verb(unit) in ("keep", "restart")


def seen(host: Host, drained: str) -> Seen:
    """What `resume.need` decides from."""
    return Seen(units_seen(host.steps), host.outcome, drained, host.reachable, host.previous, host.differing)
