"""What `dcgmi diag --json` prints is understood over its releases, and what is understood decides rightly."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.baremetal.vllm.plugins.plugin_utils.drivers.acceptance.diag import (
    DiagCheck,
    Diagnosis,
    DiagResult,
    read,
)
from ansible_collections.baremetal.vllm.plugins.plugin_utils.drivers.acceptance.judge import judge
from hypothesis import given
from hypothesis import strategies as st

DATA = Path(__file__).parent / "data"


def seen(name: str) -> Diagnosis:
    return read((DATA / name).read_text())


def judged(name: str, level: int, gpus: int = 1, status: int = 0) -> tuple[list[str], list[str]]:
    """Names of the fatal findings and of the others."""
    found = judge(seen(name), status, level, gpus)
    return [f.name for f in found if f.fatal], [f.name for f in found if not f.fatal]


@pytest.mark.parametrize(
    ("name", "level", "gpus", "status", "fatal", "told"),
    [
        ("dcgm3-level2-pass.json", 2, 1, 0, [], []),
        ("dcgm3-level3-pass.json", 3, 1, 0, [], ["diagnostic-skipped"]),
        ("dcgm4.2.3-gb10-level1-fail.json", 1, 1, 226, ["diagnostic-failed"], []),
        ("dcgm4.5.2-gb10-level2-allowed.json", 2, 1, 226, ["diagnostic-failed"], []),
        (
            "dcgm4.5.2-gb10-level2-gated.json", 2, 1, 226,
            ["diagnostic-failed", "hardware-untested"], ["diagnostic-skipped", "diagnostic-skipped"],
        ),
        ("written-dcgm4-level3-pass.json", 3, 4, 0, [], []),
        ("written-dcgm4-level3-fail.json", 3, 4, 205, ["diagnostic-failed"], ["diagnostic-warned", "diagnostic-skipped"]),
        ("written-dcgm3-level2-fail.json", 2, 2, 226, ["diagnostic-failed"], []),
        ("written-dcgm4-runtime-error.json", 3, 4, 226, ["diagnostic-broken"], []),
        ("written-no-host-engine.txt", 2, 1, 1, ["diagnostic-broken"], []),
        ("written-unsupported.txt", 2, 1, 255, ["diagnostic-broken"], []),
        # One GPU more than DCGM tested; an exit status that nothing explains.
        ("written-dcgm4-level3-pass.json", 3, 8, 0, ["hardware-untested"], []),
        ("written-dcgm4-level3-pass.json", 3, 4, 226, ["diagnostic-status"], []),
    ],
)  # fmt: skip
def test_recorded_and_documented_outputs(
    name: str, level: int, gpus: int, status: int, fatal: list[str], told: list[str]
) -> None:
    assert judged(name, level, gpus, status) == (fatal, told)


def test_a_failure_is_told_in_dcgms_own_words_with_gpu_test_and_remedy() -> None:
    found = judge(seen("written-dcgm4-level3-fail.json"), 205, 3, 4)
    text = str(next(f for f in found if f.fatal))
    assert '"memory" (Hardware) failed on GPU 3: A DBE was detected on GPU 3' in text
    assert "have it replaced" in text
    setting = str(judge(seen("dcgm4.2.3-gb10-level1-fail.json"), 226, 1, 1)[0])
    assert "Persistence mode for GPU 0 is disabled" in setting
    assert "Correct this setting" in setting


def test_versions_and_driver_where_they_are_told() -> None:
    newer, older = seen("dcgm4.5.2-gb10-level2-gated.json"), seen("written-dcgm3-level2-fail.json")
    assert (newer.version, newer.driver) == ("4.5.2", "580.82.09")
    assert (older.version, older.driver) == ("3.3.5", "550.54.15")


def test_a_summary_that_repeats_its_gpus_is_told_once_and_equal_gpus_together() -> None:
    found = judge(seen("dcgm4.5.2-gb10-level2-allowed.json"), 226, 2, 1)
    assert len(found) == 1
    skipped = {
        "name": "eud",
        "results": [{"entity_group": "GPU", "entity_id": i, "status": "Skip"} for i in range(8)],
        "test_summary": {"status": "Skip"},
    }
    diagnosis = read(
        json.dumps({"DCGM Diagnostic": {"test_categories": [{"category": "Hardware", "tests": [skipped]}]}})
    )
    text = str(judge(diagnosis, 0, 1, 8)[0])
    assert "on GPU 0, GPU 1, GPU 2, GPU 3, GPU 4, GPU 5, GPU 6, GPU 7:" in text


def test_null_between_tests_is_none() -> None:
    # As in DCGM's own test of its reader, "JsonResult: Deserialize real output".
    tests = [None, {"name": "GPU Memory", "results": [{"gpu_ids": "0,1", "status": "PASS"}]}, None]
    diagnosis = read(
        json.dumps({"DCGM GPU Diagnostic": {"test_categories": [{"category": "Hardware", "tests": tests}]}})
    )
    assert judge(diagnosis, 0, 2, 2) == []


def of(*results: dict[str, Any], summary: str = "", category: str = "Hardware") -> Diagnosis:
    test: dict[str, Any] = {"name": "memory", "results": list(results)}
    if summary:
        test["test_summary"] = {"status": summary}
    return read(json.dumps({"DCGM Diagnostic": {"test_categories": [{"category": category, "tests": [test]}]}}))


@pytest.mark.parametrize(
    ("diagnosis", "level", "fatal"),
    [
        (of({"entity_id": 0, "status": "Pass"}), 2, []),
        (of({"entity_id": 0, "status": "Fail"}, summary="Pass"), 2, ["diagnostic-failed"]),
        (of({"entity_id": 0, "status": "Pass"}, summary="Fail"), 2, ["diagnostic-failed"]),
        (of({"entity_id": 0, "status": "Not Run"}), 2, ["diagnostic-not-run", "hardware-untested"]),
        (of({"entity_id": 0, "status": "Exploded"}), 2, ["diagnostic-not-run"]),
        (of(), 2, ["diagnostic-not-run", "hardware-untested"]),
        (of({"entity_id": 0, "status": "Pass"}, category="Deployment"), 2, ["hardware-untested"]),
        (of({"entity_id": 0, "status": "Skip"}, category="Deployment"), 1, ["hardware-untested"]),
        (of({"entity_id": 0, "status": "Pass", "warnings": ["allocated less than asked"]}), 2, []),
    ],
)
def test_what_refuses_a_host(diagnosis: Diagnosis, level: int, fatal: list[str]) -> None:
    assert [f.name for f in judge(diagnosis, 0, level, 1) if f.fatal] == fatal


def test_a_test_that_passes_and_complains_is_told() -> None:
    found = judge(of({"entity_id": 0, "status": "Pass", "warnings": ["allocated less than asked"]}), 0, 2, 1)
    assert [f.name for f in found] == ["diagnostic-warned"]
    assert "allocated less than asked" in found[0].message


def test_gpus_named_together_by_old_releases_are_told_apart() -> None:
    memory = next(test for test in seen("written-dcgm3-level2-fail.json").tests if test.name == "GPU Memory")
    assert memory == DiagCheck(
        "GPU Memory", "Hardware", "pass", (DiagResult("GPU 0", "pass"), DiagResult("GPU 1", "pass"))
    )


@pytest.mark.parametrize("cut", [1, 50, 400, 1500])
def test_an_output_that_was_cut_off_is_no_result(cut: int) -> None:
    text = (DATA / "dcgm3-level2-pass.json").read_text()[:cut]
    assert [f.name for f in judge(read(text), 0, 2, 1)] == ["diagnostic-broken"]


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4)
    | st.dictionaries(
        st.sampled_from(
            ["DCGM Diagnostic", "test_categories", "tests", "results", "status", "warnings", "warning", "gpu_ids",
             "entity_id", "test_summary", "metadata", "error_severity", "info", "name", "category"]
        ), inner, max_size=4,
    ),
    max_leaves=25,
)  # fmt: skip


@given(_JSON | st.text(max_size=40))
def test_nothing_that_dcgmi_could_print_raises_or_passes_unseen(data: Any) -> None:
    diagnosis = read(data if isinstance(data, str) else json.dumps({"DCGM Diagnostic": data}))
    found = judge(diagnosis, 0, 3, 1)
    if not any(f.fatal for f in found):
        assert any(test.status == "pass" or test.status == "warn" for test in diagnosis.tests)
