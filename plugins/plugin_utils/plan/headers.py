"""Variables that the headers of plays read: Ansible templates these before any host is known, so an inventory's are not among
them (PlaybookExecutor.run of ansible-core takes the variables of the play alone)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ansible_collections.baremetal.vllm.plugins.module_utils.text.problems import Problems

# Each with the group that it stands for where it is not given.
GROUPS = {"vllm_group": "gpu_hosts", "vllm_gateway_group": "gateways"}


def unseen(name: str, value: str) -> tuple[str, str]:
    """Why a variable of the inventory changes no header, and the remedy."""
    usual = GROUPS[name]
    return (
        f"{value!r} stands in the inventory, which the headers of plays do not see: they would run on the group {usual}",
        f"Take it out there, and make the hosts members of {usual} ({usual}: {{children: {{{value}: }}}}), or give it with every"
        f" command: -e {name}={value}",
    )


def check_headers(
    names: Mapping[str, Sequence[str]], groups: Mapping[str, str], given: Sequence[str], problems: Problems
) -> None:
    """Refuse what would be planned for one group and done to another.

    `names`: the variables that each host has from the inventory and from `-e`; `groups`: the value of each of GROUPS as a task
    sees it; `given`: the variables of `-e`.
    """
    for name, value in groups.items():
        written = any(name in of_host for of_host in names.values())
        if written and name not in given and value != GROUPS[name]:
            problems.add(name, *unseen(name, value))
