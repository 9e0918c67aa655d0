"""Packages come by one module of ours: through the proxy, with needrestart asleep, which would restart engines in mid-play."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[3]
OURS = "baremetal.vllm.system_packages"
MANAGERS = {f"ansible.builtin.{name}" for name in ("apt", "dnf", "dnf5", "package", "yum")}


def modules(tasks: Any) -> Iterator[str]:
    """The keys of every task, blocks included."""
    for task in tasks or []:
        for part in ("block", "rescue", "always", "tasks", "pre_tasks", "post_tasks"):
            yield from modules(task.get(part))
        yield from task


def test_no_task_asks_a_package_manager_otherwise() -> None:
    used = {
        (str(file.relative_to(ROOT)), name)
        for file in [*ROOT.glob("roles/*/tasks/*.yml"), *ROOT.glob("playbooks/**/*.yml")]
        for name in modules(yaml.safe_load(file.read_text()))
        if name in MANAGERS | {OURS}
    }
    roles = {file.split("/")[1] for file, name in used if name == OURS}
    assert {"vllm_engine", "gateway", "endpoint_firewall", "dcgm", "container_toolkit"} <= roles
    assert {(file, name) for file, name in used if name in MANAGERS} == set()
