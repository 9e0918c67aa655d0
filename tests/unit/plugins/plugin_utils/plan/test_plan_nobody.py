"""A run in which no host of the fleet takes part fails and says why; it used to end well."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import ansible_runs
import pytest
import yaml
from ansible_collections.baremetal.vllm.plugins.filter.fleet import fleet_gap
from ansible_collections.baremetal.vllm.plugins.module_utils.text.problems import Problems
from ansible_collections.baremetal.vllm.plugins.plugin_utils.plan.headers import check_headers

ROOT = Path(__file__).resolve().parents[5]
GROUPS = {"all": ["h1", "h2", "gw1"], "ungrouped": [], "gpu_hosts": ["h1", "h2"], "gateways": ["gw1"], "spare": []}
HOST = {"vllm_accelerator": "cpu", "vllm_version": "0.33.0", "vllm_models": {}, "vllm_api_key": "sk-0123456789abcdef"}


@pytest.mark.parametrize(
    ("group", "limit", "words"),
    [
        (
            "gpu_host",
            "",
            ["The group gpu_host is not in the inventory", 'Did you mean "gpu_hosts"', "-e vllm_group="],
        ),
        ("spare", "", ["The group spare is empty", "Known are: gateways, gpu_hosts"]),
        (
            "gpu_hosts",
            "gw1",
            ["--limit gw1 names no host of the group gpu_hosts (h1 and h2)", "--limit 'gw1,h1'"],
        ),
    ],
)
def test_why_nobody_takes_part(group: str, limit: str, words: list[str]) -> None:
    said = fleet_gap(GROUPS, group, limit)
    for word in words:
        assert word in said


@pytest.mark.parametrize("limit", ["", "h2", "gw1,h1", "all", "all:!gw1"])
def test_nothing_is_said_where_somebody_does(limit: str) -> None:
    assert fleet_gap(GROUPS, "gpu_hosts", limit) == ""


def test_an_inventory_without_groups_is_asked_after() -> None:
    assert "The inventory has no hosts: is -i right?" in fleet_gap({"all": [], "ungrouped": []}, "gpu_hosts")
    inline = {"all": ["h1"], "ungrouped": ["h1"]}
    assert "The inventory has h1, in no group. Put the hosts into it, or take all: -e vllm_group=all." in fleet_gap(
        inline, "gpu_hosts"
    )
    assert fleet_gap(inline, "").startswith("vllm_group is empty.")


def test_of_many_groups_a_few_are_named() -> None:
    many = {f"rack{number}": ["h1"] for number in range(300)}
    spare = fleet_gap({**GROUPS, **many, "gpu_hosts": [], "gateways": []}, "spare")
    assert "Known are: rack0, rack1, rack2 and 297 more." in spare
    assert 'Did you mean "rack7".' in fleet_gap(many, "rakc7")


def play(playbook: str, inventory: Path | str, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Outside the checkout, without its ansible.cfg."""
    env = {"ANSIBLE_CONFIG": None, "ANSIBLE_NOCOLOR": "1", **environment}
    words = ("ansible-playbook", f"baremetal.vllm.{playbook}", "-i", inventory, *arguments)
    return ansible_runs.run(*words, cwd=Path("/"), env=env)


def test_a_run_that_would_be_partial_fails_and_says_why_once(tmp_path: Path) -> None:
    done = play("migrate", write(tmp_path), "-e", "to=0.33.0", "--limit", "10.0.0.9", "--tags", "menu")
    text = done.stdout + done.stderr
    assert done.returncode == 2
    assert text.count("--tags menu: nothing in this playbook has tags") == 1
    assert text.count("fatal: [10.0.0.9]: FAILED!") == 1
    assert "UNREACHABLE" not in text


def test_problems_are_told_once_however_many_hosts_have_them(tmp_path: Path) -> None:
    hosts = {f"h{number}": {} for number in range(200)}
    wrong = {"model": "/srv/m", "kind": "caht", "args": {"max-model-lne": 1}}
    variables = {**HOST, "vllm_models": {"m": wrong}, "vllm_engine_source": "weelhouse", "gpu_count": "x"}
    inventory = tmp_path / "hosts.json"
    inventory.write_text(json.dumps({"gpu_hosts": {"hosts": hosts, "vars": variables}}))
    given = ("-e", "vllm_report_path=/nowhere/report.json", "-e", "vllm_plan_json=~/plan.json")
    done = play("site", inventory, *given, HOME=str(tmp_path))
    text = done.stdout + done.stderr
    assert done.returncode == 2
    problems = [
        "[ERROR]: The inventory has 5 problems; no host was touched.",
        "vllm_models.m.kind: 'caht' is not a kind of model",
        "vllm_models.m.args.max-model-lne: is not an option",
        "h0, h1, h2 and 197 more.vllm_engine_source: 'weelhouse' is not a source of engines",
        "h0, h1, h2 and 197 more.gpu_count: 'x' is not a count",
        "vllm_report_path: the folder /nowhere is not there. Make it: mkdir -p /nowhere.",
        "The inventory has 5 problems; no host was touched (told above)",
    ]
    assert [text.count(problem) for problem in problems] == [1] * len(problems)
    assert text.count("fatal:") == 1


def refused(names: list[str], groups: dict[str, str], given: list[str]) -> list[str]:
    problems = Problems()
    check_headers({"h1": (), "h2": names}, groups, given, problems)
    return [problem.key for problem in problems.problems]


def test_a_group_is_refused_where_the_headers_of_plays_do_not_see_it() -> None:
    asked = {"vllm_group": "rack", "vllm_gateway_group": "doors"}
    assert refused(["vllm_group", "vllm_gateway_group"], asked, []) == ["vllm_group", "vllm_gateway_group"]
    assert refused(["vllm_group", "vllm_gateway_group"], asked, ["vllm_group"]) == ["vllm_gateway_group"]
    assert refused([], asked, []) == [], "of a play's own variables headers know"
    assert refused(["vllm_group"], {"vllm_group": "gpu_hosts", "vllm_gateway_group": "gateways"}, []) == []


@pytest.mark.parametrize("usual", [True, False])
def test_a_group_of_the_inventorys_variables_is_refused_with_the_remedy(tmp_path: Path, usual: bool) -> None:
    inventory = write(tmp_path)
    found = yaml.safe_load(inventory.read_text())
    found["rack"] = found["gpu_hosts"] if usual else found.pop("gpu_hosts")
    found["all"]["vars"]["vllm_group"] = "rack"
    inventory.write_text(yaml.safe_dump(found))
    done = play("plan", inventory)
    text = " ".join((done.stdout + done.stderr).split())
    assert done.returncode == 2
    assert "vllm_group: 'rack' stands in the inventory, which the headers of plays do not see" in text
    assert "gpu_hosts: {children: {rack: }}" in text
    assert "-e vllm_group=rack" in text


def test_how_many_hosts_at_a_time_is_read_from_the_inventory_too(tmp_path: Path) -> None:
    inventory = write(tmp_path)
    found = yaml.safe_load(inventory.read_text())
    del found["gateways"]
    found["gpu_hosts"]["vars"] |= {"vllm_accelerator": "cuda", "gpu_count": 1, "nvidia_driver_serial": 1}
    inventory.write_text(yaml.safe_dump(found))
    # Nobody answers, so the first batch is the last.
    text = play("driver", inventory).stdout
    assert text.count("fatal: [h1]") == 1
    assert "fatal: [h2]" not in text


def test_the_strategy_of_the_environment_changes_nothing_and_the_terminal_gets_the_document(tmp_path: Path) -> None:
    given = ("-e", "vllm_plan_json=/dev/stdout", "--limit", "h2,10.0.0.9")
    done = play("plan", write(tmp_path), *given, ANSIBLE_STRATEGY="free")
    assert done.returncode == 0, done.stdout
    document = done.stdout[done.stdout.index("\n{\n") : done.stdout.index("\n}\n") + 3]
    assert sorted(json.loads(document)["plan"]["hosts"]) == ["h1", "h2"]
    assert not Path("/dev/stdout").is_file() or Path("/dev/stdout").is_symlink()
    # One task, one line of the recap: nothing but the plan is run.
    assert done.stdout.partition("PLAY RECAP")[2].split()[1:10] == [
        *("h2", ":", "ok=1", "changed=0", "unreachable=0", "failed=0", "skipped=0", "rescued=0", "ignored=0"),
    ]
    assert done.stdout.count("=1    changed=0") == 1
    assert done.stdout.count("PLAY [") == 1


def local(folder: Path, models: dict[str, Any]) -> Path:
    """This computer as the only host, read and not changed."""
    here = {"ansible_connection": "local", "ansible_become": False, "vllm_plan_become": False, "vllm_models": models}
    here["ansible_python_interpreter"] = sys.executable
    path = folder / "here.json"
    path.write_text(json.dumps({"gpu_hosts": {"hosts": {"h1": {}}, "vars": {**HOST, **here}}}))
    return path


def test_what_would_change_and_what_cannot_be_have_statuses_of_their_own(tmp_path: Path) -> None:
    changes = ("--diff", "-e", "vllm_plan_exit=changes")
    done = play("plan", local(tmp_path, {}), *changes)
    assert done.returncode == 3, done.stdout + done.stderr
    assert "Something would change: status 3" in done.stdout
    refused = play("plan", local(tmp_path, {"m": {"model": "/nowhere/m", "kind": "chat"}}), *changes)
    assert refused.returncode == 2
    assert "/nowhere/m does not exist" in refused.stdout


def test_an_engine_that_cannot_be_had_is_refused_before_anything_is_changed(tmp_path: Path) -> None:
    inventory = local(tmp_path, {"m": {"model": "/srv/m", "kind": "chat"}})
    done = play("site", inventory, "--check", "-e", f"vllm_engine_wheelhouse={tmp_path}", "-e", "vllm_version=0.8.5")
    assert done.returncode == 2, done.stdout
    assert (
        done.stdout.count(f"h1: there is no wheelhouse of 0.8.5 for cpu in {tmp_path}. Prepare it: ansible-play") == 1
    )
    assert "TASK [Look for the engine]" in done.stdout
    assert "Bring up the GPUs" not in done.stdout


def write(folder: Path) -> Path:
    """Two hosts and a gateway that nothing could connect to (no such user, no such key)."""
    keys: dict[str, Any] = {"gateway_keys": {"team": "sk-fedcba9876543210"}}
    inventory = {
        "gpu_hosts": {"hosts": {"h1": {}, "h2": {}}, "vars": HOST},
        "gateways": {"hosts": {"10.0.0.9": keys}},
        "all": {"vars": {"ansible_ssh_executable": "/bin/false"}},
    }
    path = folder / "hosts.yml"
    path.write_text(yaml.safe_dump(inventory))
    return path
