"""Values that the release does not take: types, bounds, sizes, choices and lists."""

from __future__ import annotations

from typing import Any

import pytest

# Release, args, and exactly what is said of them, after `args.`.
WRONG: list[tuple[str, dict[str, Any], str]] = [
    (
        "0.33.0",
        {"enforce-eager": "true"},
        "enforce-eager: 'true' is not true or false for vLLM 0.33.0. Write true, without quotes.",
    ),
    (
        "0.33.0",
        {"enforce-eager": "False"},
        "enforce-eager: 'False' is not true or false for vLLM 0.33.0. Write false, without quotes.",
    ),
    (
        "0.33.0",
        {"enforce-eager": "yes"},
        "enforce-eager: 'yes' is not true or false for vLLM 0.33.0. Write true, without quotes.",
    ),
    ("0.33.0", {"enforce-eager": 1}, "enforce-eager: 1 is not true or false for vLLM 0.33.0. Write true."),
    ("0.33.0", {"enforce-eager": 0}, "enforce-eager: 0 is not true or false for vLLM 0.33.0. Write false."),
    (
        "0.33.0",
        {"enforce-eager": "maybe"},
        "enforce-eager: 'maybe' is not true or false for vLLM 0.33.0. Write true or false.",
    ),
    (
        "0.33.0",
        {"enforce-eager": [True]},
        "enforce-eager: a list is not true or false for vLLM 0.33.0. Write true or false.",
    ),
    (
        "0.33.0",
        {"tensor-parallel-size": "four"},
        "tensor-parallel-size: 'four' is not a whole number for vLLM 0.33.0. Write a whole number.",
    ),
    (
        "0.33.0",
        {"tensor-parallel-size": 2.5},
        "tensor-parallel-size: 2.5 is not a whole number for vLLM 0.33.0. Write a whole number.",
    ),
    (
        "0.33.0",
        {"tensor-parallel-size": 2.0},
        "tensor-parallel-size: 2.0 is not a whole number for vLLM 0.33.0. Write 2.",
    ),
    (
        "0.33.0",
        {"tensor-parallel-size": 0},
        "tensor-parallel-size: 0 is out of bounds for vLLM 0.33.0. Write a number that is at least 1.",
    ),
    (
        "0.33.0",
        {"tensor-parallel-size": True},
        "tensor-parallel-size: true is not a whole number for vLLM 0.33.0. Write a whole number.",
    ),
    (
        "0.33.0",
        {"tensor-parallel-size": [2]},
        "tensor-parallel-size: a list is not one value for vLLM 0.33.0. Write one value.",
    ),
    (
        "0.33.0",
        {"tensor-parallel-size": "2.0"},
        "tensor-parallel-size: '2.0' is not a whole number for vLLM 0.33.0. Write a whole number.",
    ),
    ("0.33.0", {"max-num-seqs": "1k"}, "max-num-seqs: '1k' is not a whole number for vLLM 0.33.0. Write 1000."),
    (
        "0.33.0",
        {"max-num-seqs": 10**5000},
        "max-num-seqs: a number of 16610 bits is not a whole number for vLLM 0.33.0. Write a whole number.",
    ),
    ("0.33.0", {"seed": "1_000"}, "seed: '1_000' is not a whole number for vLLM 0.33.0. Write a whole number."),
    (
        "0.33.0",
        {"gpu-memory-utilization": 1.5},
        "gpu-memory-utilization: 1.5 is out of bounds for vLLM 0.33.0. Write a number that is above 0 and at most 1.",
    ),
    (
        "0.33.0",
        {"gpu-memory-utilization": 90},
        "gpu-memory-utilization: 90 is out of bounds for vLLM 0.33.0. Write a number that is above 0 and at most 1.",
    ),
    (
        "0.33.0",
        {"gpu-memory-utilization": 0},
        "gpu-memory-utilization: 0 is out of bounds for vLLM 0.33.0. Write a number that is above 0 and at most 1.",
    ),
    (
        "0.33.0",
        {"gpu-memory-utilization": "90%"},
        "gpu-memory-utilization: '90%' is not a number for vLLM 0.33.0. Write a number.",
    ),
    (
        "0.33.0",
        {"gpu-memory-utilization": float("nan")},
        "gpu-memory-utilization: nan is not a number for vLLM 0.33.0. Write a number.",
    ),
    (
        "0.33.0",
        {"gpu-memory-utilization": float("inf")},
        "gpu-memory-utilization: inf is not a number for vLLM 0.33.0. Write a number.",
    ),
    (
        "0.33.0",
        {"video-pruning-rate": 1.0},
        "video-pruning-rate: 1.0 is out of bounds for vLLM 0.33.0. Write a number that is at least 0 and below 1.",
    ),
    (
        "0.33.0",
        {"max-model-len": "32kb"},
        "max-model-len: '32kb' is not a size for vLLM 0.33.0. Write a whole number, one with k, m, g (of 1,000) "
        "or K, M, G (of 1,024), or auto: 4096, 32k, auto.",
    ),
    (
        "0.33.0",
        {"max-model-len": "25.6K"},
        "max-model-len: '25.6K' is not a size for vLLM 0.33.0. Write 25.6k, or a whole number before the K.",
    ),
    (
        "0.33.0",
        {"max-model-len": 25.6},
        "max-model-len: 25.6 is not a size for vLLM 0.33.0. Write a whole number, one with k, m, g (of 1,000) or K, M, G (of 1,024), or auto: 4096, 32k, auto.",
    ),
    ("0.33.0", {"max-model-len": 32768.0}, "max-model-len: 32768.0 is not a size for vLLM 0.33.0. Write 32768."),
    (
        "0.33.0",
        {"max-model-len": "1.5"},
        "max-model-len: '1.5' is not a size for vLLM 0.33.0. Write a whole number, one with k, m, g (of 1,000) or "
        "K, M, G (of 1,024), or auto: 4096, 32k, auto.",
    ),
    (
        "0.33.0",
        {"max-model-len": -2},
        "max-model-len: -2 is not a size for vLLM 0.33.0. Write a whole number, one with k, m, g (of 1,000) or K, M, G (of 1,024), or auto: 4096, 32k, auto.",
    ),
    (
        "0.12.0",
        {"max-model-len": "auto"},
        "max-model-len: 'auto' is not a size for vLLM 0.12.0. Write a whole number, or one with k, m, g (of 1,000) or K, M, G (of 1,024): 4096, 32k, 25.6k.",
    ),
    (
        "0.12.0",
        {"max-model-len": -1},
        "max-model-len: -1 is not a size for vLLM 0.12.0. Write a whole number, or one with k, m, g (of 1,000) or K, M, G (of 1,024): 4096, 32k, 25.6k.",
    ),
    (
        "0.12.0",
        {"kv-cache-memory-bytes": "1t"},
        "kv-cache-memory-bytes: '1t' is not a size for vLLM 0.12.0. Write a whole number, or one with k, m, g (of "
        "1,000) or K, M, G (of 1,024): 4096, 32k, 25.6k.",
    ),
    (
        "0.8.5",
        {"max-num-batched-tokens": "8k"},
        "max-num-batched-tokens: '8k' is not a whole number for vLLM 0.8.5. Write 8000.",
    ),
    (
        "0.33.0",
        {"max-num-batched-tokens": 0},
        "max-num-batched-tokens: 0 is out of bounds for vLLM 0.33.0. Write a number that is at least 1.",
    ),
    (
        "0.33.0",
        {"tokenizer": 123},
        "tokenizer: 123 is not text for vLLM 0.33.0. Write it in quotes: YAML reads it as something else than text.",
    ),
    (
        "0.33.0",
        {"show-hidden-metrics-for-version": 0.1},
        "show-hidden-metrics-for-version: 0.1 is not text for vLLM 0.33.0. Write it in quotes: YAML reads it as something else than text.",
    ),
    (
        "0.33.0",
        {"reasoning-parser": True},
        "reasoning-parser: true is not text for vLLM 0.33.0. Write it in quotes: YAML reads it as something else than text.",
    ),
    ("0.33.0", {"chat-template": ["a"]}, "chat-template: a list is not one value for vLLM 0.33.0. Write one value."),
    (
        "0.33.0",
        {"chat-template": {"a": 1}},
        "chat-template: a dictionary is not one value for vLLM 0.33.0. Write one value.",
    ),
    (
        "0.33.0",
        {"tokenizer-revision": "None"},
        "tokenizer-revision: 'None' is read as nothing at all by vLLM 0.33.0. Leave the option out.",
    ),
    (
        "0.33.0",
        {"quantization": ""},
        "quantization: '' is read as nothing at all by vLLM 0.33.0. Leave the option out.",
    ),
    ("0.33.0", {"response-role": "--"}, "response-role: is the word that ends all options. Write another value."),
    (
        "0.33.0",
        {"dtype": "bf16"},
        "dtype: 'bf16' is not a choice of vLLM 0.33.0. Did you mean \"bfloat16\".",
    ),
    ("0.33.0", {"dtype": "bfloat61"}, "dtype: 'bfloat61' is not a choice of vLLM 0.33.0. Did you mean \"bfloat16\"."),
    (
        "0.33.0",
        {"max-lora-rank": 7, "enable-lora": True},
        "max-lora-rank: 7 is not a choice of vLLM 0.33.0. Known are: 1, 8, 16, 32, 64, 128, 256, 320, 512.",
    ),
    (
        "0.33.0",
        {"scheduling-policy": "FCFS"},
        "scheduling-policy: 'FCFS' is not a choice of vLLM 0.33.0. Did you mean \"fcfs\".",
    ),
    (
        "0.33.0",
        {"moe-backend": "tritn"},
        "moe-backend: 'tritn' is not a choice of vLLM 0.33.0. Did you mean \"triton\".",
    ),
    (
        "0.33.0",
        {"runner": "embed"},
        "runner: 'embed' is not a choice of vLLM 0.33.0. Known are: auto, draft, generate, pooling.",
    ),
    (
        "0.33.0",
        {"kv-cache-dtype": "fp4"},
        "kv-cache-dtype: 'fp4' is not known to vLLM 0.33.0. Did you mean \"nvfp4\"; a name that a plug-in adds "
        "belongs into `vllm_extra_choices.kv-cache-dtype`.",
    ),
    (
        "0.33.0",
        {"tool-call-parser": "hermez"},
        "tool-call-parser: 'hermez' is not known to vLLM 0.33.0. Did you mean \"hermes\"; a name that a plug-in "
        "adds belongs into `vllm_extra_choices.tool-call-parser`.",
    ),
    (
        "0.33.0",
        {"reasoning-parser": "deepseek-r1"},
        "reasoning-parser: 'deepseek-r1' is not known to vLLM 0.33.0. Did you mean \"deepseek_r1\"; a name that a "
        "plug-in adds belongs into `vllm_extra_choices.reasoning-parser`.",
    ),
    (
        "0.33.0",
        {"attention-backend": "FLASH_ATN"},
        "attention-backend: 'FLASH_ATN' is not known to vLLM 0.33.0. Did you mean \"FLASH_ATTN\"; a name that a "
        "plug-in adds belongs into `vllm_extra_choices.attention-backend`.",
    ),
    (
        "0.8.5",
        {"kv-cache-dtype": "nvfp4"},
        "kv-cache-dtype: 'nvfp4' is not a choice of vLLM 0.8.5. Known are: auto, fp8, fp8_e4m3, fp8_e5m2.",
    ),
    (
        "0.33.0",
        {"cudagraph-capture-sizes": [1, "x"]},
        "cudagraph-capture-sizes: 'x' is not a whole number for vLLM 0.33.0. Write a whole number.",
    ),
    (
        "0.33.0",
        {"cudagraph-capture-sizes": "1 2 4"},
        "cudagraph-capture-sizes: is one text with blanks, where vLLM takes several values. Write a list: [a, b].",
    ),
    (
        "0.33.0",
        {"cudagraph-capture-sizes": []},
        "cudagraph-capture-sizes: an empty list is no value for vLLM 0.33.0. Leave the option out.",
    ),
    (
        "0.33.0",
        {"middleware": {"a": 1}},
        "middleware: a dictionary is not a list for vLLM 0.33.0. Write a list: [a, b].",
    ),
    (
        "0.33.0",
        {"ignore-patterns": ["-x"]},
        "ignore-patterns: has an item that begins with a dash, which would be read as an option. Write it another way.",
    ),
    (
        "0.33.0",
        {"allowed-origins": "https://a"},
        "allowed-origins: is not JSON: expecting value at character 1. Correct it, or write it as a YAML list.",
    ),
    (
        "0.33.0",
        {"allowed-origins": {"a": 1}},
        "allowed-origins: a dictionary is not a list for vLLM 0.33.0. Write a list: [a, b].",
    ),
    (
        "0.33.0",
        {"allowed-origins": '["a"'},
        "allowed-origins: is not JSON: expecting ',' delimiter at character 5. Correct it, or write it as a YAML list.",
    ),
    (
        "0.33.0",
        {"collect-detailed-traces": ["all", "modle"], "otlp-traces-endpoint": "http://h"},
        "collect-detailed-traces: 'modle' is not a choice of vLLM 0.33.0. Did you mean \"model\".",
    ),
    ("0.33.0", {"ignore-patterns": [None]}, "ignore-patterns: null is not text for vLLM 0.33.0. Leave it out."),
    (
        "0.33.0",
        {"max-model-len.x": 1},
        "max-model-len.x: max-model-len has no keys in vLLM 0.33.0. Write one value as `max-model-len`.",
    ),
    (
        "0.33.0",
        {"chat-template": "a\x00b"},
        "chat-template: contains a NUL character. Remove it: no command line can carry one.",
    ),
    (
        "0.33.0",
        {"chat-template": "a\ud800"},
        "chat-template: contains a code point that is no character. Remove it: systemd takes it for broken text.",
    ),
    (
        "0.33.0",
        {"chat-template": "é" * 70000},
        "chat-template: is longer than the kernel's 131071 bytes for one argument. Put it in a file.",
    ),
    (
        "0.33.0",
        {"response-role": "hf_" + "a" * 30},
        "response-role: looks like a secret. Use `vllm_api_key`, `vllm_hf_token` or `vllm_secret_env` (from a vault).",
    ),
]


@pytest.mark.parametrize(("version", "args", "said"), WRONG)
def test_a_wrong_value_is_refused_with_what_would_be_right(
    version: str, args: dict[str, Any], said: str, tell: Any
) -> None:
    assert tell(version, args).problems == [f"args.{said}"]


@pytest.mark.parametrize("version", ["0.8.5", "0.33.0"])
def test_names_of_parsers_that_the_release_does_not_know_are_listed(version: str, tell: Any) -> None:
    (said,) = tell(version, {"tool-call-parser": "my_own"}).problems
    assert said.startswith(f"args.tool-call-parser: 'my_own' is not known to vLLM {version}. Known are: ")
    assert "hermes" in said
    assert said.endswith("; a name that a plug-in adds belongs into `vllm_extra_choices.tool-call-parser`.")


@pytest.mark.parametrize("option", ["tool-call-parser", "reasoning-parser"])
def test_a_parser_of_the_operators_own_file_is_taken(option: str, tell: Any) -> None:
    plugin = {"tool-call-parser": "tool-parser-plugin", "reasoning-parser": "reasoning-parser-plugin"}[option]
    told = tell("0.33.0", {option: "my_own", plugin: "/opt/my_own.py"})
    assert told.problems == []
    assert told.words == [f"--{option}", "my_own", f"--{plugin}", "/opt/my_own.py"]
