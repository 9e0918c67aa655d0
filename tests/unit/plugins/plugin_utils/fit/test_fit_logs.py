"""What the plan works out, against what engines on real GPUs logged as "Available KV cache memory" (data/logs.yml)."""

from __future__ import annotations

import json
import statistics
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.baremetal.vllm.plugins.module_utils.text.problems import Problems
from ansible_collections.baremetal.vllm.plugins.plugin_utils.fit.facts import ModelFacts, read_model
from ansible_collections.baremetal.vllm.plugins.plugin_utils.fit.gpus import find
from ansible_collections.baremetal.vllm.plugins.plugin_utils.fit.memory import Fit, fit
from ansible_collections.baremetal.vllm.plugins.plugin_utils.fit.verdict import check_fit
from ansible_collections.baremetal.vllm.plugins.plugin_utils.options.load import release as load

LOGS = yaml.safe_load((Path(__file__).parent / "data" / "logs.yml").read_text(encoding="utf-8"))
STARTED = [log for log in LOGS if log["starts"]]
GIB = 2**30


def planned(log: dict[str, Any], directory: Path) -> tuple[ModelFacts, Fit]:
    """Through the files that an operator has on the control node: the config and the index of the weights."""
    names = dict.fromkeys(log.get("names", ()), "a.safetensors")
    index = {"metadata": {"total_size": log.get("total_size")}, "weight_map": names}
    (directory / "config.json").write_text(json.dumps(log["config"]))
    if "names" in log:
        (directory / "model.safetensors.index.json").write_text(json.dumps(index))
    facts = read_model(directory)
    assert isinstance(facts, ModelFacts)
    found = fit(facts, log["args"], find(log["gpu"]), load(log["release"]), log.get("env"))
    return facts, found


def deviation(log: dict[str, Any], directory: Path) -> float:
    """Of what the plan leaves to the KV cache, as a part of what the engine logged."""
    found = planned(log, directory)[1].available
    assert found is not None
    return found / GIB / log["available"] - 1


def row(log: dict[str, Any], directory: Path) -> str:
    """The log's line in the table of docs/memory.md."""
    found = planned(log, directory)[1].available
    assert found is not None
    of = f"{100 * (found / GIB / log['available'] - 1):+.1f} %" if log["starts"] else "does not start"
    told = of if log["starts"] else f"{of}: told"
    kept = "" if log["kept"] == "held out" else " (built with)"
    return f"| {log['name']}{kept} | {log['release']} | {log['available']:.2f} | {found / GIB:.2f} | {told} |"


@pytest.mark.parametrize("log", LOGS, ids=lambda log: log["name"])
def test_the_documentation_has_the_deviation(log: dict[str, Any], tmp_path: Path) -> None:
    assert row(log, tmp_path) in (Path(__file__).parents[5] / "docs" / "memory.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("log", STARTED, ids=lambda log: log["name"])
def test_what_is_left_for_the_kv_cache_is_what_the_engine_found(log: dict[str, Any], tmp_path: Path) -> None:
    assert abs(deviation(log, tmp_path)) < 0.10


def test_the_median_is_closer(tmp_path: Path) -> None:
    assert statistics.median(abs(deviation(log, tmp_path)) for log in STARTED) < 0.04


@pytest.mark.parametrize("log", [log for log in LOGS if not log["starts"]], ids=lambda log: log["name"])
def test_no_engine_that_failed_for_want_of_memory_is_called_fitting(log: dict[str, Any], tmp_path: Path) -> None:
    facts, found = planned(log, tmp_path)
    problems = Problems()
    check_fit("vllm_models.x", log["args"], facts, found, log["gpu"], problems, "gpu1")
    assert problems.found or any("may not fit" in str(problem) for problem in problems.warned)
    assert found.available is not None
    assert found.available / GIB == pytest.approx(log["available"], abs=0.25)


@pytest.mark.parametrize("log", STARTED, ids=lambda log: log["name"])
def test_an_engine_that_started_is_not_refused(log: dict[str, Any], tmp_path: Path) -> None:
    facts, found = planned(log, tmp_path)
    problems = Problems()
    check_fit("vllm_models.x", log["args"], facts, found, log["gpu"], problems, "gpu1")
    assert not problems.found


def test_a_request_of_a_model_with_states_takes_what_the_engine_logged(tmp_path: Path) -> None:
    # Qwen3-Next on two H200: 44.59 GiB hold 14.77 requests of 262,144 tokens.
    (log,) = [log for log in LOGS if log["name"].startswith("Qwen3-Next")]
    needed = planned(log, tmp_path)[1].needed
    assert needed is not None
    assert needed == pytest.approx(44.59 * GIB / 14.77, rel=0.001)


def test_layers_that_predict_further_tokens_are_left_out_where_an_index_is_all_there_is(tmp_path: Path) -> None:
    # "Model loading took 74.2812 GiB" of each of two GPUs; the index sums up to 75.74.
    (log,) = [log for log in LOGS if log["name"].startswith("Qwen3-Next")]
    weights = planned(log, tmp_path)[1].weights
    assert weights is not None
    assert weights / GIB == pytest.approx(74.28, rel=0.002)


def test_mxfp4_is_loaded_larger_than_it_is_stored(tmp_path: Path) -> None:
    # "Model loading took 65.9651 GiB" of files of 60.77.
    weights = planned(LOGS[0], tmp_path)[1].weights
    assert weights is not None
    assert weights / GIB == pytest.approx(65.97, rel=0.002)
