"""The role fleet_hold as Ansible plays it, with the real lock: who gets the fleet, who is refused, and what a failure leaves behind."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import ansible_runs
import pytest

OTHER = {
    **{"id": "a1", "who": "ann@desk", "what": "rollout of plan 12", "since": "2026-01-01T00:00:00+00:00"},
    **{"pid": 7, "started": "100", "node": "another", "boot": "b"},
}
LOCAL = {
    "ansible_connection": "local",
    "ansible_python_interpreter": "{{ ansible_playbook_python }}",
    "ansible_become": False,
}
# Nobody listens there.
LOST = {"ansible_host": "127.0.0.1", "ansible_port": 1}
ROLE = "baremetal.vllm.fleet_hold"


class Fleet:
    """Two hosts, `keeper` that keeps the lock in a file, and `lost`, which does not answer."""

    def __init__(self, directory: Path) -> None:
        self.directory, self.lock = directory, directory / "kept" / "rollout.lock"
        hosts = {"h1": LOCAL, "h2": LOCAL}
        keepers = {"keeper": LOCAL, "lost": LOST}
        inventory = {"fleet": {"hosts": hosts}, "keepers": {"hosts": keepers}}
        (directory / "inventory.json").write_text(json.dumps(inventory))

    def held_by_another(self) -> None:
        self.lock.parent.mkdir()
        self.lock.write_text(json.dumps(OTHER))

    def play(
        self, *entries: str, once: bool = True, check: bool = False, **variables: Any
    ) -> subprocess.CompletedProcess[str]:
        """Entry points of the role one after the other, with the first one's failure told only after the last one."""
        uses = [
            {"ansible.builtin.import_role": {"name": ROLE, "tasks_from": f"{entry}.yml"}, "run_once": once}
            for entry in entries
        ]
        gateway = {name: str(self.directory / "nothing") for name in ("socket", "directory", "config")}
        play = {
            "hosts": "fleet",
            "gather_facts": False,
            "vars": {f"fleet_hold_{name}": value for name, value in variables.items()},
            "module_defaults": {
                "baremetal.vllm.fleet_lock": {"path": str(self.lock)},
                "baremetal.vllm.gateway_server": gateway,
            },
            "tasks": [
                {"block": uses[:1], "always": uses[1:]} if uses[1:] else uses[0],
                {"ansible.builtin.debug": {"msg": "{{ inventory_hostname }} goes on"}},
            ],
        }
        (self.directory / "play.yml").write_text(json.dumps([play]))
        return ansible_runs.run(
            *("ansible-playbook", "-i", "inventory.json", "play.yml", *(["--check"] if check else [])),
            cwd=self.directory,
        )


@pytest.fixture
def fleet(tmp_path: Path) -> Fleet:
    return Fleet(tmp_path)


def both_go_on(done: subprocess.CompletedProcess[str]) -> bool:
    return done.returncode == 0 and all(f"{host} goes on" in done.stdout for host in ("h1", "h2"))


def test_one_keeper_that_answers_is_enough(fleet: Fleet) -> None:
    done = fleet.play("main", keepers=["lost", "keeper"], what="new cables")
    assert both_go_on(done), done.stdout
    assert json.loads(fleet.lock.read_text())["what"] == "new cables"
    # That run has ended, so the next one succeeds it.
    done = fleet.play("main", "release", keepers=["lost", "keeper"])
    assert both_go_on(done), done.stdout
    assert not fleet.lock.exists()


def test_without_a_keeper_that_answers_nobody_can_say(fleet: Fleet) -> None:
    done = fleet.play("main", keepers=["lost"])
    assert "None of those that keep the lock answers (lost)" in done.stdout
    assert not both_go_on(done)
    assert both_go_on(fleet.play("check", keepers=["lost"])), "who only looks is not in the way of a repair"


@pytest.mark.parametrize("entry", ["main", "check", "drain_host"])
def test_a_fleet_that_another_run_changes_is_refused_with_its_name(fleet: Fleet, entry: str) -> None:
    fleet.held_by_another()
    undo = {"main": "release", "check": "release", "drain_host": "return_host"}[entry]
    done = fleet.play(entry, undo, once=entry != "drain_host", keepers=["lost", "keeper"], gateways=["keeper"])
    assert not both_go_on(done)
    assert "ann@desk" in done.stdout
    assert "rollout of plan 12" in done.stdout
    assert json.loads(fleet.lock.read_text()) == OTHER


@pytest.mark.parametrize(("entry", "holds"), [("main", True), ("check", False)])
def test_who_knows_better_takes_over(fleet: Fleet, entry: str, holds: bool) -> None:
    fleet.held_by_another()
    assert both_go_on(fleet.play(entry, keepers=["keeper"], take_over="a1"))
    assert (json.loads(fleet.lock.read_text()) != OTHER) is holds


def test_check_mode_and_a_look_take_nothing(fleet: Fleet) -> None:
    assert both_go_on(fleet.play("main", "release", check=True, keepers=["keeper"]))
    assert both_go_on(fleet.play("check", keepers=["keeper"]))
    assert not fleet.lock.exists()


def test_a_host_is_drained_under_the_lock_and_returned(fleet: Fleet) -> None:
    assert both_go_on(fleet.play("drain_host", once=False, gateways=["keeper"], what="power test"))
    assert json.loads(fleet.lock.read_text())["what"] == "power test"
    assert both_go_on(fleet.play("drain_host", "return_host", once=False, gateways=["keeper"]))
    assert not fleet.lock.exists()


def test_a_gateway_that_is_lost_would_go_on_sending_requests(fleet: Fleet) -> None:
    done = fleet.play("drain_host", "return_host", once=False, gateways=["keeper", "lost"], what="power test")
    assert "lost: this gateway cannot be reached, and would send requests to h1 during the power test" in done.stdout
    assert "Send no new request" not in done.stdout
    assert not fleet.lock.exists()
