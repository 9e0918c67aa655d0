"""What runs leave for the job that follows them, in the form in which ansible-core's strategies take it."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from ansible_collections.baremetal.vllm.plugins.action import report, rollout
from ansible_collections.baremetal.vllm.plugins.plugin_utils.actions.job_stats import PREFIX, job_stats
from ansible_collections.baremetal.vllm.plugins.plugin_utils.plan.variables import known_variables


def result(plugin: Any, arguments: dict[str, Any], variables: dict[str, Any]) -> dict[str, Any]:
    task = SimpleNamespace(args=arguments, check_mode=True, async_val=0, diff=False, action="", delegate_to=None)
    connection = SimpleNamespace(_shell=SimpleNamespace(tmpdir="/nowhere"))
    action = plugin.ActionModule(task, connection, SimpleNamespace(check_mode=True), None, None, None)
    ended: dict[str, Any] = action.run(task_vars=variables)
    assert not ended.get("failed"), ended
    return ended


def test_a_statistic_is_the_runs_and_replaces_an_earlier_one() -> None:
    left = job_stats("report", {"passed": 2})["ansible_stats"]
    assert left == {"data": {"baremetal_vllm_report": {"passed": 2}}, "per_host": False, "aggregate": False}


def test_no_variable_of_ours_is_mistaken_for_one() -> None:
    assert not [name for name in known_variables() if name.startswith(PREFIX)]


def test_a_rollout_leaves_what_became_of_each_host() -> None:
    turn = {"action": "switch", "why": "", "drained": False}
    schedule = {"hosts": {"h1": turn}, "left": {"h2": "as planned", "h3": "no route"}, "lost": ["h3"], "gaps": []}
    names = {"verdict": "v", "back": "b", "drains": ["d", "e"], "undrain": "u", "digest": "abc"}
    good = {"good": True, "causes": [], "phase": "", "switched": True, "reachable": True}
    left = result(rollout, {"step": "report", "schedule": schedule, **names}, {"hostvars": {"h1": {"v": good}}})
    told = left["ansible_stats"]["data"]["baremetal_vllm_rollout"]
    assert set(told["hosts"]) == {"h1"}
    assert (told["skipped"], told["unreachable"], told["plan_digest"]) == (schedule["left"], ["h3"], "abc")


def test_the_status_leaves_hosts_with_a_problem_alone() -> None:
    plan = {"plan": {"hosts": {"h1": {"services": []}}, "gateway": None}, "digest": "abc"}
    names = {"subject": "fleet", "plan": plan, "state": "s", "checked": "c", "lock": "l"}
    state = {"status": "unreachable", "why": "no route"}
    left = result(report, names, {"ansible_play_hosts_all": ["h1"], "hostvars": {"h1": {"s": state}}})
    told = left["ansible_stats"]["data"]["baremetal_vllm_status"]
    assert list(told["problems_of"]) == ["h1"]
    assert "no route" in told["problems_of"]["h1"][0]
