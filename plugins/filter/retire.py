"""Filters of the role retire."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from ansible_collections.baremetal.vllm.plugins.plugin_utils.inventory.plain import plain
from ansible_collections.baremetal.vllm.plugins.plugin_utils.plan import leaving
from ansible_collections.baremetal.vllm.plugins.plugin_utils.task import Registered, Variables


def hindrances(
    touched: Sequence[str],
    variables: Variables,
    state: str,
    leaving_hosts: Sequence[str],
    views: Sequence[Registered],
) -> list[str]:
    """Why nothing may leave yet; `state` is the variable in which hosts have what host_state said."""
    states = {host: plain(variables[host].get(state, {})) for host in touched}
    return [*leaving.unread(plain(views)), *leaving.hindrances(touched, states, leaving_hosts)]


class FilterModule:
    """Filters by name."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"hindrances": hindrances, "served_by": leaving.served_by}
