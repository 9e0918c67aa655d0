"""The canary as a host runs it: its script against a stand-in endpoint, with a stand-in systemctl that notes what it is told."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.baremetal.vllm.plugins.module_utils.endpoints.kinds import KINDS
from ansible_collections.baremetal.vllm.plugins.plugin_utils.gateway.canary import canary_config
from ansible_collections.baremetal.vllm.plugins.plugin_utils.planned.service import Service
from hypothesis import given
from hypothesis import strategies as st
from standin_vllm import KEY, MODEL, StandInVllm

LIBEXEC = Path(__file__).resolve().parents[5] / "templates" / "usr" / "local" / "libexec"
SCRIPT = LIBEXEC / "vllm-canary"


def names_of(script: Path) -> dict[str, Any]:
    """What a script defines. Not by runpy, which ansible-test's import hooks mislead."""
    names: dict[str, Any] = {"__name__": "script"}
    exec(compile(script.read_text(), script, "exec"), names)
    return names


CANARY = names_of(SCRIPT)
SYSTEMCTL = """#!/bin/sh
cd "$(dirname "$0")" || exit 1
case "$1" in
show) cat units; if [ -e next ]; then mv next units; fi ;;
restart) echo "$@" >> orders ;;
esac
"""
ACTIVE = {"ActiveState": "active", "SubState": "running", "Job": "0", "InvocationID": "a1", "MainPID": "0"}
ACTIVE["ActiveEnterTimestampMonotonic"] = "1"


class Host:
    """A host with a canary. `timeout` is in seconds."""

    def __init__(self, directory: Path, timeout: float = 0.4) -> None:
        self.directory, self.timeout = directory, timeout
        self.restarts = 3
        self.endpoints: list[dict[str, Any]] = []
        self.key = KEY
        systemctl = directory / "systemctl"
        systemctl.write_text(SYSTEMCTL)
        systemctl.chmod(0o755)

    def serves(self, standin: StandInVllm, unit: str = "vllm-m.service") -> None:
        where = {"address": "127.0.0.1", "port": standin.port}
        self.endpoints.append({"unit": unit, "kind": standin.kind, "model": MODEL, **where})
        self.state()

    def state(self, file: str = "units", **changes: str) -> None:
        blocks = [
            "\n".join(f"{k}={v}" for k, v in {"Id": e["unit"], **ACTIVE, **changes}.items()) for e in self.endpoints
        ]
        (self.directory / file).write_text("\n\n".join(blocks) + "\n")

    def run(self, times: int = 1) -> tuple[int, str]:
        """Exit status of the last run, and what all of them said."""
        limits = {"timeout": self.timeout, "failures": 2, "restarts": self.restarts}
        (self.directory / "canary.json").write_text(json.dumps({**limits, "endpoints": self.endpoints}))
        environment = {"PATH": f"{self.directory}:{os.environ['PATH']}", "RUNTIME_DIRECTORY": str(self.directory)}
        said, status = "", 0
        for __ in range(times):
            done = subprocess.run(
                [sys.executable, "-I", str(SCRIPT), str(self.directory / "canary.json")],
                env={**environment, "VLLM_API_KEY": self.key},
                capture_output=True,
                text=True,
                check=False,
            )
            status, said = done.returncode, said + done.stderr
        return status, said

    @property
    def orders(self) -> list[str]:
        file = self.directory / "orders"
        return file.read_text().splitlines() if file.exists() else []


@pytest.fixture
def machine(tmp_path: Path) -> Host:
    return Host(tmp_path)


RESTART = "restart --no-block vllm-m.service"


@pytest.mark.parametrize(
    "kind", ["chat", "reasoning", "vision", "embedding", "rerank", "score", "classify", "transcription"]
)
def test_an_endpoint_that_answers_is_asked_once_and_nothing_is_said(machine: Host, kind: str) -> None:
    with StandInVllm(kind) as standin:
        machine.serves(standin)
        assert machine.run() == (0, "")
        assert len(standin.requests) == 1
    assert machine.orders == []


@pytest.mark.parametrize(
    ("faults", "told"),
    [
        (["answer_hangs"], "/v1/chat/completions: no answer within 0.4 s, and nothing is counted meanwhile"),
        (["answer_hangs", "metrics_hang"], "nothing is counted meanwhile (/metrics does not answer either)"),
        (["answer_cut"], "nothing is counted meanwhile"),
        (["answer_500"], "/v1/chat/completions answers 500"),
        (["answer_not_json"], "/v1/chat/completions answers 200: {{"),
        (["answer_a_list"], "/v1/chat/completions answers 200: []"),
        (["answer_without_choices"], "/v1/chat/completions answers 200"),
    ],
)
def test_the_second_failure_in_a_row_restarts_and_says_why(machine: Host, faults: list[str], told: str) -> None:
    with StandInVllm("chat", *faults) as standin:
        machine.serves(standin)
        status, said = machine.run()
        assert (status, machine.orders) == (0, [])
        assert told in said
        status, said = machine.run()
    assert (status, machine.orders) == (0, [RESTART])
    assert "vllm-m.service is restarted by the canary: " in said
    assert told in said
    assert KEY not in said


def test_nobody_who_listens_is_a_hang_too(machine: Host) -> None:
    with StandInVllm("chat") as standin:
        machine.serves(standin)
    status, said = machine.run(2)
    assert (status, machine.orders) == (0, [RESTART])
    assert "refused" in said


def test_nonsense_in_a_vector_is_a_wrong_answer(machine: Host) -> None:
    right = CANARY["right"]
    assert right("embedding", '{"data": [{"embedding": [0.1, -2]}]}')
    assert not right("embedding", '{"data": [{"embedding": [NaN]}]}')
    assert not right("embedding", '{"data": [{"embedding": []}]}')
    assert not right("rerank", '{"results": [{"relevance_score": null}]}')


def test_a_busy_engine_is_never_restarted(machine: Host) -> None:
    with StandInVllm("chat", "answer_hangs", "metrics_move") as standin:
        machine.serves(standin)
        status, said = machine.run(2)
    assert (status, machine.orders) == (0, [])
    assert said.count("it works on others' requests") == 1


def test_a_first_look_that_comes_too_late_neither_counts_nor_forgets(
    machine: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VLLM_API_KEY", KEY)
    looks = iter([None, ["vllm:generation_tokens_total 1"]])
    monkeypatch.setitem(CANARY["probe"].__globals__, "work", lambda *__: next(looks))
    with StandInVllm("chat", "answer_hangs") as standin:
        machine.serves(standin)
        verdict, said = CANARY["probe"](machine.endpoints[0], machine.timeout)
    assert verdict == "unsure"
    assert "too late to tell" in said
    once = {"restarts": [], "failures": 1}
    assert CANARY["follow"](once, "unsure", 0.0, 2, 3) == (once, "")


def test_a_refused_request_is_told_once_and_restarts_nothing(machine: Host) -> None:
    machine.key = "sk-another"
    with StandInVllm("chat") as standin:
        machine.serves(standin)
        status, said = machine.run(3)
        assert said.count("answers 401") == 1
        machine.key = KEY
        assert machine.run() == (0, "<5>vllm-m.service: answers again\n")
    assert (status, machine.orders) == (0, [])


def test_a_good_answer_between_two_bad_ones_starts_the_count_anew(machine: Host) -> None:
    with StandInVllm("chat") as standin:
        machine.serves(standin)
        for faults in ({"answer_500"}, set(), {"answer_500"}, set()):
            standin.faults = faults
            machine.run()
    assert machine.orders == []


@pytest.mark.parametrize(
    "changes",
    [
        {"ActiveState": "deactivating", "SubState": "stop-sigterm"},
        {"ActiveState": "activating", "SubState": "start-post"},
        {"ActiveState": "failed", "SubState": "failed"},
        {"Job": "4711"},
        {"ActiveEnterTimestampMonotonic": str(int(time.clock_gettime(time.CLOCK_MONOTONIC) * 1e6) + 10**9)},
    ],
)
def test_what_does_not_run_or_started_just_now_is_not_asked(machine: Host, changes: dict[str, str]) -> None:
    with StandInVllm("chat", "answer_500") as standin:
        machine.serves(standin)
        machine.state(**changes)
        assert machine.run() == (0, "")
        assert standin.requests == []


def test_what_was_restarted_by_others_meanwhile_is_left_alone(machine: Host) -> None:
    with StandInVllm("chat", "answer_500") as standin:
        machine.serves(standin)
        for number in range(2):
            machine.state("next", InvocationID=f"b{number}")
            assert machine.run() == (0, "")
    assert machine.orders == []


def test_after_its_last_restart_within_an_hour_it_only_complains(machine: Host) -> None:
    machine.restarts = 1
    with StandInVllm("chat", "answer_500") as standin:
        machine.serves(standin)
        machine.run(2)
        machine.state(InvocationID="a2")
        assert machine.run()[0] == 0
        status, said = machine.run()
        assert (status, machine.orders) == (1, [RESTART])
        assert "<3>vllm-m.service is ill: " in said
        standin.faults = set()
        assert machine.run()[0] == 0


def test_endpoints_that_hang_delay_no_other(machine: Host) -> None:
    with StandInVllm("chat", "answer_hangs") as hung, StandInVllm("chat") as well:
        for number in range(8):
            machine.serves(hung, f"vllm-h{number}.service")
        machine.serves(well)
        began = time.monotonic()
        machine.run()
        assert time.monotonic() - began < 8 * machine.timeout
        assert well.requests == ["POST /v1/chat/completions"]


@given(
    st.lists(st.sampled_from(["well", "busy", "refused", "hangs", "wrong", "unsure"])),
    st.integers(1, 4),
    st.integers(0, 4),
)
def test_every_restart_follows_so_many_failures_and_they_are_never_too_many(
    verdicts: list[str], failures: int, restarts: int
) -> None:
    record: dict[str, Any] = {}
    orders: list[tuple[float, int]] = []
    for number, verdict in enumerate(verdicts):
        record, action = CANARY["follow"](record, verdict, number * 600.0, failures, restarts)
        if action:
            sure = [verdict for verdict in verdicts[: number + 1] if verdict != "unsure"]
            assert set(sure[-failures:]) <= {"hangs", "wrong"}
            assert len(sure) >= failures
        if action == "restart":
            orders.append((number * 600.0, number))
        if verdict in ("well", "busy", "refused", "unsure"):
            assert action == ""
    for at, __ in orders:
        assert len([order for order, __ in orders if at - 3600 < order <= at]) <= restarts


def test_all_who_ask_one_request_ask_the_same() -> None:
    waits = names_of(LIBEXEC / "vllm-wait-ready")
    chat = KINDS["chat"]
    requests = {kind.name: (kind.path, kind.smallest) for kind in KINDS.values() if not kind.chats}
    assert (CANARY["REQUESTS"], CANARY["CHAT"]) == (requests, (chat.path, chat.smallest))
    # A sound file is more than the wait before every start is worth.
    assert {**waits["REQUESTS"], "transcription": requests["transcription"]} == requests
    assert waits["CHAT"] == CANARY["CHAT"]


def test_what_it_is_told_names_the_bound_and_refuses_what_is_wrong_at_once() -> None:
    service = Service("m", unit="vllm-m.service", address="0.0.0.0", port=8001, kind="chat", argv=("x",))
    told = canary_config([service], interval="15", timeout=30, failures=2, restarts=3)
    assert told["bound"] == 105
    assert json.loads(told["config"])["endpoints"] == [
        {"unit": "vllm-m.service", "address": "127.0.0.1", "port": 8001, "kind": "chat", "model": "m"}
    ]
    with pytest.raises(
        ValueError, match=r"canary_interval: 0 is .*\ncanary_timeout: 'soon' is .*\ncanary_restarts: -1"
    ):
        canary_config([], interval=0, timeout="soon", failures=2, restarts=-1)
