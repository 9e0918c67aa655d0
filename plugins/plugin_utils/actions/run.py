"""What a run was asked for on the command line, and whether all of a playbook of ours takes part in it.

Ansible passes over what nothing selects and ends well. A partial run is one that nobody asked for: plays here hand each other
what they found, and nothing of ours has a tag of its own.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any

from ansible import context
from ansible.errors import AnsibleActionFail
from ansible.inventory.manager import InventoryManager
from ansible.parsing.dataloader import DataLoader
from ansible_collections.baremetal.vllm.plugins.plugin_utils.places import ROOT
from ansible_collections.baremetal.vllm.plugins.plugin_utils.task import Variables

_OURS = "baremetal.vllm."
# So many hosts to each fork, and it is worth a word.
_MANY = 4
# Of `--list-hosts` and the like: nothing runs, so nothing is to be refused.
_LISTINGS = ("syntax", "listhosts", "listtasks", "listtags")
# molecule leaves these out of every run (`skip-tags`, provisioner/ansible.py of molecule 26), whether anything has them or not.
_OF_MOLECULE = {"molecule-notest", "notest", "molecule-idempotence-notest"}
_INSTEAD = (
    "Say what is meant otherwise: --limit HOSTS; or a playbook for one part (driver, stage, gateway, verify, status, accept);"
    " or the difference, which leaves alone what is as planned"
)


def option(name: str) -> Any:
    """What `ansible-playbook` was given for an option of this name (`start_at_task`); None without a command line."""
    return context.CLIARGS.get(name)


def few_forks(hosts: int) -> str:
    """A sentence where Ansible asks so few of the hosts at a time that the run takes several times as long; "" elsewhere.

    Plays cannot set it: it is of the command line and of ansible.cfg. Ansible's default is 5.
    """
    forks = int(option("forks") or 0)
    if not forks or hosts <= _MANY * forks:
        return ""
    more = min(hosts, 50)
    return (
        f"{hosts} hosts are asked {forks} at a time. --forks {more}, or forks in ansible.cfg, makes this run shorter."
    )


def listing() -> bool:
    """Whether this run only lists or parses."""
    return any(option(name) for name in _LISTINGS)


def ours() -> bool:
    """Whether the playbooks of this run are those of this collection, none that imports one of them."""
    given = [str(name) for name in option("args") or ()]
    return bool(given) and all(name.startswith(_OURS) or ROOT in Path(name).resolve().parents for name in given)


def managed(groups: Mapping[str, Iterable[str]], loader: DataLoader | None = None) -> InventoryManager:
    """The hosts of an inventory, for Ansible's own pattern language."""
    manager = InventoryManager(loader or DataLoader(), parse=False)
    for group, members in groups.items():
        manager.add_group(group)
        for member in members:
            manager.add_host(member, group=group)
    return manager


def limited(groups: Mapping[str, Iterable[str]], limit: str) -> list[str]:
    """The hosts that `--limit` leaves, in the inventory's order; `localhost` where it names that, though no inventory has it."""
    manager = managed(groups)
    manager.subset(limit or None)
    found = [host.name for host in manager.get_hosts("all")]
    return found or [host.name for host in manager.get_hosts("localhost")]


def selected(tags: Collection[str], only: Collection[str], skip: Collection[str]) -> bool:
    """Whether Ansible runs a task that has these tags: what `Taggable.evaluate_tags` (ansible/playbook/taggable.py) decides for
    tasks without `always` and `never`."""
    named = set(tags)
    runs = "all" in only or named.intersection(only) or ("tagged" if named else "untagged") in only
    skipped = "all" in skip or named.intersection(skip) or ("tagged" if named else "untagged") in skip
    return bool(runs and not skipped)


def partial(only: Collection[str], skip: Collection[str]) -> str:
    """Why tags would leave out parts of a playbook of ours, and the remedy; "" where they do not, or it is somebody else's.

    `only` and `skip` are what the command line names (`ansible_run_tags`, `ansible_skip_tags`).
    """
    words = [f"--tags {','.join(sorted(only))}"] if set(only) - {"all", "untagged"} else []
    left_out = set(skip) - _OF_MOLECULE
    words += [f"--skip-tags {','.join(sorted(left_out))}"] if left_out else []
    if not words or not ours():
        return ""
    return f"{' and '.join(words)}: nothing in this playbook has tags, its parts need each other. {_INSTEAD}."


def started_late() -> str:
    """Why `--start-at-task` cannot be, and the remedy; "" where it is not there, or the playbook is somebody's own."""
    task = option("start_at_task")
    if not task or not ours():
        return ""
    return (
        f"--start-at-task {task!r} would pass over what comes before it and what everything after it needs. Leave it out: what is"
        " as planned is left alone, so that a second run goes on where the first one ended."
    )


def refuses(skip: Collection[str]) -> bool:
    """Whether a task with the tag `always` runs, and can refuse."""
    return not {"always", "tagged"}.intersection(skip)


def takes_part(tags: Iterable[str], variables: Variables, gap: str = "") -> bool:
    """Whether the task that a playbook of ours begins with is to do its work; its tags are `tags`, with `always` among them.

    False in somebody's own playbook, where other parts of it are asked for. Raises AnsibleActionFail for a run that would be
    partial, or has the gap that is named.
    """
    only = {str(tag) for tag in variables.get("ansible_run_tags", ())} or {"all"}
    skip = {str(tag) for tag in variables.get("ansible_skip_tags", ())}
    if why := partial(only, skip):
        raise AnsibleActionFail(why)
    if not selected({*tags} - {"always"}, only, skip):
        return False
    if gap:
        raise AnsibleActionFail(gap)
    return True
