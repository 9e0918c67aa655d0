"""What it takes for a model or a host to leave the fleet: pure, from the plan and from what the operator names."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TypedDict

from ansible_collections.baremetal.vllm.plugins.plugin_utils.difference.answer import HostAnswer
from ansible_collections.baremetal.vllm.plugins.plugin_utils.plan.without import without
from ansible_collections.baremetal.vllm.plugins.plugin_utils.planned.fleet import FleetPlan


class ServerView(TypedDict):
    """One replica as a gateway shows it; `admin` is ready where requests are sent to it."""

    admin: str


class GatewayView(TypedDict, total=False):
    """What module gateway_server says in a loop over gateways: `item` is the gateway, `servers` its replicas by model and host;
    `msg` why there are none."""

    item: str
    msg: str
    servers: Mapping[str, Mapping[str, ServerView]]


@dataclass(frozen=True)
class Leaving:
    """`plan`: the fleet without them; `hosts`: those that something leaves, `servers`: their replicas at the gateways."""

    plan: FleetPlan
    hosts: tuple[str, ...]
    servers: tuple[dict[str, str], ...]
    refusals: tuple[str, ...]


def leave(
    plan: FleetPlan,
    models: Collection[str],
    hosts: Collection[str],
    allow_gap: bool,
    allowed: Mapping[str, Collection[str]],
) -> Leaving:
    """Decide, or refuse with every reason there is. A model that is named leaves with all its replicas. `allowed`: by
    client of the gateways the names that its key is limited to."""
    serving = replicas(plan)
    refusals = _unknown(plan, serving, models, hosts)
    if not models and not hosts:
        refusals.append("nobody is named to leave: give -e model=NAME, or -e host=NAME")
    if not allow_gap:
        last = [model for model, on in serving.items() if model not in models and set(on) <= set(hosts)]
        refusals += [
            f"{model} would be left without a replica: {', '.join(serving[model])} is all that serves it. Plan it on "
            f"another host (vllm_models.{model}.hosts) and run rollout.yml first, let it leave as well (-e model={model}), "
            "or accept that (-e retire_allow_gap=true)"
            for model in last
        ]
    gone = [(m, host) for m, on in serving.items() for host in on if m in models or host in hosts]
    touched = [name for name in plan.hosts if name in hosts or any(name == host for __, host in gone)]
    routed = plan.gateway is not None
    rest = without(plan, models, hosts)
    refusals += _named_by_keys(plan, rest, allowed)
    servers = tuple({"model": model, "host": host} for model, host in gone) if routed else ()
    return Leaving(rest, tuple(touched), servers, tuple(refusals))


def replicas(plan: FleetPlan) -> dict[str, list[str]]:
    """The hosts of every planned model, in the plan's order."""
    serving: dict[str, list[str]] = {}
    for host, service in plan.endpoints:
        serving.setdefault(service.name, []).append(host)
    return serving


def _unknown(
    plan: FleetPlan, serving: Mapping[str, Collection[str]], models: Collection[str], hosts: Collection[str]
) -> list[str]:
    lines = [
        f"no model {name!r} is planned; planned are {', '.join(sorted(serving)) or 'none'}. A model that is gone from "
        "vllm_models already is removed by rollout.yml"
        for name in models
        if name not in serving
    ]
    known = ", ".join(plan.hosts)
    return lines + [f"no host {name!r} is in the plan; hosts are {known}" for name in hosts if name not in plan.hosts]


def _named_by_keys(plan: FleetPlan, rest: FleetPlan, allowed: Mapping[str, Collection[str]]) -> list[str]:
    """Keys limited to what leaves: no gateway could be configured with them any more."""
    before, after = (set(p.gateway.names if p.gateway is not None else ()) for p in (plan, rest))
    return [
        f"gateway_keys.{client}.models names {name}, which leaves: take it out there first"
        for client, names in allowed.items()
        for name in names
        if name in before - after
    ]


def farewell(plan: FleetPlan, models: Collection[str], hosts: Collection[str]) -> str:
    """What the operator has to take out of the inventory, or the next rollout.yml or site.yml brings it back."""
    serving = replicas(plan)
    lines = [f"delete vllm_models.{model}" for model in models if model in serving]
    for host in hosts:
        named = [model for model, on in serving.items() if host in on and model not in models]
        where = f", and from the `hosts` of {', '.join(named)} where they name it" if named else ""
        lines.append(f"delete {host} from the inventory's groups{where}")
    return "Now change the inventory, or the next site.yml or rollout.yml brings back what left:" + "".join(
        f"\n  {line}" for line in lines
    )


def hindrances(touched: Collection[str], states: Mapping[str, HostAnswer], leaving: Collection[str]) -> list[str]:
    """Why nothing may leave yet, by what the hosts that something leaves said (module host_state), one line each.

    What stays on a host must be as planned: otherwise taking one model away would restart others that nobody drained. A
    host that leaves as a whole may be out of reach.
    """
    lines = []
    for host in touched:
        state = states.get(host, {})
        if state.get("status") != "read" and host not in leaving:
            lines.append(
                f"{host} is {state.get('status', 'unknown')} ({state.get('why', 'it was not asked')}), and what leaves would "
                f"go on running there. Bring it back, or let the host leave as well (-e host={host})"
            )
        restarted = [step["unit"] for step in state.get("steps", []) if step["verb"] in ("start", "restart")]
        if restarted:
            lines.append(
                f"{host}: {', '.join(restarted)} would be restarted, because it is not as planned. Run "
                "baremetal.vllm.rollout first, or undo the change in the inventory"
            )
    return lines


def unread(views: Sequence[GatewayView]) -> list[str]:
    """Gateways that could not be read, from a loop of module gateway_server: they would go on sending requests."""
    return [
        f"gateway {view['item']} cannot be read ({view.get('msg', 'no answer')}), and would go on sending requests to what "
        "leaves. Bring it back, or take it out of the group of gateways"
        for view in views
        if "servers" not in view
    ]


def served_by(servers: Sequence[Mapping[str, str]], view: GatewayView, ready: bool = False) -> list[dict[str, str]]:
    """Those of the replicas that one gateway knows: in a second run it may have forgotten them already.

    With `ready` only those that it sent requests to: what somebody had drained before stays drained.
    """
    known = view.get("servers", {})
    found = [dict(server) for server in servers if server["host"] in known.get(server["model"], {})]
    return [s for s in found if not ready or known[s["model"]][s["host"]]["admin"] == "ready"]
