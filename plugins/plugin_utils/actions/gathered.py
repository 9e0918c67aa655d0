"""What the tasks of a play registered on its hosts, for actions that run once and tell of all of them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ansible_collections.baremetal.vllm.plugins.plugin_utils.inventory.hostvars import (
    raw_variables,
    registered_anywhere,
)
from ansible_collections.baremetal.vllm.plugins.plugin_utils.inventory.plain import plain
from ansible_collections.baremetal.vllm.plugins.plugin_utils.planned.fleet import FleetPlan
from ansible_collections.baremetal.vllm.plugins.plugin_utils.task import Result, Variables


def planned_hosts(variables: Variables, plan: FleetPlan) -> list[str]:
    """The hosts of the play that the plan knows, in the play's order, lost ones too; `variables` are the task's."""
    return [str(host) for host in variables["ansible_play_hosts_all"] if host in plan.hosts]


def looked_hosts(variables: Variables, plan: FleetPlan) -> list[str]:
    """The same, and behind them those that are gateways alone."""
    engines = planned_hosts(variables, plan)
    return [*engines, *(str(host) for host in variables["ansible_play_hosts_all"] if host not in engines)]


def result_of(variables: Variables, given: Result | str) -> Result:
    """A result as it is given, or the one under the name of a variable: by its name, Ansible does not template all of it for the
    task. Plain values."""
    found: Result = plain(by_name(variables, given) if isinstance(given, str) else given)
    return found


def by_name(variables: Variables, name: str) -> Any:
    """What a task that ran once registered, on the task's host or, where its play did not have that, on another; {} on none."""
    if name in variables:
        return variables[name]
    return registered_anywhere(variables.get("groups", {}).get("all", ()), variables.get("hostvars", {}), name)


def registered(variables: Variables, hosts: Iterable[str], name: str) -> dict[str, Result | None]:
    """By host what a task has registered on it, as plain values; None where the task did not run."""
    return {host: plain(raw_variables(variables["hostvars"], host).get(name)) for host in hosts}
