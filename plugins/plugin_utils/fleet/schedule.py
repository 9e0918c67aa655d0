"""The order of a rollout: who is switched when, or every reason why it must not begin."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ansible_collections.baremetal.vllm.plugins.module_utils.units.causes import shorten
from ansible_collections.baremetal.vllm.plugins.plugin_utils.fleet import refuse
from ansible_collections.baremetal.vllm.plugins.plugin_utils.fleet.batches import Fleet, split
from ansible_collections.baremetal.vllm.plugins.plugin_utils.fleet.look import (
    Host,
    View,
    live_replicas,
    planned_replicas,
    seen,
)
from ansible_collections.baremetal.vllm.plugins.plugin_utils.fleet.resume import Need, need
from ansible_collections.baremetal.vllm.plugins.plugin_utils.fleet.sizes import SerialError, read_serial
from ansible_collections.baremetal.vllm.plugins.plugin_utils.planned.fleet import FleetPlan

# Reasons beyond this are cut in the middle of the schedule's table; model_service tells each in full.
WIDEST = 80
# Steps of model_service that take a serving replica away.
TAKING = ("restart", "remove")


@dataclass(frozen=True)
class Asked:
    """The operator's settings: `canary` a host's name or "", `serial` as Ansible takes it; `limited`: the gateways do not
    learn of the plan in this run."""

    canary: str = ""
    serial: Any = 1
    allow_gap: bool = False
    limited: bool = False


@dataclass(frozen=True)
class HostStep:
    """What one host gets. `models` are to be drained, `units` to become idle, `undrain` to be undrained at the end, of which
    `gone` have left the host by then;
    `current` is the installed generation, `target` the kept one to switch to (0: what is planned), `back` the one to go
    back to where the new one is bad (0: none); `drained`: an earlier rollout left it so."""

    action: str
    why: str
    models: tuple[str, ...]
    units: tuple[str, ...]
    undrain: tuple[str, ...]
    gone: tuple[str, ...]
    current: int
    target: int
    back: int
    canary: bool
    resumed: bool
    drained: bool


@dataclass(frozen=True)
class Schedule:
    """`order`: hosts in the order of their switch; `sizes`: how many of them make each batch; `touched`: what each gets;
    `gaps`: models that will be without a replica, told; `refusals`: non-empty where nothing may begin; `resumed`: hosts
    that an earlier rollout left half done; `skipped`: hosts with nothing to do, and why; `lost`: those of them that do
    not answer, so that the fleet is not whole at the end."""

    order: tuple[str, ...] = ()
    sizes: tuple[int, ...] = ()
    touched: Mapping[str, HostStep] = field(default_factory=dict)
    gaps: tuple[str, ...] = ()
    refusals: tuple[str, ...] = ()
    resumed: tuple[str, ...] = ()
    skipped: Mapping[str, str] = field(default_factory=dict)
    lost: tuple[str, ...] = ()

    @property
    def batches(self) -> list[list[str]]:
        """The hosts of each batch, in the order of their switch; batches follow one another."""
        ends = [sum(self.sizes[: i + 1]) for i in range(len(self.sizes))]
        return [list(self.order[end - size : end]) for end, size in zip(ends, self.sizes)]

    @property
    def first(self) -> list[str]:
        """The hosts that are watched for a while: the first batch, which an earlier rollout may not have watched to the end,
        and the first one that is switched in this one."""
        switched = [batch for batch in self.batches if any(self.touched[host].action == "switch" for host in batch)]
        return list(dict.fromkeys(host for batch in (*self.batches[:1], *switched[:1]) for host in batch))


def schedule(plan: FleetPlan, hosts: Mapping[str, Host], view: View, asked: Asked) -> Schedule:
    """Decide for the hosts of the play. Refusals are complete: all that can be known is told at once.

    First come hosts that an earlier rollout left drained or judged bad, then proofs of what nobody judged (they take
    nothing away), then the canary, then the others.
    """
    replicas = planned_replicas(plan)
    own: dict[str, list[str]] = {name: [] for name in hosts}
    for model, planned in replicas.items():
        for name in planned:
            own.setdefault(name, []).append(model)
    units = {service.name: service.unit for __, service in plan.endpoints}
    needs = {name: need(seen(host, view.drain_of(name, own[name]))) for name, host in hosts.items()}
    needs = {name: n for name, n in needs.items() if not hosts[name].trouble and n.action not in ("nothing", "leave")}
    live = live_replicas(replicas, hosts, view, units)
    turns = {n: _turn(n, hosts[n], needs[n], view, own[n], units, asked.canary) for n in needs}
    refusals = [*refuse.hosts(hosts), *refuse.gateways(view, plan)]
    cut = {
        **refuse.moves(replicas, live, view),
        **refuse.ports(plan, hosts, needs, live),
        **refuse.secrets(plan, hosts),
    }
    refusals += [] if asked.allow_gap else [f"{text} {refuse.ALLOW}" for text in cut.values()]
    refusals += refuse.unrouted(needs, own, view) if asked.limited else []
    refusals += refuse.canary(asked.canary, plan, hosts)
    fleet = Fleet(
        {model: set(serving) for model, serving in live.items()},
        {name: _takes(name, turns[name], hosts[name], live, units) for name in needs},
        {name: {model for model in own[name] if hosts[name].verb(units[model]) != "remove"} for name in needs},
        set(cut),
    )
    resumed = [name for name in needs if needs[name].resumed]
    proofs = [name for name in needs if needs[name].action == "prove" and name not in resumed]
    canary = [name for name in needs if name == asked.canary and name not in (*resumed, *proofs)]
    others = [name for name in needs if name not in (*resumed, *proofs, *canary)]
    try:
        sizes = read_serial(asked.serial, len(canary) + len(others))
    except SerialError as error:
        refusals.append(str(error))
        sizes = [1]
    first = [1] if asked.canary else sizes[:1]
    done = [
        split(fleet, group, given, asked.allow_gap)
        for group, given in ((resumed, first), (proofs, [max(1, len(proofs))]), (canary, [1]), (others, sizes))
    ]
    stuck = {host: models for part in done for host, models in part.stuck.items()}
    refusals += refuse.last_replicas(stuck, asked.canary, replicas, live, hosts, view)
    refusals += refuse.left_drained(view) if refusals else []
    batches = [batch for part in done for batch in part.batches]
    return Schedule(
        order=tuple(host for batch in batches for host in batch),
        sizes=tuple(len(batch) for batch in batches),
        touched={host: turns[host] for batch in batches for host in batch},
        gaps=tuple(dict.fromkeys([*cut.values(), *(line for part in done for line in refuse.gaps(part.gaps))])),
        refusals=tuple(refusals),
        resumed=tuple(resumed),
        skipped={
            **{name: _skipped(name, host, view, own[name]) for name, host in hosts.items() if name not in needs},
            **_left_elsewhere(hosts, view),
        },
        lost=tuple(name for name, host in hosts.items() if not host.reachable),
    )


def _turn(
    name: str,
    host: Host,
    needed: Need,
    view: View,
    served: Sequence[str],
    units: Mapping[str, str],
    canary: str,
) -> HostStep:
    """All that one host gets. What an operator drained stays so, and its record stays the operator's."""
    own = [model for model in served if view.drained.get((model, name)) != "operator"]
    changing = {str(step["unit"]) for step in host.steps if step["verb"] in (*TAKING, "start", "wait")}
    models: list[str] = []
    if needed.action == "switch":
        models = [model for model in own if units[model] in changing]
    elif needed.action in ("take_back", "prove", "undrain"):
        # Going back may change any of them: after a proof or a soak that fails as well.
        models = own
    left = [model for model in own if view.drained.get((model, name)) == "rollout"]
    waited = [str(s["unit"]) for s in host.steps if s["verb"] in TAKING]
    undrain = tuple(dict.fromkeys([*models, *left]))
    return HostStep(
        needed.action,
        needed.why if needed.resumed or needed.action != "switch" else _changes(host) or needed.why,
        tuple(models),
        tuple([units[model] for model in served] if needed.action == "take_back" else waited),
        undrain,
        tuple(model for model in undrain if not host.serves(units[model])),
        host.current,
        host.previous if needed.action == "take_back" else host.target,
        _way_back(needed, host),
        name == canary,
        needed.resumed,
        bool(left),
    )


def _changes(host: Host) -> str:
    """What a switch changes, as the steps have it: each reason once, with its models where not all share it."""
    if host.target:
        return f"back to {host.aim}"
    reasons: dict[str, list[str]] = {}
    for step in host.steps:
        if step.get("why") and (step["verb"] != "keep" or step.get("write") or step.get("enable")):
            reasons.setdefault(step["why"], []).append(step["unit"].removeprefix("vllm-").removesuffix(".service"))
    if len(reasons) == 1 and all(step["verb"] != "remove" for step in host.steps):
        return shorten(next(iter(reasons)), WIDEST)
    return shorten("; ".join(f"{', '.join(models)}: {why}" for why, models in reasons.items()), WIDEST)


def _way_back(needed: Need, host: Host) -> int:
    """What is installed, where it served and nobody doubts it; else what served before it."""
    if needed.action == "take_back":
        return 0
    sound = host.outcome == "proven" or (host.outcome == "active" and not needed.resumed)
    return host.current if needed.action == "switch" and sound else host.previous


def _takes(
    name: str, turn: HostStep, host: Host, live: Mapping[str, set[str]], units: Mapping[str, str]
) -> frozenset[str]:
    """The models whose live replica on this host goes away during its switch."""
    if turn.action not in ("switch", "take_back"):
        return frozenset()
    return frozenset(
        model
        for model, hosts in live.items()
        if name in hosts and (turn.action == "take_back" or host.verb(units[model]) in TAKING)
    )


def _skipped(name: str, host: Host, view: View, served: Sequence[str]) -> str:
    held = sorted({view.told[model, name] for model in served if (model, name) in view.told})
    stands = "refused, as told below" if host.refusals else f"runs {host.aim} already" if host.target else "as planned"
    return "; ".join([host.trouble or stands, *(f"drained by {who}" for who in held)])


def _left_elsewhere(hosts: Mapping[str, Host], view: View) -> dict[str, str]:
    """Hosts outside the play that a rollout left drained: nobody else would tell."""
    return {
        name: f"outside --limit; left drained by {view.told[model, name]}"
        for (model, name), whose in view.drained.items()
        if whose == "rollout" and name not in hosts
    }
