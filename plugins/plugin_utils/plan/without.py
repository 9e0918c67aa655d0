"""A plan without some of its models or hosts: what the fleet shall be once they have left."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

from ansible_collections.baremetal.vllm.plugins.plugin_utils.plan.sandbox import speaks
from ansible_collections.baremetal.vllm.plugins.plugin_utils.planned.fleet import FleetPlan, HostPlan
from ansible_collections.baremetal.vllm.plugins.plugin_utils.planned.gateway import GatewayPlan
from ansible_collections.baremetal.vllm.plugins.plugin_utils.planned.service import Service


def without(plan: FleetPlan, models: Collection[str] = (), hosts: Collection[str] = ()) -> FleetPlan:
    """A new plan: hosts that leave serve nothing and are at no gateway, and models that leave are nowhere.

    Hosts stay in it, with nothing to serve, so that roles that read the plan take everything off them.
    What else a model shared (its port, its GPUs' memory) stays as it was planned: nobody else is restarted.
    """
    kept = {name: _host(planned, None if name in hosts else frozenset(models)) for name, planned in plan.hosts.items()}
    return FleetPlan(kept, _gateway(plan.gateway, models, hosts) if plan.gateway is not None else None)


def _host(planned: HostPlan, models: frozenset[str] | None) -> HostPlan:
    """One host's part; `models` None: all of them leave."""
    services = [] if models is None else [s for s in planned.services if s.name not in models]
    if len(services) == len(planned.services):
        return planned
    units = {service.unit for service in services}
    services = [replace(s, after=tuple(unit for unit in s.after if unit in units)) for s in services]
    words = {word for service in services for word in _paths(service)}
    closed = planned.firewall if services else None
    if closed is not None:
        ports = tuple(sorted(service.port for service in services))
        served = tuple(port for port in closed.served if port in ports)
        closed = replace(closed, ports=ports, peers=speaks(services), served=served)
    return replace(
        planned,
        services=tuple(services),
        engine=planned.engine if services else None,
        weights=tuple(item for item in planned.weights if item.path in words),
        firewall=closed,
    )


def _paths(service: Service) -> set[str]:
    """The weights of a service: its own, and those of its adapters (`name=path` words of its command)."""
    return {service.weights, *(word.partition("=")[2] for word in service.argv)}


def _gateway(gateway: GatewayPlan, models: Collection[str], hosts: Collection[str]) -> GatewayPlan:
    routed = [
        replace(model, replicas=tuple(r for r in model.replicas if r.host not in hosts))
        for model in gateway.models
        if model.name not in models
    ]
    return replace(gateway, models=tuple(model for model in routed if model.replicas))
