"""plan.yml under real Ansible, with hosts that nobody can reach: an ssh that keeps a record of being called."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("ansible.plugins", reason="ansible-test runs what lies here as on a host: without the control node")

import ansible_runs

ROOT = Path(__file__).resolve().parents[5]


class Fleet:
    """Two unreachable hosts, and what was said to them."""

    def __init__(self, directory: Path) -> None:
        self.calls, self.json = directory / "calls", directory / "plan.json"
        self.calls.touch()
        ssh = directory / "ssh"
        called = f"for word; do case $word in h1|h2) echo $word >> {self.calls};; esac; done"
        ssh.write_text(f"#!/bin/sh\n{called}\necho 'no route to host' >&2\nexit 255\n")
        ssh.chmod(0o755)
        self.inventory = directory / "hosts.yml"
        variables = {
            "ansible_ssh_executable": str(ssh),
            "ansible_user": "root",
            "vllm_accelerator": "cpu",
            "vllm_version": "0.32.0",
            "vllm_api_key": "key-no-secret",
            "vllm_models": {"m": {"model": "/srv/m", "kind": "chat", "args": {"max-model-len": "16k"}}},
        }
        self.inventory.write_text(json.dumps({"gpu_hosts": {"hosts": {"h1": {}, "h2": {}}, "vars": variables}}))

    def plan(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return ansible_runs.run("ansible-playbook", "baremetal.vllm.plan", "-i", self.inventory, *arguments)

    @property
    def document(self) -> dict[str, Any]:
        content: dict[str, Any] = json.loads(self.json.read_text())
        return content


@pytest.fixture
def fleet(tmp_path: Path) -> Fleet:
    return Fleet(tmp_path)


def test_a_plan_contacts_no_host_and_writes_nothing_that_nobody_asked_for(fleet: Fleet) -> None:
    done = fleet.plan()
    assert done.returncode == 0, done.stdout + done.stderr
    assert "unreachable=1" not in done.stdout
    assert fleet.calls.read_text() == ""
    assert not fleet.json.exists()


def test_its_document_has_the_plan_and_no_differences(fleet: Fleet) -> None:
    assert fleet.plan("-e", f"vllm_plan_json={fleet.json}").returncode == 0
    assert fleet.calls.read_text() == ""
    told = fleet.document
    assert (told["schema"], told["differences"], len(told["digest"])) == (1, None, 64)
    assert [s["name"] for host in ("h1", "h2") for s in told["plan"]["hosts"][host]["services"]] == ["m", "m"]
    assert "key-no-secret" not in fleet.json.read_text()


def test_hosts_out_of_reach_have_their_line_in_the_table_and_the_document_and_fail_the_run(fleet: Fleet) -> None:
    done = fleet.plan("--diff", "-e", f"vllm_plan_json={fleet.json}")
    assert done.returncode == 2
    for host in ("h1", "h2"):
        said = fleet.document["differences"]["hosts"][host]
        assert (said["status"], "no route to host" in said["why"]) == ("unreachable", True)
    for host in ("h1", "h2"):
        assert re.search(rf"^{host} +unreachable +.*no route to host$", done.stdout, re.MULTILINE)
    assert sorted(fleet.calls.read_text().split()) == ["h1", "h2"], "one connection a host"
    assert "2 hosts unreachable" in done.stdout


def test_only_the_hosts_of_a_limit_are_asked_and_standard_output_can_be_the_document(fleet: Fleet) -> None:
    done = fleet.plan("--diff", "--limit", "h2", "-e", f"vllm_plan_json={fleet.json}", "-e", "vllm_output=json")
    assert done.returncode == 2
    shown = json.loads(done.stdout)
    assert {key: shown[key] for key in fleet.document} == fleet.document
    assert (shown["kind"], shown["ok"]) == ("plan", False)
    assert [error["host"] for error in shown["errors"]] == ["h2"]
    assert "no route to host" in shown["errors"][0]["message"]
    assert "TASK [Read what runs on the hosts]" in done.stderr
    assert {h: s["status"] for h, s in fleet.document["differences"]["hosts"].items()} == {
        "h1": "not asked",
        "h2": "unreachable",
    }
    assert fleet.calls.read_text().split() == ["h2"]


def test_check_mode_writes_no_document(fleet: Fleet) -> None:
    assert fleet.plan("--check", "-e", f"vllm_plan_json={fleet.json}").returncode == 0
    assert not fleet.json.exists()


def test_hosts_that_take_a_connection_and_fall_silent_have_their_line_too(fleet: Fleet) -> None:
    ssh = fleet.calls.with_name("ssh")
    ssh.write_text("#!/bin/sh\nexec sleep 300\n")
    done = fleet.plan("--diff", "-e", f"vllm_plan_json={fleet.json}", "-e", "vllm_look_timeout=1")
    assert done.returncode == 2
    for host in ("h1", "h2"):
        said = fleet.document["differences"]["hosts"][host]
        assert said["status"] == "unreachable"
        assert said["why"].startswith(f"{host} gave no answer within 1 s. See by ssh what hangs there")
        assert re.search(rf"^{host} +unreachable +{host} gave no answer within 1 s", done.stdout, re.MULTILINE)
