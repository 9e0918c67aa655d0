"""The quick look: healthy, listed, one answer of the kind, and few requests."""

from __future__ import annotations

import pytest
from ansible_collections.baremetal.vllm.plugins.module_utils.endpoints.kinds import KINDS
from ansible_collections.baremetal.vllm.plugins.module_utils.endpoints.service import Prove, Service
from ansible_collections.baremetal.vllm.plugins.module_utils.endpoints.suite import check_service
from standin_vllm import KEY, LENGTH, MODEL, StandInVllm


@pytest.mark.parametrize("kind", KINDS)
def test_a_sound_endpoint_is_seen_with_few_requests(kind: str) -> None:
    promises = Prove(key=True, reasoning=kind == "reasoning", max_model_len=LENGTH, tools=True)
    with StandInVllm(kind) as standin:
        result = check_service(Service(MODEL, kind, standin.port, prove=promises), KEY, 5, quick=True)
        asked = len(standin.requests)
    assert [check for check in result.checks if check.failed] == []
    assert result.passed
    assert asked <= (3 if kind in ("chat", "reasoning", "vision") else 8)


@pytest.mark.parametrize(
    ("fault", "seen"), [("unhealthy", "healthy"), ("unlisted", "listed"), ("answer_hangs", "answer")]
)
def test_one_that_does_not_answer_is_seen(fault: str, seen: str) -> None:
    with StandInVllm("chat", fault) as standin:
        result = check_service(Service(MODEL, "chat", standin.port, served_names=(MODEL,)), KEY, 0.4, quick=True)
    assert seen in [check.name for check in result.checks if check.failed]
    assert not result.passed
