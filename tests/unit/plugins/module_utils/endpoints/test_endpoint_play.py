"""The role, the report and the filter under real Ansible, with stand-in endpoints on this machine."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("ansible.plugins", reason="ansible-test runs what lies here as on a host: without the control node")

import ansible_runs
from standin_vllm import KEY, MODEL, StandInVllm

PLAY = """
- name: Prove
  hosts: all
  gather_facts: false
  roles:
    - baremetal.vllm.endpoint_check

- name: Report
  hosts: all
  gather_facts: false
  tasks:
    - name: Report
      baremetal.vllm.report:
        path: "{{ report_path | default(omit, true) }}"
        directory: "{{ report_dir | default(omit) }}"
        digest: abc
        plan: "{{ report_plan | default(omit) }}"
      run_once: true
      register: told

    - name: Show
      ansible.builtin.debug:
        var: told
      run_once: true

    - name: Fail
      ansible.builtin.fail:
        msg: "{{ __endpoint_check_results.results | baremetal.vllm.failed_checks | join('; ') }}"
      when: __endpoint_check_results.results | baremetal.vllm.failed_checks | length > 0
"""


def service(standin: StandInVllm) -> dict[str, Any]:
    prove = {"key": True, "max_model_len": 128}
    return {"name": MODEL, "kind": standin.kind, "port": str(standin.port), "address": "0.0.0.0", "prove": prove}


def rows(output: str) -> dict[str, str]:
    """Host and verdict of the table's rows."""
    verdicts = ("passed", "FAILED", "not reached", "no result")
    return {
        line.split()[0]: verdict
        for line in output.splitlines()
        for verdict in verdicts
        if line.endswith(f"  {verdict}") and not line.startswith(" ")
    }


@pytest.fixture
def play(tmp_path: Path) -> Any:
    (tmp_path / "play.yml").write_text(PLAY)
    (tmp_path / "key.env").write_text(f"VLLM_API_KEY={KEY}\n")

    def run(hosts: dict[str, dict[str, Any]], *options: str) -> subprocess.CompletedProcess[str]:
        shared = {
            "ansible_connection": "local",
            "ansible_python_interpreter": sys.executable,
            "endpoint_check_become": False,
            "endpoint_check_api_key_file": str(tmp_path / "key.env"),
            "endpoint_check_timeout": 5,
            "report_path": str(tmp_path / "report.json"),
        }
        (tmp_path / "inventory.json").write_text(json.dumps({"all": {"vars": shared, "hosts": hosts}}))
        inventory, playbook = tmp_path / "inventory.json", tmp_path / "play.yml"
        env = {
            "ANSIBLE_SHOW_CUSTOM_STATS": "1",
            "ANSIBLE_CALLBACK_RESULT_FORMAT": "json",
            "XDG_STATE_HOME": str(tmp_path / "state"),
        }
        return ansible_runs.run("ansible-playbook", "-i", inventory, playbook, *options, cwd=tmp_path, env=env)

    return run


def test_fleet_with_a_failure_and_an_unreachable_host(play: Any, tmp_path: Path) -> None:
    with StandInVllm("chat") as good, StandInVllm("embedding", "embedding_reversed") as bad:
        planned = {"good": {"services": [service(good)]}, "bad": {"services": [service(bad)]}, "gone": {"services": []}}
        ended = play(
            {
                "good": {
                    "endpoint_check_services": [service(good)],
                    "vllm_endpoint_address": "127.0.0.9",
                    "report_plan": {"plan": {"gateway": None, "hosts": planned}},
                },
                "bad": {"endpoint_check_services": [service(bad)]},
                "gone": {"ansible_connection": "ssh", "ansible_host": "127.0.0.1", "ansible_port": 1},
            },
            "-vvv",
        )
    output = ended.stdout
    assert KEY not in output + ended.stderr
    assert rows(output) == {"good": "passed", "bad": "FAILED", "gone": "not reached"}
    # Only what was proved is there to be asked.
    assert [line for line in output.splitlines() if line.startswith("curl")] == [
        f"curl http://127.0.0.9:{good.port}/v1/chat/completions \\"
    ]
    reported = json.loads((tmp_path / "report.json").read_text())
    assert (reported["endpoints"], reported["passed"], reported["plan_digest"]) == (2, 1, "abc")
    assert reported["hosts_without_results"] == {"gone": "not reached"}
    assert {result["host"]: result["passed"] for result in reported["results"]} == {"good": True, "bad": False}
    assert (tmp_path / "report.json").stat().st_mode & 0o777 == 0o644
    assert "batch_order: observed the batch holds the texts in the order [2, 1, 0]" in output
    assert ended.returncode != 0
    # What AWX gives to the next node of a workflow.
    left = output.partition("CUSTOM STATS")[2]
    (stats,) = re.findall(r"RUN: +(\{.*\})$", left, re.MULTILINE)
    told = json.loads(stats)["baremetal_vllm_report"]
    assert (told["endpoints"], told["passed"], told["plan"]) == (2, 1, "abc")
    assert told["failed"] == reported["failed"]
    assert f"The report is in {tmp_path / 'report.json'}." in output


def test_check_mode_proves_and_shows_but_writes_nothing(play: Any, tmp_path: Path) -> None:
    with StandInVllm("classify") as standin:
        ended = play({"only": {"endpoint_check_services": [service(standin)]}}, "--check")
    assert ended.returncode == 0, ended.stdout
    assert "POST /classify" in standin.requests
    assert "passed" in ended.stdout
    assert not (tmp_path / "report.json").exists()


def test_host_that_serves_nothing_has_no_row_and_the_report_has_a_place_of_its_own(play: Any, tmp_path: Path) -> None:
    ended = play({"idle": {}}, "-e", "report_path=", "-e", "report_dir=")
    assert ended.returncode == 0, ended.stdout
    assert "HOST  MODEL" in ended.stdout
    assert rows(ended.stdout) == {}
    # Nor is anything left where the command was run.
    assert not list(tmp_path.glob("*report*"))
    assert (
        json.loads((tmp_path / "state" / "baremetal-vllm" / "reports" / "vllm-report.json").read_text())["endpoints"]
        == 0
    )


def test_unusable_parameters_fail_the_task_with_every_reason(play: Any) -> None:
    ended = play({"only": {"endpoint_check_services": [{"name": "m", "kind": "poetry", "port": 0}]}})
    assert ended.returncode != 0
    assert "kind is 'poetry'" in ended.stdout
    assert "port is 0" in ended.stdout
