"""The actions that follow what goes on on a host, with a module that answers from a list."""

from __future__ import annotations

from collections.abc import Iterable
from copy import deepcopy
from types import SimpleNamespace
from typing import Any

import pytest
from ansible.errors import AnsibleActionFail
from ansible_collections.baremetal.vllm.plugins.action import engine_idle, model_service, model_weights
from ansible_collections.baremetal.vllm.plugins.plugin_utils.actions import follow
from ansible_collections.baremetal.vllm.plugins.plugin_utils.planned.fleet import Weights

UNIT = "vllm-chat.service"


@pytest.fixture
def lines(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    shown: list[str] = []
    monkeypatch.setattr(follow, "display", SimpleNamespace(display=shown.append))
    return shown


def action(plugin: Any, answers: Iterable[dict[str, Any]], **args: Any) -> Any:
    task = SimpleNamespace(args=args, async_val=0, check_mode=False, diff=False, action="")
    connection = SimpleNamespace(_shell=SimpleNamespace(tmpdir="/tmp"))
    made = plugin.ActionModule(task, connection, None, None, None, None)
    waiting = iter(answers)
    made.asked = []

    def module(module_args: dict[str, Any], **__: Any) -> dict[str, Any]:
        made.asked.append(deepcopy(module_args))
        return next(waiting)

    made._execute_module = module
    made.variables = {"inventory_hostname": "gpu1"}
    return made


def step(state: str, stage: str, seconds: float, cause: str = "", unit: str = UNIT) -> dict[str, Any]:
    return {"unit": unit, "state": state, "stage": stage, "seconds": seconds, "cause": cause}


def test_a_start_is_told_by_stages_until_it_answers_or_fails(lines: list[str]) -> None:
    other = "vllm-b.service"
    looks = [
        [step("starting", "loading weights", 2), step("starting", "loading weights", 2, unit=other)],
        [step("starting", "loading weights", 12), step("failed", "", 9, "no memory", other)],
        [step("active", "", 20)],
    ]
    made = action(model_service, [{"progress": look} for look in looks])
    assert made._watch({UNIT: 0, other: 0}) == {other: "no memory"}
    assert [line[42:] for line in lines] == [
        "   2 s  loading weights",
        "   2 s  loading weights",
        "   9 s  failed: no memory",
        "  20 s  answers",
    ]
    # What is settled is not asked for again, and the host knows what is told already.
    assert [set(asked["pending"]) for asked in made.asked] == [{UNIT, other}, {UNIT, other}, {UNIT}]
    assert made.asked[1]["seen"] == {UNIT: "starting loading weights", other: "starting loading weights"}
    assert made._watch({}) == {}


def test_a_host_that_is_lost_sight_of_is_told(lines: list[str]) -> None:
    with pytest.raises(AnsibleActionFail, match="Lost sight of the starting units: gone"):
        action(model_service, [{"msg": "gone"}])._watch({UNIT: 0})


def seen(idle: bool, seconds: float = 0.0) -> dict[str, Any]:
    unit = {"idle": idle, "seconds": seconds, "running": 3, "waiting": 1, "told": ""}
    return {"idle": idle, "units": {UNIT: unit}}


@pytest.mark.parametrize(
    ("answers", "timeout", "told"),
    [
        ([seen(False), seen(False), seen(True)], 300, []),
        ([seen(False)], 0, ["gpu1         chat                            0 s  3 running and 1 waiting requests"]),
        ([seen(False), {"failed": True, "msg": "no python"}], 300, []),
    ],
)
def test_waiting_for_idle_engines(lines: list[str], answers: Any, timeout: int, told: list[str]) -> None:
    made = action(engine_idle, answers, timeout=timeout)
    assert made.run(task_vars={"inventory_hostname": "gpu1"}) == answers[-1]
    assert (lines, len(made.asked)) == (told, len(answers))


def test_a_download_is_polled_until_it_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(model_weights.time, "sleep", lambda seconds: None)
    item = {"path": "/p", "repo": "Org/Tiny", "state": "fetching", "total": 10, "done": 5}
    status = {"state": "running", "items": [item], "errors": [], "log": ""}
    ended = {**status, "state": "killed", "log": "Killed"}
    made = action(model_weights, [{"status": one} for one in (status, status, ended)])
    made._started = 0.0
    with pytest.raises(AnsibleActionFail, match=r"ended before it was done \(Killed\)"):
        made._fetch({}, [Weights("hub", path="/p")])
    assert [asked["step"] for asked in made.asked] == ["fetch", "poll", "poll"]
