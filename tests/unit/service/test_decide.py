"""What happens to each unit, as a table of what was found."""

from __future__ import annotations

import pytest
from ansible_collections.baremetal.vllm.plugins.module_utils.service.decide import Observed, Planned, decide, decide_all
from ansible_collections.baremetal.vllm.plugins.module_utils.service.systemd import State, parse_show

PLANNED = Planned("vllm-m.service", "text", "digest")


def found(text: str | None = "text", digest: str = "digest", secrets: bool = True, **state: object) -> Observed:
    fields: dict[str, object] = {
        "unit": "vllm-m.service", "load": "loaded", "active": "active", "sub": "running", "enabled": "enabled",
        "main_pid": 7, "restarts": 0, "result": "success", "exit_status": 0, "invocation": "i", "job": False,
        "stale": False, "asserted": True, "since": 1.0,
    }  # fmt: skip
    return Observed(text, State(**{**fields, **state}), digest, secrets)  # type: ignore[arg-type]


CASES = [
    ("as planned", found(), "keep", False),
    ("new", found(text=None, active="inactive", sub="dead", main_pid=0, enabled=""), "start", True),
    ("other command", found(text="old", digest="old"), "restart", True),
    ("written, but the process is older", found(digest="old"), "restart", True),
    ("another key", found(secrets=False), "restart", True),
    ("only the start order", found(text="old"), "keep", True),
    ("not enabled", found(enabled="disabled"), "keep", True),
    ("failed", found(active="failed", sub="failed", main_pid=0), "start", True),
    ("stopped by hand", found(active="inactive", sub="dead", main_pid=0), "start", True),
    ("still starting as planned", found(active="activating", sub="start-post"), "wait", False),
    (
        "starting with old options",
        found(active="activating", sub="start-post", text="old", digest="old"),
        "restart",
        True,
    ),
    ("queued behind a neighbour", found(active="inactive", sub="dead", main_pid=0, job=True), "wait", False),
    ("between two tries of systemd", found(active="activating", sub="auto-restart", main_pid=0), "start", True),
]


@pytest.mark.parametrize(("observed", "verb", "changes"), [c[1:] for c in CASES], ids=[c[0] for c in CASES])
def test_one_step_brings_a_unit_to_its_plan(observed: Observed, verb: str, changes: bool) -> None:
    step = decide(PLANNED, observed)
    assert (step.verb, step.changes) == (verb, changes)


def test_units_nobody_plans_are_removed_after_the_planned_ones() -> None:
    steps = decide_all([PLANNED], {"vllm-m.service": found()}, ["vllm-old.service", "vllm-m.service"])
    assert [(step.unit, step.verb) for step in steps] == [("vllm-m.service", "keep"), ("vllm-old.service", "remove")]


def test_systemctl_show_of_several_units_is_read_block_by_block() -> None:
    text = (
        "Id=a.service\nActiveState=active\nSubState=running\nMainPID=12\nNRestarts=3\nJob=0\nNeedDaemonReload=yes\n\n"
        "Id=b.service\nActiveState=inactive\nSubState=dead\nMainPID=0\nJob=77\nAssertResult=no\nResult=exit-code=odd\n"
    )
    states = parse_show(text)
    assert (states["a.service"].main_pid, states["a.service"].restarts, states["a.service"].stale) == (12, 3, True)
    assert states["a.service"].running
    assert (states["b.service"].job, states["b.service"].asserted, states["b.service"].result) == (
        True,
        False,
        "exit-code=odd",
    )
