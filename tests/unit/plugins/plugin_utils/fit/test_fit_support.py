"""Driver, wheel, GPU, data types, quantisation and attention: what goes together, and what is told where it does not."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.baremetal.vllm.plugins.module_utils.text.problems import Problems
from ansible_collections.baremetal.vllm.plugins.plugin_utils.fit import limits
from ansible_collections.baremetal.vllm.plugins.plugin_utils.fit.facts import ModelFacts, read_config
from ansible_collections.baremetal.vllm.plugins.plugin_utils.fit.gpus import find
from ansible_collections.baremetal.vllm.plugins.plugin_utils.fit.quantised import Quantisation
from ansible_collections.baremetal.vllm.plugins.plugin_utils.fit.support import check_support
from ansible_collections.baremetal.vllm.plugins.plugin_utils.options.load import release as load
from fit_models import CONFIGS

sys.path.insert(0, str(Path(__file__).parents[5] / "tools"))
import gpu_support

QWEN = read_config(CONFIGS["Qwen/Qwen2.5-72B-Instruct"])
AWQ = read_config(CONFIGS["Qwen/Qwen2.5-32B-Instruct-AWQ"])
OSS = read_config(CONFIGS["openai/gpt-oss-120b"])
DEEPSEEK = read_config(CONFIGS["deepseek-ai/DeepSeek-V3"])
FALCON = read_config(CONFIGS["tiiuae/falcon-7b"])


def quantised(method: str, *schemes: str) -> ModelFacts:
    return replace(QWEN, quantisation=Quantisation(method, schemes))


def told(
    facts: ModelFacts | None = QWEN, gpu: str = "H100-80GB", version: str = "0.33.0", driver: str = "580", **args: Any
) -> tuple[list[str], list[str]]:
    problems, accelerator = Problems(), "rocm" if gpu.startswith("MI") else "cuda"
    given = {name.replace("_", "-"): value for name, value in args.items()}
    check_support(
        "vllm_models.x", given, facts, find(gpu), driver, load(version), problems, accelerator=accelerator, host="gpu1"
    )
    return sorted(map(str, problems.found)), sorted(map(str, problems.warned))


@pytest.mark.parametrize(
    "case",
    [
        {},
        {"facts": None},
        {"driver": ""},
        {"driver": "580.95.05"},
        {"driver": "610"},
        {"version": "9.9.9", "gpu": "V100-32GB", "driver": "400"},
        {"gpu": "A100-80GB", "kv_cache_dtype": "fp8"},
        {"gpu": "T4", "version": "0.20.0", "kv_cache_dtype": "fp8"},
        {"gpu": "T4", "dtype": "half"},
        {"gpu": "T4"},
        {"gpu": "L40S", "facts": DEEPSEEK},
        {"gpu": "A100-80GB", "facts": OSS},
        {"gpu": "V100-32GB", "facts": quantised("gptq"), "version": "0.19.1"},
        {"attention_backend": "FLASHMLA", "facts": DEEPSEEK},
        {"attention_backend": "MY_PLUGIN"},
        {"attention_backend": "TRITON_ATTN", "gpu": "T4"},
        {"gpu": "B300", "driver": "580"},
        {"gpu": "MI300X", "driver": ""},
        {"gpu": "MI300X", "driver": "", "facts": AWQ},
        {"tensor_parallel_size": 16},
        {"facts": DEEPSEEK, "tensor_parallel_size": 16},
        {"facts": AWQ, "quantization": "awq_marlin"},
    ],
    ids=str,
)
def test_what_goes_together_is_not_spoken_of(case: dict[str, Any]) -> None:
    assert told(**case) == ([], [])


@pytest.mark.parametrize(
    ("case", "message"),
    [
        (
            {"driver": "535.309.01"},
            "gpu1.nvidia_driver_version: driver 535.309.01 cannot run vLLM 0.33.0, whose wheel is built for CUDA 13.0: that needs "
            '580 or newer. Write nvidia_driver_version: "580" or newer, or run vLLM 0.19.1 at most.',
        ),
        (
            {"driver": "470", "version": "0.8.5"},
            "gpu1.nvidia_driver_version: driver 470 cannot run vLLM 0.8.5, whose wheel is built for CUDA 12.4: that needs 525 or "
            'newer. Write nvidia_driver_version: "525" or newer.',
        ),
        (
            {"driver": "550", "gpu": "B200", "version": "0.19.1"},
            "gpu1.nvidia_driver_version: driver 550 does not know the B200: its generation came with 570. Write "
            'nvidia_driver_version: "570" or newer.',
        ),
        (
            {"gpu": "V100-32GB"},
            "gpu1.gpu_name: V100-32GB has compute capability 7.0, and the kernels of vLLM 0.33.0 begin with 7.5. Run an older "
            "release on it (vllm_version), or place the model elsewhere.",
        ),
        (
            {"gpu": "B200", "version": "0.8.5"},
            "gpu1.gpu_name: B200 needs CUDA 12.8 or newer, and the wheel of vLLM 0.8.5 is built for CUDA 12.4. Run a newer "
            "release on it (vllm_version).",
        ),
        (
            {"gpu": "T4", "dtype": "bfloat16"},
            "vllm_models.x.args.dtype: bfloat16 needs compute capability 8.0, and T4 (gpu1) has 7.5. Write dtype: half.",
        ),
        (
            {"gpu": "T4", "version": "0.8.5"},
            "vllm_models.x.args.dtype: bfloat16, which the model is made for, needs compute capability 8.0, and T4 (gpu1) has "
            "7.5. Write dtype: half.",
        ),
        (
            {"gpu": "T4", "facts": OSS},
            "vllm_models.x: quantisation mxfp4 needs compute capability 8.0 in vLLM 0.33.0, and T4 (gpu1) has 7.5. Choose a "
            "checkpoint of another kind, or place the model elsewhere.",
        ),
        (
            {"gpu": "V100-32GB", "version": "0.10.0", "facts": AWQ},
            "vllm_models.x: quantisation awq needs compute capability 7.5 in vLLM 0.10.0, and V100-32GB (gpu1) has 7.0. Choose a "
            "checkpoint of another kind, or place the model elsewhere.",
        ),
        (
            {"gpu": "T4", "version": "0.11.0", "quantization": "fp8"},
            "vllm_models.x.args.quantization: quantisation fp8 needs compute capability 8.0 in vLLM 0.11.0, and T4 (gpu1) has "
            "7.5. Choose a checkpoint of another kind, or place the model elsewhere.",
        ),
        (
            {"gpu": "T4", "version": "0.11.0", "facts": quantised("compressed-tensors", "w4a16-int")},
            "vllm_models.x: quantisation compressed-tensors needs compute capability 8.0 in vLLM 0.11.0, and T4 (gpu1) has 7.5. "
            "Choose a checkpoint of another kind, or place the model elsewhere.",
        ),
        (
            {"facts": AWQ, "quantization": "fp8"},
            "vllm_models.x.args.quantization: fp8 does not read this checkpoint, which is quantised with awq. Leave it out (the "
            "checkpoint says it itself), or choose a checkpoint without quantisation.",
        ),
        (
            {"gpu": "A100-80GB", "facts": DEEPSEEK, "attention_backend": "flashmla"},
            "vllm_models.x.args.attention-backend: FLASHMLA of vLLM 0.33.0 does not run on A100-80GB (gpu1; compute capability "
            "8.0). Leave it out: vLLM chooses one that does.",
        ),
        (
            {"facts": DEEPSEEK, "attention_backend": "CUTLASS_MLA"},
            "vllm_models.x.args.attention-backend: CUTLASS_MLA of vLLM 0.33.0 does not run on H100-80GB (gpu1; compute capability "
            "9.0). Leave it out: vLLM chooses one that does.",
        ),
        (
            {"gpu": "T4", "attention_backend": "FLASH_ATTN"},
            "vllm_models.x.args.attention-backend: FLASH_ATTN of vLLM 0.33.0 does not run on T4 (gpu1; compute capability 7.5). "
            "Leave it out: vLLM chooses one that does.",
        ),
        (
            {"gpu": "T4", "kv_cache_dtype": "fp8"},
            "vllm_models.x.args.kv-cache-dtype: fp8 needs compute capability 8.9 in vLLM 0.33.0, or FlashInfer with 8.0; T4 "
            "(gpu1) has 7.5. Write kv-cache-dtype: auto.",
        ),
        (
            {"gpu": "A100-80GB", "kv_cache_dtype": "fp8_e4m3", "attention_backend": "TRITON_ATTN"},
            "vllm_models.x.args.kv-cache-dtype: fp8_e4m3 needs compute capability 8.9 in vLLM 0.33.0, or FlashInfer with 8.0; "
            "A100-80GB (gpu1) has 8.0. Write kv-cache-dtype: auto.",
        ),
        (
            {"tensor_parallel_size": 6},
            "vllm_models.x.args.tensor-parallel-size: 6 GPUs cannot share the model's 64 attention heads evenly. Write one of: 1, "
            "2, 4, 8, 16, 32, 64.",
        ),
        (
            {"facts": AWQ, "tensor_parallel_size": 5},
            "vllm_models.x.args.tensor-parallel-size: 5 GPUs cannot share the model's 40 attention heads and 8 for keys and values "
            "evenly. Write one of: 1, 2, 4, 8, 40.",
        ),
        (
            {"facts": FALCON, "tensor_parallel_size": 2},
            "vllm_models.x.args.tensor-parallel-size: 2 GPUs cannot share the model's 71 attention heads evenly. Write one of: 1.",
        ),
        (
            {"gpu": "MI300X", "driver": "", "version": "0.11.0", "facts": quantised("bitsandbytes")},
            "vllm_models.x: vLLM 0.11.0 does not run quantisation bitsandbytes on ROCm (gpu1). Choose a checkpoint of another "
            "kind: awq, compressed-tensors, fbgemm_fp8, fp8, gguf, gptq, mxfp4, petit_nvfp4, ptpc_fp8, quark, torchao.",
        ),
    ],
)
def test_what_does_not_go_together_is_refused(case: dict[str, Any], message: str) -> None:
    assert told(**case) == ([message], [])


def test_everything_wrong_with_a_host_is_told_at_once() -> None:
    refused, __ = told(gpu="B200", driver="550", dtype="half")
    assert len(refused) == 2
    assert all(message.startswith("gpu1.nvidia_driver_version") for message in refused)


@pytest.mark.parametrize(
    ("case", "said"),
    [
        ({"driver": "535", "version": "0.19.1"}, "older than the one CUDA 12.9 came with (575)"),
        ({"facts": quantised("bitsandbytes")}, "quantised with bitsandbytes, which vLLM 0.33.0 has no more"),
    ],
)
def test_what_may_go_wrong_is_a_warning(case: dict[str, Any], said: str) -> None:
    refused, warned = told(**case)
    assert not refused
    assert len(warned) == 1
    assert said in warned[0]


@pytest.mark.parametrize(
    ("method", "version", "least"),
    [
        # get_min_capability in vllm/model_executor/layers/quantization/ of the release.
        ("fp8", "0.8.5", 80),
        ("fp8", "0.13.0", 80),
        ("fp8", "0.14.0", 75),
        ("gptq_marlin", "0.33.0", 60),
        ("modelopt", "0.26.0", 89),
        ("modelopt", "0.27.0", 80),
        ("mxfp4", "0.10.0", None),
        ("mxfp4", "0.10.1", 80),
        ("bitsandbytes", "0.28.0", None),
        ("fp8", "1.0.0", None),
        ("nonsense", "0.33.0", None),
    ],
)
def test_the_least_capability_of_a_method_follows_the_release(method: str, version: str, least: int | None) -> None:
    assert limits.least_capability(method, version) == least


SOURCE = {
    "vllm/model_executor/layers/quantization/__init__.py": """
from typing import Literal
QuantizationMethods = Literal["awq", "fp8", "fp8_short"]
def get_quantization_config(name):
    from .awq import AWQConfig
    from .fp8 import Fp8Config
    from .online import OnlineQuantizationConfig
    return {"awq": AWQConfig, "fp8": Fp8Config, "a": Fp8Config, "b": Fp8Config, "c": Fp8Config, "online": OnlineQuantizationConfig}
""",
    "vllm/model_executor/layers/quantization/awq.py": """
class Base:
    @classmethod
    def get_min_capability(cls) -> int:
        return 75
    @classmethod
    def get_supported_act_dtypes(cls):
        if cls.old:
            return [torch.half]
        return [torch.half, torch.float32]
class AWQConfig(Base):
    pass
""",
    "vllm/model_executor/layers/quantization/fp8.py": """
class Fp8Config:
    @classmethod
    def get_min_capability(cls) -> int:
        raise NotImplementedError
    @classmethod
    def get_supported_act_dtypes(cls):
        return [torch.bfloat16, torch.half]
""",
    "vllm/config/speculative.py": """
class SpeculativeConfig:
    def _verify_args(self):
        eagle3_target_supported = ["qwen", "llama"]
""",
    "vllm/model_executor/layers/quantization/online.py": """
class OnlineQuantizationConfig:
    @classmethod
    def get_min_capability(cls) -> int:
        return 89
""",
    "vllm/v1/attention/backends/registry.py": """
class AttentionBackendEnum:
    NEW_ONLY = "vllm.v1.attention.backends.new.NewBackend"
    ALL = "vllm.v1.attention.backends.new.AllBackend"
    ASKS_MORE = "vllm.v1.attention.backends.new.AskingBackend"
""",
    "vllm/v1/attention/backends/new.py": """
class AllBackend:
    @classmethod
    def supports_compute_capability(cls, capability):
        return True
class NewBackend(AllBackend):
    @classmethod
    def supports_compute_capability(cls, capability):
        return capability >= DeviceCapability(10, 0) and capability.major != 11
class AskingBackend(AllBackend):
    @classmethod
    def supports_compute_capability(cls, capability):
        return current_platform.is_cuda() and capability.major == 9
""",
    "vllm/platforms/rocm.py": """
class RocmPlatform:
    supported_quantization: list[str] = ["fp8", "awq"]
""",
}


def test_a_release_is_added_from_its_sources_without_running_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "support.yml"
    monkeypatch.setattr(gpu_support, "TARGET", target)
    for version, least in (("1.0.0", "return 75"), ("1.2.0", "return 80"), ("1.1.0", "return 75")):
        for name, text in SOURCE.items():
            file = tmp_path / f"vllm-{version}" / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text.replace("return 75", least))
        gpu_support.main([str(tmp_path / f"vllm-{version}")])
    document = gpu_support.yaml.safe_load(target.read_text())
    assert document["releases"] == ["1.0.0", "1.1.0", "1.2.0"]
    assert document["quantization"]["awq"] == {"1.0.0": 75, "1.2.0": 80}
    assert document["quantization"]["fp8_short"] == {"1.0.0": 89}
    assert "fp8" not in document["quantization"]
    assert document["attention"] == {"NEW_ONLY": {"1.0.0": [100, 101, 103, 120, 121]}}
    assert document["rocm"] == {"1.0.0": ["awq", "fp8"]}
    assert document["dtypes"] == {"awq": {"1.0.0": ["float16", "float32"]}}
    assert document["drafted"] == {"1.0.0": ["llama", "qwen"]}
    once = target.read_text()
    gpu_support.main([str(tmp_path / "vllm-1.0.0"), str(tmp_path / "vllm-1.2.0")])
    assert target.read_text() == once


def test_the_catalogue_and_this_table_know_the_same_releases() -> None:
    path = Path(__file__).parents[5] / "data"
    known = json.loads((path / "catalogue.json").read_text())["releases"]
    assert sorted(known) == sorted(gpu_support.yaml.safe_load((path / "support.yml").read_text())["releases"])
