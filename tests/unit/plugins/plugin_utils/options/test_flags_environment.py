"""Environment variables: secrets, what the plan decides, and VLLM_* as exactly one release reads them."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.baremetal.vllm.plugins.plugin_utils.options.extras import Extras

# Release, env, and exactly what is said of it, after `env.`.
WRONG: list[tuple[str, dict[str, Any], str]] = [
    (
        "0.33.0",
        {"VLLM_LOGING_LEVEL": "INFO"},
        'VLLM_LOGING_LEVEL: is not a variable of vLLM 0.33.0. Did you mean "VLLM_LOGGING_LEVEL".',
    ),
    (
        "0.33.0",
        {"VLLM_USE_V1": "1"},
        "VLLM_USE_V1: is not a variable of vLLM 0.33.0. Gone since 0.11.1: there is only the V1 engine. Remove it.",
    ),
    (
        "0.33.0",
        {"VLLM_ATTENTION_BACKEND": "FLASH_ATTN"},
        "VLLM_ATTENTION_BACKEND: is not a variable of vLLM 0.33.0. Gone since 0.15.0: it is an option. Write `attention-backend` in `args`.",
    ),
    (
        "0.9.2",
        {"VLLM_USE_RUST_FRONTEND": "1"},
        "VLLM_USE_RUST_FRONTEND: is not a variable of vLLM 0.9.2. Remove it: it is read from 0.22.0 on.",
    ),
    (
        "0.33.0",
        {"VLLM_FROBNICATE": "1"},
        "VLLM_FROBNICATE: is not a variable of vLLM 0.33.0. Remove it, or list it under `vllm_extra_env` where a plug-in reads it.",
    ),
    (
        "0.33.0",
        {"VLLM_DO_NOT_TRACK": "yes"},
        'VLLM_DO_NOT_TRACK: \'yes\' is not a switch for vLLM 0.33.0. Write "1" or "0", in quotes.',
    ),
    (
        "0.33.0",
        {"VLLM_DEBUG_LOG_API_SERVER_RESPONSE": "1"},
        'VLLM_DEBUG_LOG_API_SERVER_RESPONSE: \'1\' is not a switch for vLLM 0.33.0. Write "true" or "false", in quotes.',
    ),
    (
        "0.10.0",
        {"VLLM_KEEP_ALIVE_ON_ENGINE_DEATH": "0"},
        "VLLM_KEEP_ALIVE_ON_ENGINE_DEATH: is switched on by any value in vLLM 0.10.0, '0' too. Write 1, or leave it out.",
    ),
    (
        "0.33.0",
        {"VLLM_CPU_KVCACHE_SPACE": "4GB"},
        "VLLM_CPU_KVCACHE_SPACE: '4GB' is not a whole number for vLLM 0.33.0. Write a whole number.",
    ),
    (
        "0.33.0",
        {"VLLM_CPU_KVCACHE_SPACE": "4.5"},
        "VLLM_CPU_KVCACHE_SPACE: '4.5' is not a whole number for vLLM 0.33.0. Write a whole number.",
    ),
    (
        "0.33.0",
        {"VLLM_LOG_STATS_INTERVAL": "fast"},
        "VLLM_LOG_STATS_INTERVAL: 'fast' is not a number for vLLM 0.33.0. Write a number.",
    ),
    (
        "0.33.0",
        {"VLLM_WORKER_MULTIPROC_METHOD": "spwan"},
        "VLLM_WORKER_MULTIPROC_METHOD: 'spwan' is not a choice of vLLM 0.33.0. Did you mean \"spawn\".",
    ),
    (
        "0.33.0",
        {"VLLM_FLOAT32_MATMUL_PRECISION": "low"},
        "VLLM_FLOAT32_MATMUL_PRECISION: 'low' is not a choice of vLLM 0.33.0. Known are: high, highest, medium.",
    ),
    (
        "0.33.0",
        {"VLLM_SERVER_DEV_MODE": "1"},
        "VLLM_SERVER_DEV_MODE: opens routes that change or stop the engine to whoever reaches the port, with or "
        "without a key. Remove it: nothing that serves needs it.",
    ),
    (
        "0.33.0",
        {"VLLM_SERVER_DEV_MODE": "true"},
        "VLLM_SERVER_DEV_MODE: opens routes that change or stop the engine to whoever reaches the port, with or "
        "without a key. Remove it: nothing that serves needs it.",
    ),
    (
        "0.33.0",
        {"VLLM_API_KEY": "x"},
        "VLLM_API_KEY: looks like a secret, and unit files are readable by every user of the host. Use "
        "`vllm_api_key`, `vllm_hf_token` or `vllm_secret_env` (from a vault).",
    ),
    (
        "0.33.0",
        {"HF_TOKEN": "x"},
        "HF_TOKEN: looks like a secret, and unit files are readable by every user of the host. Use "
        "`vllm_api_key`, `vllm_hf_token` or `vllm_secret_env` (from a vault).",
    ),
    (
        "0.33.0",
        {"X": "hf_" + "a" * 20},
        "X: looks like a secret, and unit files are readable by every user of the host. Use `vllm_api_key`, "
        "`vllm_hf_token` or `vllm_secret_env` (from a vault).",
    ),
    (
        "0.33.0",
        {"https_proxy": "http://u:hush@proxy:3128"},
        "https_proxy: looks like a secret, and unit files are readable by every user of the host. Use "
        "`vllm_api_key`, `vllm_hf_token` or `vllm_secret_env` (from a vault).",
    ),
    (
        "0.33.0",
        {"CUDA_VISIBLE_DEVICES": "0"},
        "CUDA_VISIBLE_DEVICES: is written by the plan. Use `gpus`: a count or a list of indices.",
    ),
    (
        "0.33.0",
        {"VLLM_ROCM_USE_AITER": "yes"},
        'VLLM_ROCM_USE_AITER: \'yes\' is not a switch for vLLM 0.33.0. Write "1" or "0", in quotes.',
    ),
    ("0.33.0", {"X": "a\x07"}, "X: contains a control character or no character at all. Write plain text."),
    ("0.33.0", {"VLLM_PORT": "http"}, "VLLM_PORT: 'http' is not a whole number for vLLM 0.33.0. Write a whole number."),
]

RIGHT = [
    ("0.33.0", {"VLLM_LOGGING_LEVEL": "DEBUG", "VLLM_CPU_KVCACHE_SPACE": "4", "VLLM_LOG_STATS_INTERVAL": "2.5"}),
    ("0.33.0", {"VLLM_DO_NOT_TRACK": "1", "VLLM_USE_FLASHINFER_SAMPLER": "0", "VLLM_SERVER_DEV_MODE": "0"}),
    ("0.33.0", {"VLLM_WORKER_MULTIPROC_METHOD": "spawn", "VLLM_FLOAT32_MATMUL_PRECISION": "HIGH"}),
    ("0.33.0", {"VLLM_DEBUG_LOG_API_SERVER_RESPONSE": "true"}),
    ("0.33.0", {"VLLM_ALLOW_RUNTIME_LORA_UPDATING": "true", "VLLM_ROCM_USE_AITER": "True", "VLLM_USE_MODELSCOPE": "1"}),
    ("0.33.0", {"VLLM_KEEP_ALIVE_ON_ENGINE_DEATH": "0", "VLLM_ALLOW_LONG_MAX_MODEL_LEN": "0"}),
    # A truth value of YAML is whatever the release reads.
    ("0.33.0", {"VLLM_USE_MODELSCOPE": True, "VLLM_DO_NOT_TRACK": True, "VLLM_ROCM_USE_AITER": False}),
    ("0.10.0", {"VLLM_USE_MODELSCOPE": True, "VLLM_DO_NOT_TRACK": False, "NCCL_CUMEM_ENABLE": False}),
    ("0.11.0", {"VLLM_USE_V1": "1", "VLLM_ATTENTION_BACKEND": "FLASH_ATTN"}),
    ("0.33.0", {"NCCL_DEBUG": "INFO", "OMP_NUM_THREADS": "8", "PYTORCH_CUDA_ALLOC_CONF": "a\tb"}),
]


@pytest.mark.parametrize(("version", "env", "said"), WRONG)
def test_a_wrong_variable_is_refused_with_what_would_be_right(
    version: str, env: dict[str, Any], said: str, tell: Any
) -> None:
    assert tell(version, {}, env).problems == [f"env.{said}"]


@pytest.mark.parametrize(("version", "env"), RIGHT)
def test_a_right_variable_is_taken(version: str, env: dict[str, Any], tell: Any) -> None:
    told = tell(version, {}, env)
    assert told.problems == told.warnings == []


def test_variables_of_a_plug_in_are_declared(tell: Any) -> None:
    extras = Extras(environment=("VLLM_ASCEND_ENABLE_NZ",))
    assert tell("0.33.0", {}, {"VLLM_ASCEND_ENABLE_NZ": "1"}, extras).problems == []
    assert tell("0.33.0", {}, {"VLLM_ASCEND_ENABLE_NX": "1"}, extras).problems != []


def test_a_declared_variable_is_no_way_around_what_is_dangerous(tell: Any) -> None:
    extras = Extras(environment=("VLLM_SERVER_DEV_MODE", "VLLM_API_KEY"))
    assert len(tell("0.33.0", {}, {"VLLM_SERVER_DEV_MODE": "1", "VLLM_API_KEY": "x"}, extras).problems) == 2


@pytest.mark.parametrize("name", ["VLLM_PORT", "VLLM_HOST_IP"])
def test_where_processes_meet_is_not_the_endpoint(name: str, tell: Any) -> None:
    told = tell("0.33.0", {}, {name: "5000"})
    assert told.problems == []
    assert [said.split(":")[0] for said in told.warnings] == [f"env.{name}"]


def test_names_are_not_checked_for_an_unknown_release(tell: Any) -> None:
    assert tell(None, {}, {"VLLM_WHATEVER": "1"}).problems == []
    assert tell(None, {}, {"VLLM_API_KEY": "1"}).problems != []


@pytest.mark.parametrize(
    ("name", "remedy"),
    [
        ("NVIDIA_VISIBLE_DEVICES", "Write `gpus:` (a count or a list of indices) instead."),
        ("AMD_VISIBLE_DEVICES", "Write `gpus:` (a count or a list of indices) instead."),
        ("NVIDIA_DRIVER_CAPABILITIES", "Leave it out."),
    ],
)
def test_a_variable_of_containers_is_warned_of(name: str, remedy: str, tell: Any) -> None:
    told = tell("0.33.0", {}, {name: "0,1"})
    assert told.problems == []
    meaning = "means something to a container runtime alone, and nothing to an engine on the host"
    assert told.warnings == [f"env.{name}: {meaning}. {remedy}"]
