"""What an option that went away, with a certain value, is to be written as."""

from __future__ import annotations

import datetime
from typing import Any

import pytest

ADVISED: list[tuple[dict[str, Any], str]] = [
    ({"speculative-model": "[ngram]"}, "Write `speculative-config: {method: ngram}`"),
    ({"speculative-model": "a/b"}, "Write `speculative-config: {model: a/b}`"),
    ({"num-speculative-tokens": "5"}, "Write `speculative-config: {num_speculative_tokens: 5}`"),
    ({"override-pooler-config": '{"pooling_type": "CLS"'}, "Its value is not JSON: "),
]


@pytest.mark.parametrize(("args", "said"), ADVISED)
def test_a_value_is_advised_as_it_is_meant(tell: Any, args: dict[str, Any], said: str) -> None:
    (problem,) = tell("0.33.0", args).problems
    assert said in problem
    assert "null" not in problem


@pytest.mark.parametrize("value", [datetime.date(2025, 1, 1), [float("nan")], "[" * 100_000])
def test_a_value_that_cannot_be_written_elsewhere_is_no_reason_to_stop(tell: Any, value: Any) -> None:
    (problem,) = tell("0.33.0", {"speculative-model": value}).problems
    assert "Gone since 0.8.3" in problem
