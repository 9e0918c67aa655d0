"""Right entries, and the words that the process receives for them."""

from __future__ import annotations

from typing import Any

import pytest

# Release, args, and the words after `vllm serve MODEL`.
RIGHT: list[tuple[str, dict[str, Any], list[str]]] = [
    ("0.33.0", {}, []),
    ("0.33.0", {"max_model_len": "32k"}, ["--max-model-len", "32k"]),
    ("0.33.0", {"--max-model-len": 4096}, ["--max-model-len", "4096"]),
    ("0.33.0", {"max-model-len": "auto"}, ["--max-model-len", "auto"]),
    ("0.33.0", {"max-model-len": -1}, ["--max-model-len=-1"]),
    ("0.33.0", {"max-model-len": "1T"}, ["--max-model-len", "1T"]),
    ("0.33.0", {"kv-cache-memory-bytes": "25.6g"}, ["--kv-cache-memory-bytes", "25.6g"]),
    ("0.33.0", {"tensor-parallel-size": 4}, ["--tensor-parallel-size", "4"]),
    ("0.33.0", {"tensor-parallel-size": "4"}, ["--tensor-parallel-size", "4"]),
    ("0.33.0", {"gpu-memory-utilization": 0.9}, ["--gpu-memory-utilization", "0.9"]),
    ("0.33.0", {"gpu-memory-utilization": 1}, ["--gpu-memory-utilization", "1"]),
    ("0.33.0", {"device-memory-utilization": "0.5"}, ["--gpu-memory-utilization", "0.5"]),
    ("0.33.0", {"mm-ipc-gpu-memory-gb": 1e-05}, ["--mm-ipc-gpu-memory-gb", "1e-05"]),
    ("0.33.0", {"seed": -1}, ["--seed=-1"]),
    ("0.33.0", {"enforce-eager": True}, ["--enforce-eager"]),
    ("0.33.0", {"enforce-eager": False}, ["--no-enforce-eager"]),
    ("0.33.0", {"enable-prefix-caching": False}, ["--no-enable-prefix-caching"]),
    ("0.33.0", {"disable-log-stats": True}, ["--disable-log-stats"]),
    # No negative form: off is what it is when nothing is said.
    ("0.33.0", {"disable-log-stats": False}, []),
    ("0.8.5", {"enforce-eager": False}, []),
    ("0.8.5", {"enforce-eager": True}, ["--enforce-eager"]),
    ("0.33.0", {"response-role": "-odd"}, ["--response-role=-odd"]),
    ("0.33.0", {"response-role": "--odd one"}, ["--response-role=--odd one"]),
    ("0.33.0", {"response-role": ""}, ["--response-role", ""]),
    (
        "0.33.0",
        {"chat-template": "{% for m in messages %}\n%s $HOME 'é'\n{% endfor %}"},
        ["--chat-template", "{% for m in messages %}\n%s $HOME 'é'\n{% endfor %}"],
    ),
    ("0.33.0", {"dtype": "bfloat16"}, ["--dtype", "bfloat16"]),
    ("0.33.0", {"optimization-level": 2}, ["--optimization-level", "2"]),
    ("0.33.0", {"max-lora-rank": "64", "enable-lora": True}, ["--max-lora-rank", "64", "--enable-lora"]),
    ("0.33.0", {"moe-backend": "Triton"}, ["--moe-backend", "Triton"]),
    ("0.33.0", {"kv-cache-dtype": "fp8_e4m3"}, ["--kv-cache-dtype", "fp8_e4m3"]),
    ("0.33.0", {"cudagraph-capture-sizes": [1, 2, 4]}, ["--cudagraph-capture-sizes", "1", "2", "4"]),
    ("0.33.0", {"cudagraph-capture-sizes": 8}, ["--cudagraph-capture-sizes", "8"]),
    ("0.33.0", {"ignore-patterns": ["*.pt", "a b"]}, ["--ignore-patterns", "*.pt", "a b"]),
    ("0.33.0", {"middleware": ["a.b", "c.d"]}, ["--middleware", "a.b", "--middleware", "c.d"]),
    ("0.33.0", {"middleware": "a.b"}, ["--middleware", "a.b"]),
    ("0.33.0", {"allowed-origins": ["https://a", "https://b"]}, ["--allowed-origins", '["https://a","https://b"]']),
    ("0.33.0", {"allowed-origins": []}, ["--allowed-origins", "[]"]),
    ("0.33.0", {"allowed-origins": '["*"]'}, ["--allowed-origins", '["*"]']),
    (
        "0.33.0",
        {"enable-lora": True, "lora-modules": ["a=/a", {"name": "b", "path": "/b", "base_model_name": "m"}]},
        ["--enable-lora", "--lora-modules", "a=/a", '{"name":"b","path":"/b","base_model_name":"m"}'],
    ),
    (
        "0.33.0",
        {"hf-overrides": {"rope_parameters": {"rope_type": "yarn", "factor": 4.0}}},
        ["--hf-overrides", '{"rope_parameters":{"rope_type":"yarn","factor":4.0}}'],
    ),
    (
        "0.33.0",
        {"override-generation-config": '{"temperature": 0.5}'},
        ["--override-generation-config", '{"temperature": 0.5}'],
    ),
    ("0.33.0", {"limit-mm-per-prompt": {"image": 4}}, ["--limit-mm-per-prompt", '{"image":4}']),
    ("0.9.2", {"limit-mm-per-prompt": "image=4,video=1"}, ["--limit-mm-per-prompt", "image=4,video=1"]),
    ("0.9.2", {"limit-mm-per-prompt": {"image": 4}}, ["--limit-mm-per-prompt", '{"image":4}']),
    (
        "0.33.0",
        {"speculative-config": {"method": "ngram", "num_speculative_tokens": 4, "prompt_lookup_max": 4}},
        ["--speculative-config", '{"method":"ngram","num_speculative_tokens":4,"prompt_lookup_max":4}'],
    ),
    (
        "0.33.0",
        {
            "compilation-config.cudagraph_mode": "full_decode_only",
            "compilation-config.custom_ops": ["none", "+rms_norm"],
        },
        ["--compilation-config", '{"cudagraph_mode":"full_decode_only","custom_ops":["none","+rms_norm"]}'],
    ),
    ("0.12.0", {"compilation-config": {"mode": "VLLM_COMPILE"}}, ["--compilation-config", '{"mode":"VLLM_COMPILE"}']),
    (
        "0.33.0",
        {"quantization-config": {"linear": "fp8_per_tensor", "ignore": ["lm_head"]}},
        ["--quantization-config", '{"linear":"fp8_per_tensor","ignore":["lm_head"]}'],
    ),
    (
        "0.33.0",
        {"enable-auto-tool-choice": True, "tool-call-parser": "hermes", "reasoning-parser": "qwen3"},
        ["--enable-auto-tool-choice", "--tool-call-parser", "hermes", "--reasoning-parser", "qwen3"],
    ),
    ("0.12.0", {"runner": "pooling", "convert": "embed"}, ["--runner", "pooling", "--convert", "embed"]),
    ("0.9.2", {"guided-decoding-backend": "xgrammar"}, ["--guided-decoding-backend", "xgrammar"]),
]


@pytest.mark.parametrize(("version", "args", "words"), RIGHT)
def test_a_right_entry_reaches_the_process_as_it_was_written(
    version: str, args: dict[str, Any], words: list[str], tell: Any
) -> None:
    told = tell(version, args)
    assert told.problems == []
    assert told.words == words


# For a release that the catalogue does not have: as written, and only what no release could take is refused.
UNCHECKED: list[tuple[dict[str, Any], list[str]]] = [
    ({"anything": 1, "any_flag": True, "other": False}, ["--anything", "1", "--any-flag", "--no-other"]),
    ({"a.b": 1, "a.c.d": "x"}, ["--a", '{"b":1,"c":{"d":"x"}}']),
    ({"a": [1, "x"], "b": {"c": None}}, ["--a", "1", "x", "--b", '{"c":null}']),
    (
        {"allowed-origins": ["*"], "middleware": ["a", "b"]},
        ["--allowed-origins", '["*"]', "--middleware", "a", "--middleware", "b"],
    ),
    ({"a": -1, "b": "-x", "c": 0.1}, ["--a=-1", "--b=-x", "--c", "0.1"]),
    ({"a": [], "b": None, "c": ""}, ["--c", ""]),
]


@pytest.mark.parametrize(("args", "words"), UNCHECKED)
def test_an_unknown_release_gets_what_is_written(args: dict[str, Any], words: list[str], tell: Any) -> None:
    told = tell(None, args)
    assert told.problems == []
    assert told.words == words


UNCHECKED_WRONG: list[tuple[dict[str, Any], str]] = [
    ({"port": 1}, "args.port: is written by the plan. It follows from `port` of the entry."),
    ({"api-key": "x"}, "args.api-key: is a secret, and every user of the host can read a command line. Use `vllm_api_key` (from a vault)."),
    ({"a-b": 1, "a_b": 2}, "args.a_b: is given twice under two spellings. Keep one of them, as `a-b`."),
    ({"a": {"b": 1}, "a.b": 2}, "args.a.b: stands beside `a`, and vLLM would use only one of the two. Put all keys under one `a`."),
    ({"a": "x\0"}, "args.a: contains a NUL character. Remove it: no command line can carry one."),
    ({"a": ["x\0"]}, "args.a: contains a NUL character. Remove it: no command line can carry one."),
    ({"a": ["-x"]}, "args.a: has an item that begins with a dash, which would be read as an option. Write it another way."),
    ({"a": float("nan")}, "args.a: nan is not a number vLLM can read. Write a finite number."),
    ({"a": b"x"}, "args.a: b'x' cannot be written as JSON. Use text, numbers, true, false, lists and dictionaries."),
    ({"a": "--"}, "args.a: is the word that ends all options. Write another value."),
    ({"A": 1}, "args.A: is not the name of a long option. Write it as in `vllm serve --help`, without the dashes."),
]  # fmt: skip


@pytest.mark.parametrize(("args", "said"), UNCHECKED_WRONG)
def test_an_unknown_release_is_no_way_around_what_holds_for_all(args: dict[str, Any], said: str, tell: Any) -> None:
    assert tell(None, args).problems == [said]
