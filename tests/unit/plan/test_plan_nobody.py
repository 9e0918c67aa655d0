"""A run in which no host of the fleet takes part fails and says why; it used to end well."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import ansible_runs
import pytest
import yaml
from ansible_collections.baremetal.vllm.plugins.filter.fleet import fleet_gap
from ansible_collections.baremetal.vllm.plugins.module_utils.inventory.problems import Problems
from ansible_collections.baremetal.vllm.plugins.module_utils.plan.headers import check_headers

ROOT = Path(__file__).resolve().parents[3]
GROUPS = {"all": ["h1", "h2", "gw1"], "ungrouped": [], "gpu_hosts": ["h1", "h2"], "gateways": ["gw1"], "spare": []}
HOST = {"vllm_accelerator": "cpu", "vllm_version": "0.33.0", "vllm_models": {}, "vllm_api_key": "sk-0123456789abcdef"}


@pytest.mark.parametrize(
    ("group", "limit", "limited", "words"),
    [
        (
            "gpu_host",
            "",
            [],
            ["The group gpu_host is not in the inventory", 'Did you mean "gpu_hosts"', "-e vllm_group="],
        ),
        ("spare", "", [], ["The group spare is empty", "Known are: gateways, gpu_hosts"]),
        (
            "gpu_hosts",
            "gw1",
            ["gw1"],
            ["--limit gw1 names no host of the group gpu_hosts (h1 and h2)", "--limit 'gw1,h1'"],
        ),
    ],
)
def test_why_nobody_takes_part(group: str, limit: str, limited: list[str], words: list[str]) -> None:
    said = fleet_gap(GROUPS, group, limit, limited)
    for word in words:
        assert word in said


@pytest.mark.parametrize(
    ("limit", "limited"),
    [("", []), ("h2", ["h2"]), ("gw1,h1", ["gw1", "h1"]), ("all", [*GROUPS["all"]]), ("@hosts.retry", [])],
)
def test_nothing_is_said_where_somebody_does(limit: str, limited: list[str]) -> None:
    assert fleet_gap(GROUPS, "gpu_hosts", limit, limited) == ""


def test_an_inventory_without_groups_is_asked_after() -> None:
    assert "is -i right?" in fleet_gap({"all": [], "ungrouped": []}, "gpu_hosts", "", [])


def test_of_many_groups_a_few_are_named() -> None:
    many = {f"rack{number}": ["h1"] for number in range(300)}
    assert "Known are: rack0, rack1, rack2 and 297 more." in fleet_gap(
        {**GROUPS, **many, "gpu_hosts": [], "gateways": []}, "spare", "", []
    )
    assert 'Did you mean "rack7".' in fleet_gap(many, "rakc7", "", [])


def play(playbook: str, inventory: Path, *arguments: str) -> tuple[int, str]:
    done = ansible_runs.run("ansible-playbook", f"playbooks/{playbook}.yml", "-i", inventory, *arguments)
    return done.returncode, " ".join((done.stdout + done.stderr).split())


@pytest.mark.parametrize(
    ("playbook", "arguments", "said"),
    [
        ("site", ["-e", "vllm_group=gpu_host"], "The group gpu_host is not in the inventory"),
        ("site", ["--limit", "10.0.0.9"], "--limit 10.0.0.9 names no host of the group gpu_hosts (h1 and h2)"),
        ("verify", ["--limit", "!h1:!h2"], "--limit !h1:!h2 names no host of the group gpu_hosts"),
    ],
)
def test_every_playbook_that_plans_fails_without_a_host(
    tmp_path: Path, playbook: str, arguments: list[str], said: str
) -> None:
    code, text = play(playbook, write(tmp_path), *arguments)
    assert code != 0
    assert said in text
    assert "UNREACHABLE" not in text
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
    code, text = play("plan", inventory)
    assert code != 0
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
    _, text = play("driver", inventory)
    assert text.count("fatal: [h1]") == 1
    assert "fatal: [h2]" not in text


def test_a_fleet_costs_no_task_and_no_line_of_the_recap(tmp_path: Path) -> None:
    code, text = play("plan", write(tmp_path), "--limit", "h2,10.0.0.9")
    assert code == 0
    assert text.partition("PLAY RECAP")[2].split()[1:10] == [
        *("h2", ":", "ok=1", "changed=0", "unreachable=0", "failed=0", "skipped=0", "rescued=0", "ignored=0"),
    ]
    assert text.count("=1 changed=0") == 1


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
