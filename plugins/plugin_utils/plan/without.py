"""A plan without some of its models or hosts: what the fleet shall be once they have left."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Mapping
from typing import Any

from ansible_collections.baremetal.vllm.plugins.plugin_utils.plan.sandbox import speaks


def without(plan: Mapping[str, Any], models: Collection[str] = (), hosts: Collection[str] = ()) -> dict[str, Any]:
    """A new plan: hosts that leave serve nothing and are at no gateway, and models that leave are nowhere.

    Hosts stay in `plan["hosts"]`, with nothing to serve, so that roles that read the plan take everything off them.
    What else a model shared (its port, its GPUs' memory) stays as it was planned: nobody else is restarted.
    """
    kept = {
        name: _host(planned, None if name in hosts else frozenset(models)) for name, planned in plan["hosts"].items()
    }
    gateway = plan.get("gateway")
    return {**plan, "hosts": kept, "gateway": _gateway(gateway, models, hosts) if gateway is not None else None}


def _host(planned: Mapping[str, Any], models: frozenset[str] | None) -> dict[str, Any]:
    """One host's part; `models` None: all of them leave."""
    services = [] if models is None else [s for s in planned["services"] if s["name"] not in models]
    if len(services) == len(planned["services"]):
        return dict(planned)
    units = {service["unit"] for service in services}
    services = [{**s, "after": [unit for unit in s["after"] if unit in units]} for s in services]
    words = {word for service in services for word in _paths(service)}
    closed = planned.get("firewall")
    if closed is not None:
        kept = {"ports": sorted(s["port"] for s in services), "peers": speaks(services)}
        closed = {**closed, **kept} if services else None
    return {
        **planned,
        "services": services,
        "engine": planned["engine"] if services else None,
        "weights": [item for item in planned["weights"] if item["path"] in words],
        "firewall": closed,
    }


def _paths(service: Mapping[str, Any]) -> set[str]:
    """The weights of a service: its own, and those of its adapters (`name=path` words of its command)."""
    return {service["weights"], *(word.partition("=")[2] for word in service["argv"])}


def _gateway(gateway: Mapping[str, Any], models: Collection[str], hosts: Collection[str]) -> dict[str, Any]:
    routed = [
        {**model, "replicas": [r for r in model["replicas"] if r["host"] not in hosts]}
        for model in gateway["models"]
        if model["name"] not in models
    ]
    return {**gateway, "models": [model for model in routed if model["replicas"]]}


def digest(plan: Mapping[str, Any]) -> str:
    """SHA-256 of a plan, as `plan_fleet` names it: what leaves and is then deleted from the inventory changes nothing."""
    canonical = json.dumps(plan, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(canonical.encode("utf-8", "surrogatepass")).hexdigest()
