"""What happens to each unit, as a table of what was found."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from ansible_collections.baremetal.vllm.plugins.module_utils.host.systemd import UnitState, parse_show
from ansible_collections.baremetal.vllm.plugins.module_utils.units.decide import Observed, decide, decide_all
from ansible_collections.baremetal.vllm.plugins.module_utils.units.planned import PlannedUnit

PLANNED = PlannedUnit("vllm-m.service", "text", "digest")


def found(text: str | None = "text", digest: str = "digest", secrets: bool = True, **state: object) -> Observed:
    fields: dict[str, object] = {
        "unit": "vllm-m.service", "load": "loaded", "active": "active", "sub": "running", "enabled": "enabled",
        "main_pid": 7, "restarts": 0, "result": "success", "exit_status": 0, "invocation": "i", "job": False,
        "stale": False, "asserted": True, "since": 1.0,
    }  # fmt: skip
    return Observed(text, UnitState(**{**fields, **state}), digest, secrets)  # type: ignore[arg-type]


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


REASONS = [
    ("max-model-len", {}, "restart", "max-model-len 16k → 32k"),
    ("nothing", {"digest": "another"}, "restart", "its command, environment or limits changed"),
    ("the key", {"secrets_current": False}, "restart", "secrets changed"),
    ("both", {"secrets_current": False}, "restart", "max-model-len 16k → 32k, secrets changed"),
    ("failed", {"active": "failed", "sub": "failed", "main_pid": 0}, "start", "found failed (failed)"),
    (
        "failed and changed",
        {"active": "failed", "sub": "failed", "main_pid": 0},
        "start",
        "found failed (failed), max-model-len 16k → 32k",
    ),
    ("libraries", {"replaced": ("/usr/lib/libc.so.6",)}, "restart", "libc.so.6 replaced under it"),
    (
        "libraries and an option",
        {"replaced": tuple(f"/opt/vllm/lib{i}.so" for i in range(5))},
        "restart",
        "max-model-len 16k → 32k, lib0.so, lib1.so, lib2.so and 2 more replaced under it",
    ),
    ("the start order", {}, "keep", "only After of its unit file changed"),
    ("the kind's own line", {}, "keep", "only X-Kind of its unit file changed"),
    ("never enabled", {"enabled": "disabled"}, "keep", "not enabled at boot"),
]


@pytest.mark.parametrize(("case", "changes", "verb", "why"), REASONS, ids=[r[0] for r in REASONS])
def test_the_reason_names_the_cause(unit: Any, case: str, changes: dict[str, Any], verb: str, why: str) -> None:
    old = unit({"max-model-len": "16k"}, after=["vllm-x.service"] if case == "the start order" else [])
    new = unit({"max-model-len": "32k" if "max-model-len" in why else "16k"})
    if case == "the kind's own line":
        old = replace(old, text=old.text.replace("X-Kind=chat\n", ""))
    fields = {"digest": old.digest, **changes}
    digest, secrets = fields.pop("digest"), fields.pop("secrets_current", True)
    files = fields.pop("replaced", ())
    observed = replace(found(old.text, str(digest), bool(secrets), **fields), began=old.text, replaced=files)
    step = decide(PlannedUnit(new.unit, new.text, new.digest), observed)
    assert (step.verb, step.why) == (verb, why)


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
