"""What a run is about, where no host is at hand to ask: filters for the headers of plays."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ansible_collections.baremetal.vllm.plugins.module_utils.inventory.problems import did_you_mean, some
from ansible_collections.baremetal.vllm.plugins.module_utils.plan.headers import unseen


def fleet_gap(
    groups: Mapping[str, Sequence[str]], group: str, limit: str, limited: Sequence[str], written: str = ""
) -> str:
    """Why no host of the fleet takes part in this run, and the remedy; "" where one does.

    `group` is the fleet's; `limit` what `--limit` says ("" for none) and `limited` the hosts that it names; `written` is
    what the inventory calls the fleet's group, where no header of a play can see it.
    """
    if written and written != group:
        return "vllm_group: {}. {}.".format(*unseen("vllm_group", written))
    fleet = list(groups.get(group, ()))
    if not fleet:
        there = "is empty" if group in groups else "is not in the inventory"
        others = [name for name in groups if name not in ("all", "ungrouped") and groups[name]]
        if not others:
            known = " The inventory has no hosts in groups: is -i right?"
        elif len(others) > 10 and not did_you_mean(group, others).startswith("Did"):
            known = f" Known are: {some(others)}."
        else:
            known = f" {did_you_mean(group, others)}."
        remedy = "Put the hosts into it, or name theirs: -e vllm_group=GROUP."
        return f"The group {group} {there}, so there is no host to plan for.{known} {remedy}"
    # A file of hosts (`@retry`) is read by Ansible alone.
    if not limit or "@" in limit or set(fleet) & set(limited):
        return ""
    return (
        f"--limit {limit} names no host of the group {group} ({some(fleet)}), and the plan is made on one. "
        f"Name one of them, beside others where they are meant too: --limit '{limit},{fleet[0]}'."
    )


class FilterModule:
    """Filters by name."""

    def filters(self) -> dict[str, Any]:
        return {"fleet_gap": fleet_gap}
