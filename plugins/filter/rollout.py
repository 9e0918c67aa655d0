"""Filters of the role rollout."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ansible_collections.baremetal.vllm.plugins.plugin_utils.inventory.hostvars import raw_variables
from ansible_collections.baremetal.vllm.plugins.plugin_utils.task import Registered, Variables


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


def registered_anywhere(hosts: Sequence[str], variables: Variables, name: str) -> Any:
    """What a task that ran once registered, as the first of these hosts has it; an empty dictionary where none does.

    Plays that follow need it in their headers, where no host is at hand. A result is taken as it is: templating the plan of a
    thousand hosts takes seconds each time.
    """
    for host in hosts:
        found = raw_variables(variables, host) if host in variables else {}
        if name in found:
            return found[name] if isinstance(found[name], Mapping) else variables[host][name]
    return {}


class FilterModule:
    """Filters by name."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {
            "server_of": server_of,
            "generation_services": generation_services,
            "closed_to": closed_to,
            "registered_anywhere": registered_anywhere,
        }
