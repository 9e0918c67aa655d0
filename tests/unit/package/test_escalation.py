"""Tasks become root on hosts where they must, and nowhere on the control node: a user with sudo there, and none here, can do it all."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.baremetal.vllm.plugins.plugin_utils.places import read_yaml

ROOT = Path(__file__).resolve().parents[3]
OURS, BUILTIN = "baremetal.vllm.", "ansible.builtin."
# Of the lab, beside its playbook.
LAB = "lab"
PARTS = ("block", "rescue", "always")
# Computed on the control node by an action plugin, whatever the task's connection: these run nothing on a host.
CONTROL = {
    *("ask", "bundle", "hub_revision", "lab", "migrate", "plan", "recipe", "report"),
    *("retire", "rollout", "schema", "show", "wheelhouse", "fan_out decision"),
}
NOWHERE = {"add_host", "assert", "debug", "fail", "group_by", "meta", "set_fact"}
# Any user may: whether the host answers at all, and what is asked over the network.
ANYBODY = {"ping", "uri"}
# Plugins do these things by themselves: they make the connection anew, or log in as the user.
INCLUDES = {f"{BUILTIN}{how}_{what}" for how in ("include", "import") for what in ("tasks", "role")}


@dataclass(frozen=True)
class Found:
    """A task in effect: where it stands, its action without collection, what it inherits, and where it runs."""

    place: str
    action: str
    become: Any
    local: bool
    variables: Mapping[str, Any]


# Read once: tasks are met on several ways.
read = cache(read_yaml)


def action_of(task: Mapping[str, Any]) -> str:
    return next((key for key in task if key == LAB or key.startswith((OURS, BUILTIN))), "")


def tasks_in(path: Path, become: Any, local: bool, variables: Mapping[str, Any]) -> Iterator[Found]:
    yield from walk(read(path), path, become, local, variables)


def walk(tasks: Any, path: Path, become: Any, local: bool, variables: Mapping[str, Any]) -> Iterator[Found]:
    for task in tasks or []:
        own, given = task.get("become", become), {**variables, **task.get("vars", {})}
        here = local or task.get("connection") == "local" or task.get("delegate_to") == "localhost"
        if any(part in task for part in PARTS):
            for part in PARTS:
                yield from walk(task.get(part), path, own, here, given)
            continue
        action = action_of(task)
        if action not in INCLUDES:
            name = action.removeprefix(OURS).removeprefix(BUILTIN)
            if name == "retire" and task[action].get("step") == "empty":
                # The one step of it that is for a host.
                name = "retire empty"
            if name == "fan_out" and task[action].get("step") in ("share", "certificate", "tell"):
                # Those of it that are for no host.
                name = "fan_out decision"
            yield Found(f"{path.relative_to(ROOT)}: {task.get('name', '?')}", name, own, here, given)
            continue
        # What an include says holds for the include itself; what surrounds it, and what an import says, for what comes with it.
        passed = own if "import" in action else become
        said = task[action]
        if action.endswith("tasks"):
            yield from tasks_in(path.parent / (said["file"] if isinstance(said, dict) else said), passed, here, given)
        else:
            role, entry = said["name"].removeprefix(OURS), said.get("tasks_from", "main.yml")
            yield from tasks_in(ROOT / "roles" / role / "tasks" / entry, passed, here, given)


def everything() -> Iterator[Found]:
    for book in sorted([*(ROOT / "playbooks").glob("*.yml"), *(ROOT / "tools" / "lab").glob("*.yml")]):
        for play in read(book):
            if f"{BUILTIN}import_playbook" in play:
                continue
            become, local, variables = play.get("become"), play.get("connection") == "local", play.get("vars", {})
            for part in ("pre_tasks", "tasks", "post_tasks"):
                yield from walk(play.get(part), book, become, local, variables)
            for role in play.get("roles", []):
                path = ROOT / "roles" / role["role"].removeprefix(OURS) / "tasks" / "main.yml"
                yield from tasks_in(path, role.get("become", become), local, variables)
    # As somebody's own playbook has them.
    for path in sorted((ROOT / "roles").glob("*/tasks/main.yml")):
        yield from tasks_in(path, None, False, {})


FOUND = sorted(
    {(one.place, one.action, str(one.become), one.local, one.variables.get("ansible_become")) for one in everything()},
    key=str,
)
ON_HOSTS = [one for one in FOUND if one[1] not in CONTROL | NOWHERE | ANYBODY and not one[3]]
HERE = [one for one in FOUND if one[3] and one[1] not in CONTROL | NOWHERE]


def test_the_tasks_are_found() -> None:
    actions = {action for __, action, *__ in ON_HOSTS}
    assert {
        "engine",
        "model_weights",
        "model_service",
        "unit_files",
        "system_packages",
    } <= actions
    assert not actions & CONTROL
    assert len(ON_HOSTS) > 60
    assert len(HERE) > 3


@pytest.mark.parametrize(("place", "become"), [(place, become) for place, __, become, *__ in ON_HOSTS])
def test_what_runs_on_hosts_becomes_root(place: str, become: str) -> None:
    assert become not in ("None", "False"), place


@pytest.mark.parametrize(("place", "variable"), [(place, variable) for place, *__, variable in HERE])
def test_what_runs_here_does_not(place: str, variable: object) -> None:
    # A keyword would not do: `ansible_become` of an inventory, and of group_vars/all in particular, wins over `become`.
    assert variable is False, place
