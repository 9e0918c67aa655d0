"""What the tasks of a play registered on its hosts, for actions that run once and tell of all of them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

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
    found: Result = plain(registered_anywhere(variables, given) if isinstance(given, str) else given)
    return found


def registered_anywhere(variables: Variables, name: str) -> Any:
    """What a task registered on the task's host, or else on the first host that has it; None where none has.

    A task that ran once has registered it on the hosts of its play alone; not templated, for it holds no templates.
    """
    if name in variables:
        return variables[name]
    told = (variables["hostvars"].raw_get(host) for host in variables.get("groups", {}).get("all", ()))
    return next((found[name] for found in told if name in found), None)


def registered(variables: Variables, hosts: Iterable[str], name: str) -> dict[str, Result | None]:
    """By host a variable of it as plain values; None where it has none, as where the task that makes it did not run."""
    return {host: plain(variables["hostvars"][host].get(name)) for host in hosts}
