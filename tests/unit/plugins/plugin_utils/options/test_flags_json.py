"""JSON options: as text, as YAML and by dotted keys; what is wrong is named by its key."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.baremetal.vllm.plugins.module_utils.text.problems import Problems
from ansible_collections.baremetal.vllm.plugins.plugin_utils.options import load
from ansible_collections.baremetal.vllm.plugins.plugin_utils.options.check import read_arguments
from ansible_collections.baremetal.vllm.plugins.plugin_utils.options.extras import NO_EXTRAS

# Release, args, and exactly what is said of them, after `args.`.
WRONG: list[tuple[str, dict[str, Any], str]] = [
    (
        "0.33.0",
        {"lora-modules": ["x"], "enable-lora": True},
        "lora-modules: 'x' is not an adapter for vLLM 0.33.0. Write `name=/path`, or `{name: NAME, path: /path}`.",
    ),
    (
        "0.33.0",
        {"lora-modules": [{"name": "x"}], "enable-lora": True},
        "lora-modules: an adapter has no path as vLLM 0.33.0 wants one. Write `name=/path`, or `{name: NAME, path: /path}`.",
    ),
    (
        "0.33.0",
        {"lora-modules": [{"name": "x", "path": "/p", "rank": 8}], "enable-lora": True},
        "lora-modules[0].rank: is not a key that vLLM 0.33.0 knows here. Known are: base_model_name, is_3d_lora_weight, name, path.",
    ),
    (
        "0.33.0",
        {"lora-modules": ["x=/a,b"], "enable-lora": True},
        "lora-modules: 'x=/a,b' is not an adapter for vLLM 0.33.0. Write `name=/path`, or `{name: NAME, path: /path}`.",
    ),
    (
        "0.33.0",
        {"hf-overrides": '{"a": 1'},
        "hf-overrides: is not JSON: expecting ',' delimiter at character 8. Correct it, or write it as a YAML dictionary.",
    ),
    (
        "0.33.0",
        {"compilation-config": {"mode": "3"}},
        "compilation-config.mode: '3' is not a choice of vLLM 0.33.0. Write 3, without quotes.",
    ),
    (
        "0.33.0",
        {"hf-overrides": 5},
        "hf-overrides: 5 is neither a dictionary nor text for vLLM 0.33.0. Write a dictionary or text.",
    ),
    (
        "0.33.0",
        {"speculative-config": "{'method': 'ngram'}"},
        "speculative-config: is not JSON: expecting property name enclosed in double quotes at character 2. Correct it, or write it as a YAML dictionary.",
    ),
    (
        "0.33.0",
        {"override-generation-config": '{"temperature": NaN}'},
        "override-generation-config: is not JSON: NaN is no number in JSON. Correct it, or write it as a YAML dictionary.",
    ),
    (
        "0.33.0",
        {"override-generation-config": [1]},
        "override-generation-config: a list is not a dictionary for vLLM 0.33.0. Write a dictionary: {key: value}.",
    ),
    (
        "0.33.0",
        {"override-generation-config": {"temperature": float("inf")}},
        "override-generation-config: inf is not a number vLLM can read. Write a finite number.",
    ),
    (
        "0.33.0",
        {"override-generation-config": {1: 2}},
        "override-generation-config: 1 is a key that is not text, and JSON has no other. Write the key in quotes.",
    ),
    (
        "0.33.0",
        {"limit-mm-per-prompt": "image=4"},
        "limit-mm-per-prompt: is not JSON: expecting value at character 1. Correct it, or write it as a YAML dictionary.",
    ),
    (
        "0.9.2",
        {"limit-mm-per-prompt": "image:4"},
        "limit-mm-per-prompt: 'image:4' is not a dictionary for vLLM 0.9.2. Write a dictionary: {key: value}.",
    ),
    (
        "0.33.0",
        {"compilation-config": {"cudagraph_mod": "FULL"}},
        'compilation-config.cudagraph_mod: is not a key that vLLM 0.33.0 knows here. Did you mean "cudagraph_mode".',
    ),
    (
        "0.33.0",
        {"compilation-config.pass_config.fuse_norm_quant": "yes"},
        "compilation-config.pass_config.fuse_norm_quant: 'yes' is not true or false for vLLM 0.33.0. Write true, without quotes.",
    ),
    (
        "0.33.0",
        {"compilation-config": {"cudagraph_mode": "FUL"}},
        "compilation-config.cudagraph_mode: 'FUL' is not a choice of vLLM 0.33.0. Did you mean \"FULL\".",
    ),
    (
        "0.33.0",
        {"compilation-config": {"cudagraph_capture_sizes": 8}},
        "compilation-config.cudagraph_capture_sizes: 8 is not a list for vLLM 0.33.0. Write a list.",
    ),
    (
        "0.33.0",
        {"compilation-config": {"cudagraph_capture_sizes": ["8k"]}},
        "compilation-config.cudagraph_capture_sizes[0]: '8k' is not a whole number for vLLM 0.33.0. Write 8000.",
    ),
    (
        "0.33.0",
        {"compilation-config": {"pass_config": True}},
        "compilation-config.pass_config: true is not a dictionary for vLLM 0.33.0. Write `key: value` pairs.",
    ),
    (
        "0.33.0",
        {"compilation-config": {"backend": None}},
        "compilation-config.backend: null is not a value for vLLM 0.33.0. Leave the key out.",
    ),
    (
        "0.33.0",
        {"eplb-config": {"window_size": 0}},
        "eplb-config.window_size: 0 is out of bounds for vLLM 0.33.0. Write a number that is above 0.",
    ),
    (
        "0.33.0",
        {"kv-events-config": {"buffer_steps": "1k"}},
        "kv-events-config.buffer_steps: '1k' is not a whole number for vLLM 0.33.0. Write 1000.",
    ),
    (
        "0.33.0",
        {"watermark-config": {"alpha": 0.5}},
        "watermark-config.key: is missing, and vLLM 0.33.0 needs it. Write a value for `key`.",
    ),
    (
        "0.33.0",
        {"speculative-config": {"num_speculative_tokens": 2.0, "method": "ngram"}},
        "speculative-config.num_speculative_tokens: 2.0 is not a whole number for vLLM 0.33.0. Write 2.",
    ),
    (
        "0.33.0",
        {"compilation-config": {"mode": 3}, "compilation-config.mode": 2},
        "compilation-config.mode: stands beside `compilation-config`, and vLLM would use only one of the two. Put all keys under one `compilation-config`.",
    ),
    (
        "0.33.0",
        {"compilation-config.mode": 2, "compilation_config": {"mode": 3}},
        "compilation_config: stands beside `compilation-config`, and vLLM would use only one of the two. Put all keys under one `compilation-config`.",
    ),
    (
        "0.33.0",
        {"compilation-config.mode": 2, "compilation_config.mode": 3},
        "compilation_config.mode: is given twice. Put all keys under one `compilation-config`.",
    ),
    (
        "0.33.0",
        {"compilation-config.pass_config": {}, "compilation-config.pass_config.fuse_norm_quant": True},
        "compilation-config.pass_config.fuse_norm_quant: is given twice. Put all keys under one `compilation-config`.",
    ),
    (
        "0.33.0",
        {"compilation-config.custom_ops+": "all"},
        "compilation-config.custom_ops+: appends to a list, which YAML needs no option for. Write the whole list as `compilation-config.custom_ops`.",
    ),
    (
        "0.33.0",
        {"hf-overrides": {"token": "sk-" + "a" * 20}},
        "hf-overrides: looks like a secret. Use `vllm_api_key`, `vllm_hf_token` or `vllm_secret_env` (from a vault).",
    ),
]


@pytest.mark.parametrize(("version", "args", "said"), WRONG)
def test_wrong_json_is_refused_by_its_key(version: str, args: dict[str, Any], said: str, tell: Any) -> None:
    assert tell(version, args).problems == [f"args.{said}"]


def test_unknown_keys_are_refused_where_the_release_would_pass_over_them_in_silence(tell: Any) -> None:
    (said,) = tell("0.9.2", {"compilation-config": {"nonsense": 1}}).problems
    assert said.startswith("args.compilation-config.nonsense: is not a key that vLLM 0.9.2 knows here. Known are: ")


@pytest.mark.parametrize(
    ("args", "read"),
    [
        ({"compilation-config.mode": "3"}, {"mode": 3}),
        ({"compilation-config.mode": "VLLM_COMPILE"}, {"mode": "VLLM_COMPILE"}),
        ({"compilation-config.cudagraph_capture_sizes": "[1, 2]"}, {"cudagraph_capture_sizes": [1, 2]}),
        ({"compilation-config.cache_dir": "3"}, {"cache_dir": "3"}),
    ],
)
def test_a_word_after_a_dot_is_what_vllm_makes_of_it(args: dict[str, Any], read: dict[str, Any]) -> None:
    problems = Problems()
    found = read_arguments("args", args, load.release("0.33.0"), NO_EXTRAS, problems)
    assert (problems.problems, found["compilation-config"]) == ((), read)


@pytest.mark.parametrize("written", [{"mode": 3}, '{"mode": 3}', '  {"mode": 3}\n'])
def test_text_and_yaml_are_checked_alike(written: Any, tell: Any) -> None:
    assert tell("0.33.0", {"compilation-config": written}).problems == []


@pytest.mark.parametrize("version", ["0.20.0", "0.33.0"])
@pytest.mark.parametrize("priority", ["native", "vllm_c, native", ["vllm_c", "native"]])
def test_a_priority_is_a_list_or_a_text_with_commas(version: str, priority: Any, tell: Any) -> None:
    assert tell(version, {"ir-op-priority": {"rms_norm": priority}}).problems == []


def test_dotted_keys_become_one_json_text(tell: Any) -> None:
    args = {
        "compilation_config.mode": 3,
        "seed": 1,
        "compilation-config.pass_config.fuse_norm_quant": True,
        "compilation-config.pass_config.eliminate_noops": False,
    }
    told = tell("0.33.0", args)
    assert told.problems == []
    assert told.words == [
        "--compilation-config",
        '{"mode":3,"pass_config":{"fuse_norm_quant":true,"eliminate_noops":false}}',
        "--seed",
        "1",
    ]


def test_data_that_yaml_folds_into_itself_is_refused(tell: Any) -> None:
    endless: dict[str, Any] = {}
    endless["a"] = endless
    assert "levels deep" in tell("0.33.0", {"hf-overrides": endless}).problems[0]
    wide: list[Any] = ["x"]
    for __ in range(20):
        wide = [wide] * 20
    assert "more items than an argument can carry" in tell("0.33.0", {"hf-overrides": {"a": wide}}).problems[0]
    assert "is not JSON" in tell("0.33.0", {"hf-overrides": '{"a":' * 100_000}).problems[0]
