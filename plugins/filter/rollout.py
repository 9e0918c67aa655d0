"""Filters of the role rollout."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ansible_collections.baremetal.vllm.plugins.plugin_utils.inventory.hostvars import registered_anywhere
from ansible_collections.baremetal.vllm.plugins.plugin_utils.task import Registered


def server_of(model: str, host: str) -> dict[str, str]:
    """A replica as the module gateway_server names it."""
    return {"model": model, "host": host}


def generation_services(
    generations: Sequence[Registered], number: int | str, units: Sequence[str]
) -> list[dict[str, object]]:
    """What the units of one kept generation must prove; all its units where none are named.

    `generations` is what the module generations returned. A generation that is not there, or that was written before
    generations kept what they serve, has nothing to prove.
    """
    found = next((item for item in generations if item["number"] == int(number)), None)
    kept = {} if found is None else found["units"]
    return [
        dict(unit["service"]) for name, unit in kept.items() if unit.get("service") and (not units or name in units)
    ]


def closed_to(rules: Mapping[str, Any] | None, services: Sequence[Mapping[str, Any]]) -> dict[str, object] | None:
    """The plan's rules for the ports of `services` as well: a kept generation may have ports that nobody plans any more."""
    if rules is None:
        return None
    ports = {int(port) for port in [*rules["ports"], *(item["port"] for item in services)]}
    peers = any((item.get("prove") or {}).get("outside") for item in services)
    return {**rules, "ports": sorted(ports), "peers": rules.get("peers", False) or peers}


class FilterModule:
    """Filters by name."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {
            "server_of": server_of,
            "generation_services": generation_services,
            "closed_to": closed_to,
            "registered_anywhere": registered_anywhere,
        }
