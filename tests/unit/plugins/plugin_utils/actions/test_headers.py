"""Every playbook, with command lines that leave nobody to run it: somebody is left to say so, or the header does. Nothing is run."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

# Its one run is not made by several workers.
pytestmark = pytest.mark.xdist_group("headers")
HERE = Path(__file__).resolve()
ROOT = HERE.parents[5]
# Parts of others; they come after a plan.
PARTS = {"check_lock", "engines", "fan_out", "gateway_hosts", "gpus", "look", "report"}
ON_CONTROL = {"import", "recipe", "revision", "schema", "wheelhouse"}
PLAYBOOKS = {path.stem: str(path) for path in sorted((ROOT / "playbooks").glob("*.yml"))}


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    inventory = tmp_path_factory.mktemp("headers") / "hosts.yml"
    inventory.write_text("gpu_hosts: {hosts: {h1: {}, h2: {}}}\ngateways: {hosts: {10.0.0.9: {}}}\n")
    done = subprocess.run(
        [sys.executable, HERE.with_name("headers.py"), inventory, *PLAYBOOKS.values()],
        env={**os.environ, "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"), "ANSIBLE_STRATEGY": "free"},
        capture_output=True,
        text=True,
        check=True,
    )
    found: dict[str, dict[str, Any]] = json.loads(done.stdout)
    return found


def by_verb(told: dict[str, Any]) -> dict[str, Any]:
    return {name: told[path] for name, path in PLAYBOOKS.items() if name not in PARTS}


@pytest.mark.parametrize(
    ("case", "on_fleet", "on_control"),
    [
        ("whole", ["h1", "h2"], ["localhost"]),
        ("limited", ["h2"], ["h2"]),
        ("limited elsewhere", ["10.0.0.9"], ["10.0.0.9"]),
        ("no inventory", ["localhost"], ["localhost"]),
        ("group misspelt", ["localhost"], ["localhost"]),
        ("listed without an inventory", [], ["localhost"]),
    ],
)
def test_somebody_is_there_to_run_it_or_to_say_why_not(
    told: dict[str, Any], case: str, on_fleet: list[str], on_control: list[str]
) -> None:
    said = by_verb(told[case])
    assert said == {name: on_control if name in ON_CONTROL else on_fleet for name in said}
    assert len(said) > 15


@pytest.mark.parametrize(
    ("case", "said"), [("skipped", "--skip-tags always: nothing"), ("started late", "--start-at-task 'Prove every")]
)
def test_what_would_pass_over_the_beginning_is_refused(told: dict[str, Any], case: str, said: str) -> None:
    for name, answer in by_verb(told[case]).items():
        assert said in answer, name


def test_no_play_takes_the_strategy_of_the_environment(told: dict[str, Any]) -> None:
    assert {strategy for path in PLAYBOOKS.values() for strategy in told["strategies"][path]} == {
        "ansible.builtin.linear"
    }
