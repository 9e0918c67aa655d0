"""Options by name: those the release does not have, and those that are not the operator's to write."""

from __future__ import annotations

from typing import Any

import pytest

# Release, args, and exactly what is said of them, after `args.`.
WRONG: list[tuple[str, dict[str, Any], str]] = [
    (
        "0.33.0",
        {"gpu-memory-utilisation": 0.9},
        'gpu-memory-utilisation: is not an option of vLLM 0.33.0. Did you mean "gpu-memory-utilization".',
    ),
    (
        "0.33.0",
        {"max_modle_len": 4096},
        'max_modle_len: is not an option of vLLM 0.33.0. Did you mean "max-model-len".',
    ),
    (
        "0.33.0",
        {"tool-call-praser": "hermes", "enable-auto-tool-choice": True},
        'tool-call-praser: is not an option of vLLM 0.33.0. Did you mean "tool-call-parser".',
    ),
    (
        "0.33.0",
        {"enable-prefix-cache": True},
        'enable-prefix-cache: is not an option of vLLM 0.33.0. Did you mean "enable-prefix-caching".',
    ),
    (
        "0.33.0",
        {"frobnicate": 1},
        "frobnicate: is not an option of vLLM 0.33.0. Remove it, or declare it under `vllm_extra_options` where a plug-in adds it.",
    ),
    ("0.33.0", {"max-model": 4096}, "max-model: is an abbreviation of max-model-len. Write `max-model-len` in full."),
    (
        "0.33.0",
        {"--max-model": 4096},
        "--max-model: is an abbreviation of max-model-len. Write `max-model-len` in full.",
    ),
    ("0.33.0", {"tp": 4}, "tp: is the short form of tensor-parallel-size. Write `tensor-parallel-size`."),
    ("0.33.0", {"-tp": 4}, "-tp: is the short form of tensor-parallel-size. Write `tensor-parallel-size`."),
    ("0.33.0", {"q": "fp8"}, "q: is the short form of quantization. Write `quantization`."),
    (
        "0.33.0",
        {"no-enable-lora": True},
        "no-enable-lora: switches enable-lora off in vLLM 0.33.0. Write `enable-lora: false`.",
    ),
    (
        "0.33.0",
        {"no-enable-prefix-caching": False},
        "no-enable-prefix-caching: switches enable-prefix-caching off in vLLM 0.33.0. Write `enable-prefix-caching: true`.",
    ),
    (
        "0.33.0",
        {"disable-log-requests": False},
        "disable-log-requests: switches enable-log-requests off in vLLM 0.33.0. Write `enable-log-requests: true`.",
    ),
    ("0.33.0", {"O": 3}, "O: is the short form of optimization-level. Write `optimization-level`."),
    ("0.10.0", {"-O": 3}, "-O: is the short form of compilation-config. Write `compilation-config`."),
    # Nothing at all is written, and yet no release knows such a name, or the plan writes it.
    (
        "0.33.0",
        {"frobnicate": None},
        "frobnicate: is not an option of vLLM 0.33.0. Remove it, or declare it under `vllm_extra_options` where a plug-in adds it.",
    ),
    (
        "0.33.0",
        {"disable-lora": True},
        "disable-lora: switches enable-lora off in vLLM 0.33.0. Write `enable-lora: false`.",
    ),
    (
        "0.33.0",
        {"enable-sliding-window": True},
        "enable-sliding-window: switches disable-sliding-window off in vLLM 0.33.0. Write `disable-sliding-window: false`.",
    ),
    (
        "0.33.0",
        {"disable-log-requests": True},
        "disable-log-requests: switches enable-log-requests off in vLLM 0.33.0. Write `enable-log-requests: false`.",
    ),
    (
        "0.33.0",
        {"Max-Model-Len": 1},
        "Max-Model-Len: is not the name of a long option. Write it as in `vllm serve --help`, without the dashes.",
    ),
    (
        "0.33.0",
        {"max model len": 1},
        "max model len: is not the name of a long option. Write it as in `vllm serve --help`, without the dashes.",
    ),
    ("0.33.0", {"": 1}, ": is not the name of a long option. Write it as in `vllm serve --help`, without the dashes."),
    (
        "0.33.0",
        {"a=b": 1},
        "a=b: is not the name of a long option. Write it as in `vllm serve --help`, without the dashes.",
    ),
    ("0.33.0", {"port": 8000}, "port: is written by the plan. It follows from `port` of the entry."),
    ("0.33.0", {"host": "0.0.0.0"}, "host: is written by the plan. It follows from `vllm_address`."),
    ("0.33.0", {"model": "/m"}, "model: is written by the plan. It follows from `model` of the entry."),
    (
        "0.33.0",
        {"served-model-name": "x"},
        "served-model-name: is written by the plan. It follows from the entry's name, and `aliases` for further names.",
    ),
    (
        "0.33.0",
        {"download_dir": "/x"},
        "download_dir: is written by the plan. Remove it: weights are delivered before the start.",
    ),
    ("0.33.0", {"config": "/x.yaml"}, "config: is written by the plan. It follows from `args` itself."),
    ("0.33.0", {"headless": True}, "headless: is written by the plan. Remove it: every unit has an endpoint."),
    (
        "0.33.0",
        {"device-ids": "0,1"},
        "device-ids: is written by the plan. It follows from `gpus` of the entry: a count or a list of indices.",
    ),
    (
        "0.33.0",
        {"ssl-certfile": "/x"},
        "ssl-certfile: is written by the plan. Remove it: endpoints speak HTTP inside the fleet; TLS belongs to the proxy in front of them.",
    ),
    ("0.33.0", {"help": True}, "help: is written by the plan. Remove it: a service prints no help."),
    ("0.33.0", {"grpc": True}, "grpc: is written by the plan. Remove it: endpoints are proved over HTTP."),
    (
        "0.33.0",
        {"api-key": "x"},
        "api-key: is a secret, and every user of the host can read a command line. Use `vllm_api_key` (from a vault).",
    ),
    (
        "0.33.0",
        {"--api_key": "x"},
        "--api_key: is a secret, and every user of the host can read a command line. Use `vllm_api_key` (from a vault).",
    ),
    (
        "0.33.0",
        {"API-KEY": "x"},
        "API-KEY: is a secret, and every user of the host can read a command line. Use `vllm_api_key` (from a vault).",
    ),
    (
        "0.33.0",
        {"hf-token": "x"},
        "hf-token: is a secret, and every user of the host can read a command line. Use `vllm_hf_token` (from a vault).",
    ),
    (
        "0.33.0",
        {"max-model-len": 4096, "max_model_len": 8192},
        "max_model_len: is given twice under two spellings. Keep one of them, as `max-model-len`.",
    ),
    (
        "0.33.0",
        {"gpu-memory-utilization": 0.9, "device-memory-utilization": 0.8},
        "device-memory-utilization: is given twice under two spellings. Keep one of them, as `gpu-memory-utilization`.",
    ),
]

# Where the fates of options say what to write instead: what the message begins with, and the end of the advice.
ADVISED: list[tuple[str, dict[str, Any], str, str]] = [
    ("0.33.0", {"task": "embed"}, "task: is not an option of vLLM 0.33.0", "`convert: embed`"),
    (
        "0.33.0",
        {"guided-decoding-backend": "xgrammar"},
        "guided-decoding-backend: is not an option of vLLM 0.33.0",
        "`structured-outputs-config: {backend: xgrammar}`",
    ),
    (
        "0.33.0",
        {"swap-space": 4},
        "swap-space: is not an option of vLLM 0.33.0",
        "To keep KV blocks in the host's memory, write kv-offloading-size (GiB, from 0.11.1 on)",
    ),
    (
        "0.33.0",
        {"rope-scaling": {"rope_type": "yarn", "factor": 4.0}},
        "rope-scaling: is not an option of vLLM 0.33.0",
        "`hf-overrides: {rope_parameters: {rope_type: yarn, factor: 4.0}}`",
    ),
    ("0.33.0", {"device": "cuda"}, "device: is not an option of vLLM 0.33.0", "`gpus`"),
    (
        "0.33.0",
        {"speculative-model": "/draft"},
        "speculative-model: is not an option of vLLM 0.33.0",
        "`speculative-config: {model: /draft}`",
    ),
    ("0.33.0", {"use-v2-block-manager": True}, "use-v2-block-manager: is not an option of vLLM 0.33.0", "Leave it out"),
    ("0.20.0", {"disable-log-requests": True}, "disable-log-requests: is not an option of vLLM 0.20.0", "Leave it out"),
    ("0.9.2", {"runner": "pooling"}, "runner: is not an option of vLLM 0.9.2", "`task`"),
    (
        "0.12.0",
        {"enable-reasoning": True},
        "enable-reasoning: is not an option of vLLM 0.12.0",
        "Name the parser of the model's family as reasoning-parser",
    ),
    (
        "0.33.0",
        {"compilation-config.level": 3},
        "compilation-config.level: is not a key that vLLM 0.33.0 knows here",
        "`compilation-config: {mode: 3}`",
    ),
    (
        "0.33.0",
        {"compilation_config": {"use-inductor": True}},
        "compilation_config.use-inductor: is not a key that vLLM 0.33.0 knows here",
        "`compilation-config: {backend: inductor}`",
    ),
    (
        "0.33.0",
        {"quantization": "bitsandbytes"},
        "quantization: 'bitsandbytes' is not known to vLLM 0.33.0",
        "Install vllm-bnb-plugin into the engine and declare bitsandbytes under vllm_extra_choices.quantization",
    ),
    (
        "0.33.0",
        {"tokenizer-mode": "slow"},
        "tokenizer-mode: 'slow' is not known to vLLM 0.33.0",
        "`tokenizer-mode: hf`",
    ),
]


@pytest.mark.parametrize(("version", "args", "said"), WRONG)
def test_a_name_that_is_no_option_is_refused_with_what_to_write(
    version: str, args: dict[str, Any], said: str, tell: Any
) -> None:
    assert tell(version, args).problems == [f"args.{said}"]


@pytest.mark.parametrize(("version", "args", "begins", "advice"), ADVISED)
def test_what_other_releases_take_is_refused_with_what_takes_its_place(
    version: str, args: dict[str, Any], begins: str, advice: str, tell: Any
) -> None:
    (said,) = tell(version, args).problems
    assert said.startswith(f"args.{begins}. ")
    assert advice in said
    assert said.endswith(".")
    assert not said.endswith("..")


def test_a_misspelt_option_is_not_missed_a_second_time(tell: Any) -> None:
    told = tell("0.33.0", {"enable-auto-tool-choice": True, "tool-call-praser": "hermes"})
    assert told.problems == ['args.tool-call-praser: is not an option of vLLM 0.33.0. Did you mean "tool-call-parser".']


def test_an_option_the_plan_writes_is_refused_by_its_other_names_too(tell: Any) -> None:
    assert tell("0.33.0", {"disable-headless": True}).problems != []
    assert tell("0.33.0", {"no-grpc": True}).problems != []


def test_every_option_that_the_plan_writes_is_refused_in_every_release(tell: Any) -> None:
    for version in ("0.8.5", "0.12.0", "0.33.0", None):
        for option in ("model", "port", "host", "served-model-name", "ssl-keyfile", "uds", "config", "revision"):
            assert tell(version, {option: "x"}).problems, (version, option)


def test_null_is_as_if_it_were_not_written(tell: Any) -> None:
    told = tell("0.33.0", {"seed": None, "max_model_len": None, "max-model-len": "4k", "compilation-config.mode": None})
    assert told.problems == []
    assert told.words == ["--max-model-len", "4k"]


def test_a_misspelt_option_is_refused_even_where_it_is_null(tell: Any) -> None:
    assert len(tell("0.33.0", {"max-modle-len": None}).problems) == 1


def test_what_is_deprecated_is_told_and_kept(tell: Any) -> None:
    told = tell("0.12.0", {"task": "embed"})
    assert told.problems == []
    assert told.words == ["--task", "embed"]
    assert told.warnings == [
        "args.task: is deprecated in vLLM 0.12.0. A model is run as a generating or a pooling one (runner), and adapted only "
        "where it is not made for it (convert). `runner: pooling` and `convert: embed` says the same."
    ]
