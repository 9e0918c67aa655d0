"""What a run takes part in: tags as Ansible itself selects by them, and where a refusal can stand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from ansible import context
from ansible.errors import AnsibleActionFail, AnsibleError
from ansible.playbook.block import Block
from ansible.playbook.play import Play
from ansible.playbook.task import Task
from ansible.utils.context_objects import CLIArgs
from ansible_collections.baremetal.vllm.plugins.filter.fleet import (
    control_host,
    differing_gateways,
    end_with_changes,
    looked_at,
    planning_hosts,
)
from ansible_collections.baremetal.vllm.plugins.plugin_utils.actions import run as run_of
from ansible_collections.baremetal.vllm.plugins.plugin_utils.actions.refusal import Refusal, told_once
from ansible_collections.baremetal.vllm.plugins.plugin_utils.actions.run import limited, ours, selected, takes_part
from hypothesis import given
from hypothesis import strategies as st

ROOT = Path(__file__).resolve().parents[5]
GROUPS = {"all": ["h1", "h2", "gw1"], "ungrouped": [], "gpu_hosts": ["h1", "h2"], "gateways": ["gw1"]}
SITE, MINE = str(ROOT / "playbooks" / "site.yml"), "/srv/mine/site.yml"
WORDS = st.sets(st.sampled_from(["a", "b", "all", "tagged", "untagged", "always"]), max_size=3)


@given(tags=st.sets(st.sampled_from(["a", "b", "c"])), only=WORDS, skip=WORDS)
def test_tags_select_as_ansible_does(tags: set[str], only: set[str], skip: set[str]) -> None:
    task = Task(block=Block(play=Play()))
    task.tags = sorted(tags)
    assert selected(tags, only or {"all"}, skip) == bool(task.evaluate_tags(only or {"all"}, skip, {}))


@pytest.fixture
def called(monkeypatch: pytest.MonkeyPatch) -> Any:
    """As ansible-playbook was called."""

    def called(*playbooks: str, **options: Any) -> None:
        monkeypatch.setattr(context, "CLIARGS", CLIArgs({"args": playbooks, **options}))

    called()
    return called


@pytest.mark.parametrize(
    ("playbooks", "said"),
    [
        (["baremetal.vllm.site"], True),
        ([SITE], True),
        (["baremetal.vllm.plan", SITE], True),
        ([MINE], False),
        (["baremetal.vllm.plan", MINE], False),
        ([], False),
    ],
)
def test_whose_playbook_runs(called: Any, playbooks: list[str], said: bool) -> None:
    called(*playbooks)
    assert ours() is said


PARTIAL: list[tuple[set[str], set[str], str]] = [
    ({"driver"}, set(), "--tags driver: nothing in this playbook has tags"),
    ({"all"}, {"driver", "weights"}, "--skip-tags driver,weights: nothing"),
    ({"always"}, set(), "--tags always: nothing"),
    ({"tagged"}, {"x"}, "--tags tagged and --skip-tags x: nothing"),
]


@pytest.mark.parametrize(("only", "skip", "said"), PARTIAL)
def test_our_playbooks_refuse_to_run_in_part(called: Any, only: set[str], skip: set[str], said: str) -> None:
    called(SITE)
    with pytest.raises(AnsibleActionFail) as refused:
        takes_part(["always"], {"ansible_run_tags": only, "ansible_skip_tags": skip})
    assert str(refused.value).startswith(said)
    with pytest.raises(AnsibleError, match="has tags"):
        control_host(GROUPS, "", only, skip)


OF_MOLECULE = {"molecule-notest", "notest", "molecule-idempotence-notest"}


@pytest.mark.parametrize(
    ("only", "skip"), [({"all"}, set()), ({"untagged"}, set()), (set(), set()), ({"all"}, OF_MOLECULE)]
)
def test_a_whole_run_takes_part(called: Any, only: set[str], skip: set[str]) -> None:
    called(SITE)
    assert takes_part(["always"], {"ansible_run_tags": only, "ansible_skip_tags": skip})


@pytest.mark.parametrize(
    ("tags", "only", "skip", "runs"),
    [
        (["always", "vllm"], {"vllm"}, set(), True),
        (["always", "vllm"], {"os"}, set(), False),
        (["always"], {"os"}, set(), False),
        (["always", "vllm"], {"all"}, {"vllm"}, False),
        (["always", "vllm"], {"all"}, {"os"}, True),
    ],
)
def test_somebodys_own_playbook_is_run_as_its_tags_say(
    called: Any, tags: list[str], only: set[str], skip: set[str], runs: bool
) -> None:
    called(MINE)
    assert takes_part(tags, {"ansible_run_tags": only, "ansible_skip_tags": skip}, "" if runs else "a gap") is runs
    assert planning_hosts(GROUPS, "gpu_hosts", "", only, skip) == "gpu_hosts"


@pytest.mark.parametrize("skip", [{"always"}, {"tagged"}])
def test_what_no_task_could_refuse_the_header_does(called: Any, skip: set[str]) -> None:
    called(SITE)
    with pytest.raises(AnsibleError, match=f"--skip-tags {next(iter(skip))}: nothing"):
        planning_hosts(GROUPS, "gpu_hosts", "", {"all"}, skip)
    called(SITE, start_at_task="Prove")
    for header in (lambda: planning_hosts(GROUPS, "gpu_hosts"), lambda: control_host(GROUPS)):
        with pytest.raises(AnsibleError, match="--start-at-task 'Prove' would pass over"):
            header()


@pytest.mark.parametrize(
    ("limit", "plans", "controls"),
    [
        ("", "gpu_hosts", "localhost"),
        ("h2", "gpu_hosts", "h2"),
        ("gw1", "gw1", "gw1"),
        ("gw1,localhost", "gw1", "gw1"),
        ("all:!gpu_hosts", "gw1", "gw1"),
    ],
)
def test_some_host_takes_part(called: Any, limit: str, plans: str, controls: str) -> None:
    assert planning_hosts(GROUPS, "gpu_hosts", limit) == plans
    assert control_host(GROUPS, limit) == controls


def test_where_nobody_is_left_the_header_says_so(called: Any, tmp_path: Path) -> None:
    empty: dict[str, list[str]] = {"all": [], "ungrouped": []}
    assert planning_hosts(empty, "gpu_hosts") == control_host(empty) == "localhost"
    assert planning_hosts(empty, "gpu_hosts", "localhost") == control_host(empty, "localhost") == "localhost"
    for header in (lambda: planning_hosts(empty, "gpu_hosts", "h1"), lambda: control_host(empty, "h1")):
        with pytest.raises(AnsibleError):
            header()
    called(SITE, listtasks=True)
    assert (planning_hosts(empty, "gpu_hosts", "h1"), control_host(empty, "h1")) == ("gpu_hosts", "localhost")


def test_a_file_of_hosts_limits_as_well(tmp_path: Path) -> None:
    (tmp_path / "hosts.retry").write_text("h2\n\ngw1\n")
    assert limited(GROUPS, f"@{tmp_path}/hosts.retry") == ["h2", "gw1"]


def test_a_refusal_does_not_repeat_its_cause(capsys: pytest.CaptureFixture[str]) -> None:
    @told_once
    def run() -> dict[str, Any]:
        try:
            raise OSError("the disk is full")
        except OSError as error:
            raise AnsibleActionFail(f"plan.json: {error}.") from error

    with pytest.raises(Refusal):
        run()
    assert capsys.readouterr().out.count("the disk is full") == 1


def test_a_refusal_of_several_lines_is_printed_and_named_by_its_first(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    @told_once
    def run(text: str) -> dict[str, Any]:
        raise AnsibleActionFail(text)

    with pytest.raises(Refusal) as quoted:
        run('Did you mean "x".')
    assert quoted.value.message == "The reason is told above."
    assert '[ERROR]: Did you mean "x".\n' in capsys.readouterr().out
    with pytest.raises(Refusal) as long:
        run("Two problems; nothing was done.\n  - a\n  - b")
    assert long.value.message == "Two problems; nothing was done (told above)"
    assert "[ERROR]: Two problems; nothing was done.\n  - a\n  - b\n" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("forks", "hosts", "told"),
    [
        (5, 21, "21 hosts are asked 5 at a time. --forks 21, or forks in ansible.cfg, makes this run shorter."),
        (5, 300, "300 hosts are asked 5 at a time. --forks 50, or forks in ansible.cfg, makes this run shorter."),
        (5, 20, ""),
        (50, 200, ""),
        (None, 1000, ""),
    ],
)
def test_few_forks_for_many_hosts_are_told(
    monkeypatch: pytest.MonkeyPatch, forks: int | None, hosts: int, told: str
) -> None:
    monkeypatch.setattr(run_of, "option", lambda name: {"forks": forks}[name])
    assert run_of.few_forks(hosts) == told


def test_a_run_that_would_change_something_ends_with_three() -> None:
    assert end_with_changes(False) is False
    with pytest.raises(SystemExit) as ended:
        end_with_changes(True)
    assert ended.value.code == 3


def differing(*gateways: str) -> dict[str, Any]:
    return {"topics": {"gateway": list(gateways)}}


def test_gateways_that_differ_are_configured_and_all_where_nobody_looked() -> None:
    groups = {"gateways": ["gw1", "gw2"], "none": []}
    assert differing_gateways({}, groups, "gateways") == "gateways"
    assert differing_gateways(differing("gw2"), groups, "gateways") == ["gw2"]
    assert differing_gateways(differing(), groups, "gateways") == ["!all"]
    assert differing_gateways({}, groups, "none") == differing_gateways({}, groups, "unknown") == ["!all"]


def test_the_fleet_and_its_gateways_are_looked_at() -> None:
    assert looked_at({"gateways": ["gw1"]}, "gpu_hosts", "gateways") == "gpu_hosts:gateways"
    assert looked_at({"gateways": []}, "gpu_hosts", "gateways") == looked_at({}, "gpu_hosts", "") == "gpu_hosts"
