"""What a run is about, where no host is at hand to ask: filters for the headers of plays."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ansible.errors import AnsibleError
from ansible.utils.display import Display
from ansible_collections.baremetal.vllm.plugins.module_utils.text.problems import did_you_mean, some
from ansible_collections.baremetal.vllm.plugins.plugin_utils.actions.run import (
    limited,
    listing,
    partial,
    refuses,
    started_late,
)
from ansible_collections.baremetal.vllm.plugins.plugin_utils.report.table import by_reason

# The pattern of a play that has nothing to do.
NOBODY = ["!all"]
# The exit status of `plan --diff` that says so.
CHANGES = 3


def fleet_gap(groups: Mapping[str, Sequence[str]], group: str, limit: str = "") -> str:
    """Why no host of the fleet takes part in this run, and the remedy; "" where one does.

    `group` is the fleet's, `limit` what `--limit` says ("" for none).
    """
    fleet = list(groups.get(group, ()))
    if not fleet:
        if not group:
            return "vllm_group is empty. Name the group of the fleet's hosts, or leave it out: it is gpu_hosts then."
        there = "is empty" if group in groups else "is not in the inventory"
        others = [name for name in groups if name not in ("all", "ungrouped") and groups[name]]
        remedy = "Put the hosts into it, or name theirs: -e vllm_group=GROUP."
        if not others:
            loose = list(groups.get("ungrouped", ()))
            if loose:
                known = f" The inventory has {some(loose)}, in no group."
                remedy = "Put the hosts into it, or take all: -e vllm_group=all."
            else:
                known = " The inventory has no hosts: is -i right?"
        elif len(others) > 10 and not did_you_mean(group, others).startswith("Did"):
            known = f" Known are: {some(others)}."
        else:
            known = f" {did_you_mean(group, others)}."
        return f"The group {group} {there}, so there is no host to plan for.{known} {remedy}"
    if not limit or set(fleet) & set(limited(groups, limit)):
        return ""
    return (
        f"--limit {limit} names no host of the group {group} ({some(fleet)}), and the plan is made on one. "
        f"Name one of them, beside others where they are meant too: --limit '{limit},{fleet[0]}'."
    )


def planning_hosts(
    groups: Mapping[str, Sequence[str]],
    group: str,
    limit: str = "",
    tags: Iterable[str] = (),
    skip: Iterable[str] = (),
    gateway_group: str = "",
) -> str:
    """The hosts of the play that plans: the fleet's group, or where no host of it takes part one that can say so.

    `gateway_group`: of gateways that are looked at besides, "" where nobody is.

    Raises AnsibleError with the reason where no task could.
    """
    if listing():
        return group
    if why := started_late() or ("" if refuses(set(skip)) else partial(set(tags), set(skip))):
        raise AnsibleError(why)
    why = fleet_gap(groups, group, limit)
    return _anybody(groups, limit, why) if why else looked_at(groups, group, gateway_group)


def control_host(
    groups: Mapping[str, Sequence[str]], limit: str = "", tags: Iterable[str] = (), skip: Iterable[str] = ()
) -> str:
    """The host of a play that works on the control node: localhost, or under a `--limit` without it a host that it names.

    Raises AnsibleError with the reason where nothing would be done.
    """
    if listing():
        return "localhost"
    if why := started_late() or partial(set(tags), set(skip)):
        raise AnsibleError(why)
    return _anybody(groups, limit, f"--limit {limit} names no host, and leaves out localhost too. Leave it out.")


def _anybody(groups: Mapping[str, Sequence[str]], limit: str, why: str) -> str:
    if not limit:
        return "localhost"
    left = limited(groups, limit)
    if not left:
        raise AnsibleError(why)
    return "localhost" if "localhost" in left else left[0]


def without_engine(gaps: Mapping[str, str], variables: Mapping[str, Any], looks: str) -> list[str]:
    """Why hosts cannot be given their engine, a sentence for each reason with the hosts that share it.

    `gaps` is by host what is missing on the control node, `looks` the variable under which each host has registered whether its
    engine is there (M(ansible.builtin.stat)).
    """

    def lacks(host: str) -> bool:
        look = dict(variables[host].get(looks) or {}) if host in variables else {}
        return "stat" in look and not look["stat"]["exists"]

    without = by_reason((host, gap) for host, gap in gaps.items() if lacks(host))
    return [f"{some(names)}: {gap}" for gap, names in without.items()]


def hosts_with_gpus(
    planned: Mapping[str, Any], group: str, difference: Mapping[str, Any] | None = None, topics: Sequence[str] = ()
) -> str | list[str]:
    """The hosts that have GPUs, as the pattern of a play; the whole `group` where nothing was planned (a run that only lists).

    `planned` is what module plan returned, {} before it ran; `difference` what module report (subject difference) returned, where
    somebody looked: then those alone that differ in one of these `topics`.
    """
    if not planned:
        return group
    if difference:
        found = {host for topic in topics for host in difference["topics"][topic]}
        return [host for host in planned["plan"]["hosts"] if host in found] or NOBODY
    hosts = planned["plan"]["hosts"]
    return [host for host in hosts if (hosts[host]["host"] or {}).get("accelerator", "cpu") != "cpu"] or NOBODY


def looked_at(groups: Mapping[str, Sequence[str]], group: str, gateway_group: str) -> str:
    """The hosts of the fleet's `group` and its gateways, as the pattern of a play: names of groups, for Ansible searches all it
    has for each name of a host."""
    return f"{group}:{gateway_group}" if groups.get(gateway_group) else group


def differing_gateways(
    difference: Mapping[str, Any], groups: Mapping[str, Sequence[str]], group: str
) -> str | list[str]:
    """The gateways of `group` that differ, as the pattern of a play; all of them where nobody looked."""
    if difference:
        return hosts_or_nobody(difference["topics"]["gateway"])
    return group if groups.get(group) else NOBODY


def differing_hosts(difference: Mapping[str, Any], group: str) -> str | list[str]:
    """The hosts on which a role has something to do, as the pattern of a play; the whole `group` where nobody looked.

    `difference` is what module report (subject difference) returned, {} before it ran.
    """
    return hosts_or_nobody(difference["differing"]) if difference else group


def unproved_hosts(difference: Mapping[str, Any]) -> list[str]:
    """The hosts on which nothing differs, and an endpoint has to be proved in full all the same; as the pattern of a play."""
    return hosts_or_nobody(list((difference or {}).get("unproved", ())))


def hosts_or_nobody(found: Mapping[str, object] | Sequence[str]) -> list[str]:
    """Hosts as the pattern of a play: those that are named, or of a mapping by host those that it says something of."""
    named = [host for host, said in found.items() if said] if isinstance(found, Mapping) else list(found)
    return named or NOBODY


def end_with_changes(pending: bool) -> bool:
    """End the run with status 3 where a deployment would change something; False where it would not.

    `pending` is what module report (subject difference) returned. Ansible's command knows no status for it: 1, 2, 4, 5, 99 and
    250 are errors (`ExitCode`, ansible/errors/__init__.py of ansible-core 2.19 to 2.21), and it cleans up before an exit that is
    raised.

    Raises SystemExit, past what Ansible would print at the end.
    """
    if not pending:
        return False
    Display().display(f"\nSomething would change: status {CHANGES} (vllm_plan_exit).")
    raise SystemExit(CHANGES)


class FilterModule:
    """Filters by name."""

    def filters(self) -> dict[str, object]:
        return {
            "fleet_gap": fleet_gap,
            "planning_hosts": planning_hosts,
            "control_host": control_host,
            "end_with_changes": end_with_changes,
            "without_engine": without_engine,
            "hosts_with_gpus": hosts_with_gpus,
            "looked_at": looked_at,
            "differing_gateways": differing_gateways,
            "differing_hosts": differing_hosts,
            "unproved_hosts": unproved_hosts,
            "hosts_or_nobody": hosts_or_nobody,
        }
