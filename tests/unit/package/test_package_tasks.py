"""Tasks that install or remove packages leave needrestart asleep: it would restart engines in the middle of a play."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[3]
MANAGERS = {f"ansible.builtin.{name}" for name in ("apt", "dnf", "dnf5", "package", "yum")}
# needrestart's hook of apt ends at once where this is not empty (its apt-pinvoke, 3.5 to 3.11).
ASLEEP = {"NEEDRESTART_SUSPEND": "1"}


def package_tasks(tasks: Any, environment: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """(name, environment) of every task that changes packages, blocks and what they pass on included."""
    for task in tasks or []:
        own = {**environment, **task.get("environment", {})}
        for part in ("block", "rescue", "always", "tasks", "pre_tasks", "post_tasks"):
            yield from package_tasks(task.get(part), own)
        if MANAGERS & set(task):
            yield task.get("name", "?"), own


FILES = [*sorted(ROOT.glob("roles/*/tasks/*.yml")), *sorted(ROOT.glob("playbooks/*.yml"))]
FOUND = {
    f"{file.relative_to(ROOT)}: {name}": environment
    for file in FILES
    for name, environment in package_tasks(yaml.safe_load(file.read_text()), {})
}


def test_the_tasks_are_found() -> None:
    roles = {place.split("/")[1] for place in FOUND}
    assert {"vllm_engine", "gateway", "endpoint_firewall", "dcgm", "container_toolkit"} <= roles


@pytest.mark.parametrize("task", FOUND)
def test_needrestart_is_asleep(task: str) -> None:
    assert {key: FOUND[task].get(key) for key in ASLEEP} == ASLEEP
