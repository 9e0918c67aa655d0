"""What host_state is not told of engines is as the host has it for the role vllm_engine: every playbook then sees the same."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar, trust_as_template
from ansible_collections.baremetal.vllm.plugins.action import host_state

DEFAULTS = yaml.safe_load(
    (Path(__file__).resolve().parents[5] / "roles" / "vllm_engine" / "defaults" / "main.yml").read_text()
)


def sent(variables: dict[str, Any], **options: Any) -> dict[str, Any]:
    """What the host is asked."""
    found: dict[str, Any] = {}

    def module(module_args: dict[str, Any], **__: Any) -> dict[str, Any]:
        found.update(module_args)
        return {"steps": [], "refusals": []}

    task = SimpleNamespace(args=options, async_val=0, check_mode=False, diff=False, action="")
    connection = SimpleNamespace(_shell=SimpleNamespace(tmpdir="/tmp"))
    loader = DataLoader()
    action: Any = host_state.ActionModule(task, connection, None, loader, Templar(loader, variables), None)
    action._execute_module = module
    assert action.run(task_vars=variables)["status"] == "read"
    return found


@pytest.mark.parametrize(
    ("variables", "options", "keep"),
    [
        ({}, {}, None),
        ({"vllm_engine_keep": ["0.33.0"]}, {}, ["0.33.0"]),
        ({"mine": "0.32.0", "vllm_engine_keep": [trust_as_template("{{ mine }}")]}, {}, ["0.32.0"]),
        ({"vllm_engine_keep": ["0.33.0"]}, {"keep": ["0.31.0"]}, ["0.31.0"]),
    ],
    ids=["the role's", "the host's", "an expression of the host's", "the task's"],
)
def test_releases_to_keep(variables: dict[str, Any], options: dict[str, Any], keep: list[str] | None) -> None:
    asked = sent(variables, **options)
    assert asked.get("keep") == keep
    assert asked["packages"] == DEFAULTS["vllm_engine_packages"]
