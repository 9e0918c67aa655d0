"""When a host is tested, when its record stands, what keeps a test from being run, and what a run leaves behind."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.baremetal.vllm.plugins.module_utils.drivers.acceptance import record as records
from ansible_collections.baremetal.vllm.plugins.module_utils.drivers.acceptance.model import (
    AcceptanceSight,
    DiagnosticRun,
    WantedTest,
)
from ansible_collections.baremetal.vllm.plugins.module_utils.drivers.acceptance.record import Record
from ansible_collections.baremetal.vllm.plugins.module_utils.drivers.nvidia.model import User
from ansible_collections.baremetal.vllm.plugins.module_utils.gpus.model import Errors, Facts, Gpu
from ansible_collections.baremetal.vllm.plugins.plugin_utils.drivers.acceptance.decide import (
    conclude,
    conclude_health,
    decide,
)
from ansible_collections.baremetal.vllm.plugins.plugin_utils.inventory.jsonform import build
from hypothesis import given
from hypothesis import strategies as st

DATA = Path(__file__).parent / "data"
NOW = "2026-11-23T19:00:00Z"


def gpu(index: int, **more: Any) -> Gpu:
    return Gpu(index, "nvidia", "NVIDIA H100 80GB HBM3", f"GPU-{index}", f"0000:{index + 1:02x}:00.0", **more)


FACTS = Facts("nvidia-smi", returncode=0, driver="580.95.05", cuda="13.0", gpus=(gpu(0), gpu(1)))
SICK = replace(FACTS, gpus=(gpu(0), gpu(1, errors=Errors(remap_failed=True))))
PASSED = Record(True, 3, "2026-11-01T10:00:00Z", 900, ("GPU-0", "GPU-1"), "580.95.05", "4.4.2", {"memory": "pass"})
FAILED = replace(PASSED, passed=False, failures=("diagnostic-failed: memory.",))
READY = AcceptanceSight(FACTS, dcgm="4.4.2")


def known(record: Record, **more: Any) -> AcceptanceSight:
    return replace(READY, record=records.write(record), **more)


@pytest.mark.parametrize(
    ("sight", "wanted", "act", "words"),
    [
        (READY, WantedTest(), "test", "never tested"),
        (known(PASSED), WantedTest(), "accepted", "level 3, DCGM 4.4.2"),
        (known(PASSED), WantedTest(level=1), "accepted", "accepted since"),
        (known(PASSED), WantedTest(level=0), "accepted", "accepted since"),
        (known(PASSED), WantedTest(level=4), "test", "level 4 is asked for"),
        (known(FAILED), WantedTest(), "test", "failed on 2026-11-01"),
        (known(replace(PASSED, gpus=("GPU-0", "GPU-7"))), WantedTest(), "test", "new: GPU 1 GPU-1; gone: GPU-7"),
        (known(replace(PASSED, gpus=("GPU-0", "GPU-1", "GPU-2"))), WantedTest(), "test", "gone: GPU-2"),
        (known(replace(PASSED, driver="570.195.03")), WantedTest(), "accepted", "accepted since"),
        (known(replace(PASSED, driver="570.195.03")), WantedTest(again="driver"), "test", "with driver 570.195.03"),
        (known(PASSED), WantedTest(again="always"), "test", "always"),
        (known(PASSED), WantedTest(again="always", test=False), "accepted", "accepted since"),
        (replace(READY, record="{cut off"), WantedTest(), "test", "never tested"),
        (replace(READY, dcgm=""), WantedTest(level=0), "health", "never tested"),
        (replace(READY, units=("vllm-a.service",)), WantedTest(level=0), "health", "never tested"),
        (replace(READY, units=("vllm-a.service",)), WantedTest(drain=True), "test", "never tested"),
        # A test that an earlier run of Ansible lost sight of.
        (replace(READY, run=DiagnosticRun("running", 3)), WantedTest(), "follow", "never tested"),
        (
            replace(READY, run=DiagnosticRun("ended", 3), units=("vllm-a.service",)),
            WantedTest(),
            "follow",
            "never tested",
        ),
        (replace(READY, run=DiagnosticRun("ended", 1)), WantedTest(), "test", "never tested"),
    ],
)
def test_what_is_done(sight: AcceptanceSight, wanted: WantedTest, act: str, words: str) -> None:
    decision = decide(sight, wanted)
    assert (decision.act, [f.name for f in decision.findings if f.fatal]) == (act, [])
    assert words in decision.reason


@pytest.mark.parametrize(
    ("sight", "wanted", "names"),
    [
        (replace(READY, dcgm=""), WantedTest(), ["dcgm-missing"]),
        (
            replace(READY, dcgm="", units=("vllm-a.service",), users=(User(7, "python3", "jupyter.service"),)), WantedTest(),
            ["dcgm-missing", "not-idle", "gpus-in-use"],
        ),
        (replace(READY, run=DiagnosticRun("running", 4)), WantedTest(), ["diagnostic-running"]),
        (replace(READY, run=DiagnosticRun("running", 3, "pcie.is_allowed=true")), WantedTest(), ["diagnostic-running"]),
        (replace(READY, facts=replace(FACTS, gpus=(gpu(0), gpu(1, mig="enabled")))), WantedTest(), ["mig-enabled"]),
        (READY, WantedTest(test=False), ["not-accepted"]),
        (known(FAILED), WantedTest(test=False), ["not-accepted"]),
    ],
)  # fmt: skip
def test_what_refuses_all_of_it_at_once(sight: AcceptanceSight, wanted: WantedTest, names: list[str]) -> None:
    decision = decide(sight, wanted)
    assert (decision.act, [f.name for f in decision.findings]) == ("refuse", names)


@pytest.mark.parametrize("wanted", [WantedTest(), WantedTest(level=0), WantedTest(test=False)])
@pytest.mark.parametrize(
    "facts", [SICK, Facts("nvidia-smi", "NVIDIA-SMI has failed", 9), Facts("nvidia-smi", returncode=0)]
)
def test_a_sick_host_is_refused_whatever_its_record_says(facts: Facts, wanted: WantedTest) -> None:
    record = replace(PASSED, gpus=records.uuids(facts))
    decision = decide(replace(known(record), facts=facts), wanted)
    assert decision.act == "refuse"


def test_messages_name_the_process_its_unit_and_the_way_out() -> None:
    sight = replace(READY, units=tuple(f"vllm-{i}.service" for i in range(6)), users=(User(7, "python3", ""),))
    text = "\n".join(map(str, decide(sight, WantedTest()).findings))
    assert "vllm-0.service, vllm-1.service, vllm-2.service, vllm-3.service and 2 more" in text
    assert "python3 (pid 7)" in text
    assert "acceptance_drain: true" in text


def ended(name: str, **more: Any) -> DiagnosticRun:
    return DiagnosticRun("ended", 3, seconds=900, result="success", output=(DATA / name).read_text(), **more)


def test_a_run_that_passed_leaves_a_record_that_stands() -> None:
    facts = replace(FACTS, gpus=tuple(gpu(i) for i in range(4)))
    record, findings = conclude(ended("written-dcgm4-level3-pass.json"), facts, "4.4.2", NOW)
    assert (record.passed, record.level, record.seconds, record.finished, findings) == (True, 3, 900, NOW, ())
    assert record.tests is not None
    assert record.tests["targeted_power"] == "pass"
    again = records.read(records.write(record))
    assert again == record
    assert records.why_not(again, facts, 3, "driver") == ""


def test_a_run_that_failed_keeps_its_words_for_whoever_asks_next() -> None:
    facts = replace(FACTS, gpus=tuple(gpu(i) for i in range(4)))
    record, __ = conclude(ended("written-dcgm4-level3-fail.json", status=205), facts, "4.4.2", NOW)
    assert not record.passed
    assert "A DBE was detected on GPU 3" in records.why_not(records.read(records.write(record)), facts, 3, "hardware")
    assert any("PCIe replays" in text for text in record.told)


def test_gpus_that_the_test_broke_fail_it() -> None:
    facts = replace(SICK, gpus=(*SICK.gpus, gpu(2), gpu(3)))
    record, findings = conclude(ended("written-dcgm4-level3-pass.json"), facts, "4.4.2", NOW)
    assert not record.passed
    assert any(f.fatal for f in findings)


def test_a_test_that_did_not_end_in_time_is_told_as_such() -> None:
    __, findings = conclude(replace(ended("written-no-host-engine.txt"), result="timeout"), FACTS, "4.4.2", NOW)
    assert [f.name for f in findings] == ["diagnostic-timeout"]
    assert "within 120 min" in findings[0].message


def test_level_0_is_gpu_health_alone() -> None:
    record, __ = conclude_health(FACTS, NOW)
    assert (record.passed, record.level, record.dcgm, record.tests) == (True, 0, "", {})
    assert not conclude_health(SICK, NOW)[0].passed


def test_what_a_host_sends_is_built_back() -> None:
    sight = replace(READY, users=(User(1, "a", "b"),), run=DiagnosticRun("running", 2, stopped=("vllm-a.service",)))
    assert build(AcceptanceSight, json.loads(json.dumps(asdict(sight)))) == sight


@given(st.text(max_size=60) | st.recursive(st.none() | st.integers() | st.text(max_size=4), st.lists).map(json.dumps))
def test_a_broken_record_is_none(text: str) -> None:
    assert records.read(text) is None
