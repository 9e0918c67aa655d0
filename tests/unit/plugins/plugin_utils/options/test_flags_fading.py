"""What a release still takes: text for numbers, values that it replaces itself, and null for options of other releases."""

from __future__ import annotations

from typing import Any

import pytest

# Release, args, and exactly the warnings, after `args.`.
WARNED: list[tuple[str, dict[str, Any], list[str]]] = [
    (
        "0.33.0",
        {"all2all-backend": "pplx"},
        [
            "all2all-backend: pplx is deprecated in vLLM 0.33.0 (vLLM has no such backend any more, warns, and takes "
            "allgather_reducescatter). `migrate.yml` says what takes its place."
        ],
    ),
    ("0.16.0", {"all2all-backend": "pplx"}, []),
    ("0.18.1", {"all2all-backend": "naive"}, []),
    ("0.33.0", {"all2all-backend": "allgather_reducescatter"}, []),
    (
        "0.33.0",
        {"compilation-config": {"max_cudagraph_capture_size": "512"}},
        [
            "compilation-config.max_cudagraph_capture_size: is text, and vLLM 0.33.0 reads it as 512. "
            "Write 512, without quotes."
        ],
    ),
    (
        "0.31.0",
        {"kv-transfer-config": {"kv_connector": "NixlConnector", "kv_role": "kv_both", "kv_buffer_size": "1e9"}},
        [
            "kv-transfer-config.kv_buffer_size: is text, and vLLM 0.31.0 reads it as 1000000000.0. "
            "Write 1000000000.0, without quotes."
        ],
    ),
    (
        "0.33.0",
        {"compilation-config": {"cudagraph_capture_sizes": ["8", 16]}},
        [
            "compilation-config.cudagraph_capture_sizes[0]: is text, and vLLM 0.33.0 reads it as 8. "
            "Write 8, without quotes."
        ],
    ),
    (
        "0.33.0",
        {"kv-events-config": {"enable_kv_cache_events": "False"}},
        [
            "kv-events-config.enable_kv_cache_events: is text, and vLLM 0.33.0 reads it as false. "
            "Write false, without quotes."
        ],
    ),
]

REFUSED: list[tuple[str, dict[str, Any], str]] = [
    (
        "0.33.0",
        {"compilation-config": {"max_cudagraph_capture_size": "many"}},
        "compilation-config.max_cudagraph_capture_size: 'many' is not a whole number for vLLM 0.33.0.",
    ),
    (
        "0.31.0",
        {"kv-transfer-config": {"kv_connector": "NixlConnector", "kv_role": "kv_both", "kv_buffer_size": "big"}},
        "kv-transfer-config.kv_buffer_size: 'big' is not a number for vLLM 0.31.0.",
    ),
    # Nobody makes a number of it there.
    (
        "0.8.5",
        {"speculative-config": {"method": "ngram", "num_speculative_tokens": "4", "prompt_lookup_max": 4}},
        "speculative-config.num_speculative_tokens: '4' is not a whole number for vLLM 0.8.5.",
    ),
]


@pytest.mark.parametrize(("version", "args", "said"), WARNED)
def test_what_is_taken_for_something_else_is_said(
    version: str, args: dict[str, Any], said: list[str], tell: Any
) -> None:
    told = tell(version, args)
    assert told.problems == []
    assert told.warnings == [f"args.{line}" for line in said]


@pytest.mark.parametrize(("version", "args", "said"), REFUSED)
def test_text_that_is_read_as_no_number_is_refused(version: str, args: dict[str, Any], said: str, tell: Any) -> None:
    (problem,) = tell(version, args).problems
    assert problem.startswith(f"args.{said}")


@pytest.mark.parametrize("option", ["task", "swap-space", "compilation_config.level", "no-enable-lora-bias"])
def test_null_for_an_option_of_other_releases_writes_nothing(option: str, tell: Any) -> None:
    told = tell("0.33.0", {option: None, "max-model-len": 4096})
    assert told.problems == told.warnings == []
    assert told.words == ["--max-model-len", "4096"]


def test_a_quantisation_is_named_or_spelled_out(tell: Any) -> None:
    assert tell("0.33.0", {"quantization-config": {"moe": {"activation": "mxfp8"}}}).problems == []
    assert tell("0.33.0", {"quantization-config": {"moe": {"activation": 8}}}).problems != []


@pytest.mark.parametrize(("called", "name"), [("bf16", "bfloat16"), ("FP16", "float16"), ("fp32", "float32")])
def test_types_of_numbers_go_by_other_names(called: str, name: str, tell: Any) -> None:
    assert tell("0.33.0", {"dtype": called}).problems == [
        f'args.dtype: {called!r} is not a choice of vLLM 0.33.0. Did you mean "{name}".'
    ]
