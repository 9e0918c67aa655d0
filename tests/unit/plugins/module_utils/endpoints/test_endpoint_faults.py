"""Each fault of an endpoint fails the check that exists for it, and no other."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from typing import Any

import pytest
from ansible_collections.baremetal.vllm.plugins.module_utils.endpoints.kinds import KINDS
from ansible_collections.baremetal.vllm.plugins.module_utils.endpoints.service import Prove, Service
from ansible_collections.baremetal.vllm.plugins.module_utils.endpoints.suite import (
    Result,
    check_service,
    check_services,
)
from standin_vllm import KEY, LENGTH, MODEL, StandInVllm


def prove(kind: str, *faults: str, key: str | None = KEY, timeout: float = 5, **promises: Any) -> Result:
    promises = {"key": True, "reasoning": kind == "reasoning", "max_model_len": LENGTH, **promises}
    with StandInVllm(kind, *faults, adapters=promises.get("adapters", ())) as standin:
        service = Service(MODEL, kind, standin.port, "0.0.0.0", (MODEL, f"{MODEL}-alias"), "", Prove(**promises))
        return check_service(service, key, timeout)


def failures(result: Result) -> list[str]:
    return [check.name for check in result.checks if check.failed]


@pytest.mark.parametrize("kind", KINDS)
def test_sound_endpoint_passes_every_check(kind: str) -> None:
    result = prove(kind)
    assert [check for check in result.checks if check.failed] == []
    assert result.passed
    skipped = {check.name for check in result.checks if check.skipped}
    # A stand-in in this process is no unit, whose sockets could be looked at.
    own = {"malformed_refused", "long_prompt_refused"} if kind == "transcription" else set()
    assert skipped == {"only_its_port", *own}


ANY_KIND = [
    ("unhealthy", ["healthy"]),
    ("unlisted", ["listed"]),
    ("models_not_json", ["listed"]),
    ("key_not_required", ["key_required"]),
    ("wrong_key_accepted", ["wrong_key_refused"]),
    ("unknown_model_accepted", ["unknown_model_refused"]),
]
NO_FORM = [
    ("malformed_500", ["malformed_refused"]),
    ("long_prompt_accepted", ["long_prompt_refused"]),
]
OTHER_KIND = [("other_kind_accepted", ["other_kind_refused"])]
GENERATED = [
    ("answer_500", ["answer"]),
    ("answer_not_json", ["answer"]),
    ("answer_a_list", ["answer"]),
    ("answer_without_choices", ["answer"]),
    ("answer_cut", ["answer"]),
    ("answer_hangs", ["answer"]),
    ("usage_sum", ["usage"]),
    ("usage_zero", ["usage"]),
    ("usage_too_many", ["usage"]),
    ("stream_as_json", ["stream"]),
    ("stream_empty", ["stream"]),
    ("stream_not_json", ["stream"]),
    ("stream_cut", ["stream_end"]),
    ("stream_hangs", ["stream_end"]),
    ("stream_error", ["stream_end"]),
    ("stream_without_finish", ["stream_end"]),
    ("stream_without_done", ["stream_end"]),
    ("structured_not_json", ["structured"]),
    ("structured_extra_key", ["structured"]),
    ("structured_out_of_bounds", ["structured"]),
]
BY_KIND = {
    "chat": [
        *GENERATED,
        ("answer_empty", ["answer"]),
        ("answer_wrong", ["answer"]),
        ("usage_missing", ["usage"]),
        ("post_unguarded", ["key_required", "wrong_key_refused"]),
    ],
    "reasoning": [
        ("parser_off", ["reasoning_parser"]),
        ("details_missing", ["reasoning_parser"]),
        ("thoughts_in_content", ["reasoning_apart"]),
        ("content_null", ["reasoning_apart"]),
    ],
    "vision": [
        ("image_ignored", ["image_read"]),
        ("broken_image_accepted", ["broken_image_refused"]),
        ("broken_image_500", ["broken_image_refused"]),
    ],
    "embedding": [
        ("embedding_ragged", ["dimension"]),
        ("embedding_nan", ["dimension"]),
        ("embedding_misnumbered", ["dimension"]),
        ("embedding_missing", ["dimension"]),
        ("embedding_long", ["norm"]),
        ("embedding_zero", ["norm"]),
        ("embedding_reversed", ["batch_order"]),
        ("embedding_unrelated_closer", ["related_closer"]),
    ],
    "rerank": [
        ("rerank_unsorted", ["order", "top_n"]),
        ("rerank_nan", ["order", "top_n", "score_agrees"]),
        ("rerank_duplicate", ["every_document"]),
        ("rerank_wrong_text", ["every_document"]),
        ("top_n_ignored", ["top_n"]),
        ("top_n_worst", ["top_n"]),
        ("rerank_wrong_winner", ["right_first"]),
        ("score_missing", ["every_pair"]),
        ("score_differs", ["score_agrees"]),
    ],
    "score": [("score_missing", ["every_pair"])],
    "classify": [
        ("classify_missing", ["every_input"]),
        ("classify_sum", ["probabilities"]),
        ("classify_range", ["probabilities"]),
    ],
    "transcription": [("text_missing", ["transcription"]), ("audio_route_absent", ["transcription"])],
}
CASES = [
    (kind, fault, expected)
    for kind in KINDS
    for fault, expected in [
        *ANY_KIND,
        *([] if kind == "transcription" else NO_FORM),
        *([] if kind == "rerank" else OTHER_KIND),
        *BY_KIND[kind],
    ]
]


@pytest.mark.parametrize(
    ("kind", "fault", "expected"), CASES, ids=lambda value: value if isinstance(value, str) else ""
)
def test_fault_fails_its_check_alone(kind: str, fault: str, expected: list[str]) -> None:
    result = prove(kind, fault, timeout=0.5 if fault.endswith("hangs") else 5)
    assert failures(result) == expected
    assert not result.passed
    for check in result.checks:
        assert not check.failed or (check.observed and check.expected)


@pytest.mark.parametrize("choice", ["named", "required"])
@pytest.mark.parametrize("fault", ["breaks_schema", "not_json", "other_name", "not_called"])
def test_tool_fault_fails_its_choice_alone(choice: str, fault: str) -> None:
    assert failures(prove("chat", f"tool_{choice}_{fault}", tools=True)) == [f"tool_{choice}"]


def test_tools_pass_where_arguments_keep_to_the_schema() -> None:
    assert prove("chat", tools=True).passed


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        ("", []),
        ("adapter_unlisted", ["adapters_listed"]),
        ("adapter_orphan", ["adapters_listed"]),
        ("adapter_silent", ["adapters_answer"]),
        ("adapter_refused", ["adapters_answer"]),
        ("adapter_ignored", ["adapters_answer"]),
    ],
)
def test_adapters(fault: str, expected: list[str]) -> None:
    assert failures(prove("chat", fault, adapters=("french", "german"))) == expected


def test_engine_without_audio_packages_is_skipped_not_failed() -> None:
    result = prove("transcription", "audio_packages_absent")
    assert failures(result) == []
    assert {check.name: "no audio" in check.skipped for check in result.checks}["transcription"]


def test_weights_without_meaning_skip_what_only_meaning_can_show() -> None:
    assert failures(prove("embedding", "embedding_unrelated_closer", meaning=False)) == []
    assert failures(prove("rerank", "rerank_wrong_winner", meaning=False)) == []
    assert failures(prove("chat", "answer_wrong", meaning=False)) == []
    assert failures(prove("chat", "answer_empty", meaning=False)) == ["answer"]


def test_structured_output_can_be_switched_off() -> None:
    result = prove("chat", "structured_not_json", structured=False)
    assert result.passed
    assert [check.name for check in result.checks if check.skipped] == ["structured", "only_its_port"]


def test_first_token_time_is_that_of_the_stream() -> None:
    result = prove("chat")
    assert result.first_token_seconds is not None
    assert 0 < result.first_token_seconds <= result.seconds
    assert prove("embedding").first_token_seconds is None


def test_endpoint_without_planned_key_skips_the_refusals_of_keys() -> None:
    promises = Prove(max_model_len=LENGTH)
    with StandInVllm("chat", key=None) as standin:
        result = check_service(Service(MODEL, "chat", standin.port, prove=promises), None, 5)
    assert result.passed
    assert {check.name for check in result.checks if check.skipped} == {
        "key_required",
        "wrong_key_refused",
        "key_hidden",
        "only_its_port",
    }


def test_missing_key_is_told_by_the_checks_that_need_it() -> None:
    result = prove("embedding", key=None)
    assert "listed" in failures(result)
    assert "HTTP 401: Unauthorized" in {check.name: check.observed for check in result.checks}["listed"]


def test_key_on_a_command_line_is_found() -> None:
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)", f"--api-key={KEY}"]) as process:
        try:
            time.sleep(0.1)
            result = prove("embedding")
        finally:
            process.kill()
    assert failures(result) == ["key_hidden"]
    told = {check.name: check.observed for check in result.checks}["key_hidden"]
    assert str(process.pid) in told
    assert KEY not in told


def test_no_result_shows_the_key() -> None:
    for fault in ("", "answer_500", "wrong_key_accepted", "unhealthy"):
        assert KEY not in str(prove("chat", fault).as_dict())


def test_refused_connection_is_one_failure() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
    result = check_service(Service(MODEL, "chat", port), None, 5)
    assert failures(result) == ["healthy"]
    assert f"port {port} refused" in result.checks[0].observed
    assert {check.skipped for check in result.checks[1:]} == {"the endpoint does not answer"}


def test_silent_server_costs_one_timeout() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        started = time.monotonic()
        result = check_service(Service(MODEL, "chat", silent.getsockname()[1]), None, 0.5)
    assert failures(result) == ["healthy"]
    assert "within 0.5 s" in result.checks[0].observed
    assert time.monotonic() - started < 2


def test_requests_that_hang_are_given_up_after_two() -> None:
    result = prove("chat", "answer_hangs", "stream_hangs", "structured_not_json", timeout=0.3)
    assert failures(result) == ["answer", "stream_end"]
    assert "took" in {check.name: check.skipped for check in result.checks}["structured"]


def test_services_are_checked_side_by_side_in_their_order() -> None:
    with StandInVllm("chat", "answer_hangs") as slow, StandInVllm("embedding") as quick:
        services = [
            Service(MODEL, "chat", slow.port, prove=Prove(key=True)),
            Service(MODEL, "chat", slow.port, prove=Prove(key=True)),
            Service(MODEL, "embedding", quick.port, prove=Prove(key=True)),
        ]
        started = time.monotonic()
        results = check_services(services, KEY, 1, 3)
    assert time.monotonic() - started < 1.9
    assert [failures(result) for result in results] == [["answer"], ["answer"], []]
