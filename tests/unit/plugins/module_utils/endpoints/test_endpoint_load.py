"""What an engine counts: Prometheus' text format, and waiting until nothing is left to do."""

from __future__ import annotations

import math
from typing import Any

import pytest
from ansible_collections.baremetal.vllm.plugins.module_utils.endpoints import waiting
from ansible_collections.baremetal.vllm.plugins.module_utils.endpoints.load import parse_metrics, read_load
from ansible_collections.baremetal.vllm.plugins.module_utils.endpoints.service import Service
from hypothesis import given
from hypothesis import strategies as st
from standin_vllm import KEY, MODEL, StandInVllm

NAME = st.from_regex(r"[a-zA-Z_:][a-zA-Z0-9_:]{0,8}", fullmatch=True)
LABELS = st.dictionaries(st.from_regex(r"[a-z_]{1,5}", fullmatch=True), st.text(max_size=8), max_size=3)
VALUE = st.floats(allow_nan=True, allow_infinity=True) | st.integers(-(10**6), 10**6).map(float)


def written(name: str, labels: dict[str, str], value: float, time: int | None) -> str:
    """A sample as prometheus_client writes it."""
    escaped = {k: v.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"") for k, v in labels.items()}
    text = ",".join(f'{k}="{v}"' for k, v in escaped.items())
    number = {math.inf: "+Inf", -math.inf: "-Inf"}.get(value, "NaN" if math.isnan(value) else repr(value))
    return f"{name}{{{text}}} {number}" + ("" if time is None else f" {time}") if text else f"{name} {number}"


@given(st.lists(st.tuples(NAME, LABELS, VALUE, st.none() | st.integers(0, 10**12))))
def test_each_metric_is_summed_over_whatever_labels_it_has(
    samples: list[tuple[str, dict[str, str], float, int | None]],
) -> None:
    lines = ["# HELP a b", "# TYPE a counter", *(written(*sample) for sample in samples), ""]
    sums: dict[str, float] = {}
    for name, __, value, __ in samples:
        if math.isfinite(value):
            sums[name] = sums.get(name, 0.0) + value
    assert parse_metrics("\n".join(lines)) == sums


@given(st.text())
def test_no_text_is_too_strange(text: str) -> None:
    assert all(isinstance(value, float) for value in parse_metrics(text).values())


def test_ranks_are_counted_together_and_another_server_is_told_apart() -> None:
    text = 'vllm:num_requests_running{engine="0",model_name="a} 9"} 2.0\nvllm:num_requests_running{engine="1"} 1.0\n'
    load = read_load(text + 'vllm:num_requests_waiting{engine="0"} 4.0\n')
    assert load is not None
    assert (load.running, load.waiting, load.requests) == (3, 4, 7)
    assert read_load("go_goroutines 8\n") is None


def wait(standin: StandInVllm, seconds: float = 0.6) -> dict[str, Any]:
    services = [Service(name=MODEL, kind=standin.kind, port=standin.port, unit="vllm-m.service")]
    return waiting.wait(services, seconds, KEY)["vllm-m.service"]


@pytest.fixture(autouse=True)
def hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, seconds in {"PAUSE": 0.05, "LOOK": 0.3, "STILL": 0.1, "NUDGE": 0.3}.items():
        monkeypatch.setattr(waiting, name, seconds)


def test_an_idle_engine_is_seen_at_once_and_asked_nothing() -> None:
    with StandInVllm("chat") as standin:
        seen = wait(standin)
        assert standin.requests == ["GET /metrics"]
    assert (seen["idle"], seen["running"], seen["waiting"], seen["told"]) == (True, 0, 0, "")
    assert seen["seconds"] < 0.5


def test_numbers_that_clients_left_behind_are_counted_anew() -> None:
    with StandInVllm("embedding", "metrics_stale") as standin:
        assert wait(standin)["idle"]
        assert "POST /v1/embeddings" in standin.requests


def test_an_engine_that_hangs_stays_busy_until_the_time_is_over() -> None:
    with StandInVllm("chat", "metrics_hang") as standin:
        seen = wait(standin)
    assert not seen["idle"]
    assert "no answer to GET /metrics" in seen["told"]


def test_looking_once_asks_nothing_and_a_closed_port_has_no_requests() -> None:
    with StandInVllm("chat", "metrics_stale") as standin:
        assert (wait(standin, 0)["running"], standin.requests) == (2, ["GET /metrics"])
    seen = wait(standin)
    assert seen["idle"]
    assert "refused" in seen["told"]
