"""What is refused with a model's configuration at hand, from which release on, and what is taken beside it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.baremetal.vllm.plugins.module_utils.text.problems import Problems
from ansible_collections.baremetal.vllm.plugins.plugin_utils.fit.adapters import check_adapters, read_adapter
from ansible_collections.baremetal.vllm.plugins.plugin_utils.fit.facts import read_config, read_model
from ansible_collections.baremetal.vllm.plugins.plugin_utils.fit.model_rules import check_model
from ansible_collections.baremetal.vllm.plugins.plugin_utils.options.load import release

DENSE = {
    "architectures": ["Qwen3ForCausalLM"],
    "model_type": "qwen3",
    "num_hidden_layers": 30,
    "hidden_size": 4096,
    "num_attention_heads": 32,
    "num_key_value_heads": 4,
    "head_dim": 128,
    "intermediate_size": 11264,
    "vocab_size": 32000,
    "max_position_embeddings": 32768,
    "torch_dtype": "bfloat16",
}
MOE = {**DENSE, "model_type": "qwen3_moe", "architectures": ["Qwen3MoeForCausalLM"], "num_experts": 60} | {
    "moe_intermediate_size": 768
}
AWQ = {"quant_method": "awq", "bits": 4, "group_size": 128, "zero_point": True}
FP8 = {"quant_method": "fp8", "weight_block_size": [128, 128]}
GPTQ = {"quant_method": "gptq", "bits": 4, "group_size": 128, "desc_act": False}
W4A16 = {
    "quant_method": "compressed-tensors",
    "config_groups": {"group_0": {"targets": ["Linear"], "weights": {"num_bits": 4, "type": "int", "group_size": 128}}},
    "ignore": ["lm_head"],
}
MXFP4 = {"quant_method": "mxfp4", "modules_to_not_convert": ["lm_head"]}
EAGLE3 = {"speculative-config": {"method": "eagle3", "model": "org/draft", "num_speculative_tokens": 3}}
PARTITION = "VLLM_PP_LAYER_PARTITION"


def told(
    config: dict[str, Any],
    args: dict[str, Any],
    version: str = "0.33.0",
    env: dict[str, str] | None = None,
    capability: tuple[int, int] | None = (9, 0),
) -> list[str]:
    problems = Problems()
    check_model(
        "vllm_models.m", args, env or {}, read_config(config), release(version), problems, capability=capability
    )
    return [str(problem) for problem in problems.found]


@pytest.mark.parametrize(
    ("config", "args", "version", "key", "words"),
    [
        (DENSE, {"enable-expert-parallel": True}, "0.8.5", "args.enable-expert-parallel", "Remove it"),
        ({**DENSE, "num_experts": []}, {"enable-expert-parallel": True}, "0.33.0", "args.enable-expert-parallel", "Remove it"),
        ({**DENSE, "num_experts": [0]}, {"enable-expert-parallel": True}, "0.33.0", "args.enable-expert-parallel", "Remove it"),
        (DENSE, {"tensor-parallel-size": 4, "decode-context-parallel-size": 2}, "0.33.0", "args.decode-context", "above"),
        (DENSE, {"tensor-parallel-size": 8, "decode-context-parallel-size": 4}, "0.11.2", "args.decode-context", "Write 2 or less"),
        (
            {**DENSE, "num_attention_heads": 36, "num_key_value_heads": 4},
            {"tensor-parallel-size": 12, "decode-context-parallel-size": 2},
            "0.20.0",
            "args.decode-context",
            "Write one of: 1, 3",
        ),
        ({**DENSE, "model_type": "gemma2"}, {"dtype": "half"}, "0.9.1", "args.dtype", "dtype: bfloat16"),
        ({**DENSE, "model_type": "glm4"}, {"dtype": "float16"}, "0.33.0", "args.dtype", "dtype: bfloat16"),
        ({**DENSE, "model_type": "plamo2"}, {"dtype": "half"}, "0.26.0", "args.dtype", "plamo2"),
        (DENSE, {"quantization": "gptq_marlin"}, "0.14.0", "args.quantization", "quantize_config.json"),
        (DENSE, {"quantization": "modelopt_fp4"}, "0.33.0", "args.quantization", "hf_quant_config.json"),
        ({**DENSE, "quantization_config": AWQ}, {"tensor-parallel-size": 16}, "0.8.5", "args.tensor-parallel-size", "1, 2, 4, 8"),
        ({**DENSE, "quantization_config": FP8}, {"tensor-parallel-size": 16}, "0.33.0", "args.tensor-parallel-size", "704"),
        ({**MOE, "quantization_config": FP8}, {"tensor-parallel-size": 4}, "0.10.2", "args.tensor-parallel-size", "enable-expert"),
        (
            MOE,
            {"tensor-parallel-size": 8, "enable-expert-parallel": True, "enable-eplb": True},
            "0.33.0",
            "args.enable-eplb",
            "num_redundant_experts: 4",
        ),
        (
            MOE,
            {
                "data-parallel-size": 4,
                "enable-expert-parallel": True,
                "enable-eplb": True,
                "eplb-config": '{"num_redundant_experts": 3}',
            },
            "0.20.0",
            "args.enable-eplb",
            "num_redundant_experts: 4",
        ),
        (DENSE, {"speculative-config": {"method": "mtp", "num_speculative_tokens": 1}}, "0.33.0", "args.speculative-config", "ngram"),
        ({**DENSE, "quantization_config": {"quant_method": "fbgemm_fp8"}}, {}, "0.33.0", "args.allow-deprecated", "allow"),
        (
            {**MOE, "model_type": "deepseek_v4", "num_experts": 256},
            {"data-parallel-size": 3, "enable-expert-parallel": True, "moe-backend": "deep_gemm_mega_moe"},
            "0.33.0",
            "args.moe-backend",
            "1, 2, 4, 8, 16, 32, 64",
        ),
        # A group that two GPUs would share: GPTQ and integers of compressed-tensors as AWQ.
        ({**DENSE, "quantization_config": GPTQ}, {"tensor-parallel-size": 16}, "0.8.5", "args.tensor-parallel-size", "1, 2, 4, 8"),
        ({**DENSE, "quantization_config": GPTQ}, {"tensor-parallel-size": 16}, "0.33.0", "args.tensor-parallel-size", "1, 2, 4, 8"),
        ({**DENSE, "quantization_config": W4A16}, {"tensor-parallel-size": 16}, "0.33.0", "args.tensor-parallel-size", "groups of 128"),
        # Data types against the quantisation, written or of the checkpoint.
        ({**DENSE, "quantization_config": MXFP4}, {"dtype": "half"}, "0.10.1", "args.dtype", "Write dtype: bfloat16"),
        ({**DENSE, "quantization_config": MXFP4}, {"dtype": "half"}, "0.33.0", "args.dtype", "Write dtype: bfloat16"),
        ({**DENSE, "quantization_config": AWQ}, {"quantization": "awq"}, "0.20.0", "args.quantization", "leave `quantization` out"),
        ({**DENSE, "quantization_config": GPTQ}, {"quantization": "gptq", "dtype": "bfloat16"}, "0.8.5", "args.dtype", "half"),
        ({**DENSE, "quantization_config": FP8}, {"dtype": "float32"}, "0.33.0", "args.dtype", "Write dtype: bfloat16"),
        (DENSE, {"quantization": "fp8", "dtype": "float"}, "0.20.0", "args.dtype", "leave `quantization` out"),
        # What eagle3 drafts for.
        ({**DENSE, "model_type": "gemma3"}, EAGLE3, "0.20.0", "args.speculative-config", "0.22.0 or newer"),
        ({**DENSE, "model_type": "qwen3"}, EAGLE3, "0.10.0", "args.speculative-config", "llama"),
        (
            {**DENSE, "model_type": "glm4_moe"},
            {"speculative-config": {"model": "org/GLM-EAGLE3", "num_speculative_tokens": 3}},
            "0.14.0",
            "args.speculative-config",
            "gpt_oss, llama",
        ),
    ],
)  # fmt: skip
def test_what_vllm_refuses_is_refused_with_its_key_and_what_to_write(
    config: dict[str, Any], args: dict[str, Any], version: str, key: str, words: str
) -> None:
    (problem,) = told(config, args, version)
    assert problem.startswith(f"vllm_models.m.{key}")
    assert words in problem


@pytest.mark.parametrize(
    ("config", "args", "version"),
    [
        (MOE, {"enable-expert-parallel": True, "tensor-parallel-size": 2}, "0.33.0"),
        # Its experts stand in blocks, and their number in a list, as ERNIE has it.
        ({**DENSE, "block_configs": [{"block_type": "moe"}]}, {"enable-expert-parallel": True}, "0.33.0"),
        ({**DENSE, "moe_num_experts": [64, 64]}, {"enable-expert-parallel": True}, "0.33.0"),
        ({**DENSE, "num_experts": [64, 32]}, {"enable-expert-parallel": True}, "0.33.0"),
        ({**DENSE, "n_routed_experts": [0, 64]}, {"enable-expert-parallel": True}, "0.33.0"),
        ({**DENSE, "num_local_experts": [8]}, {"enable-expert-parallel": True}, "0.33.0"),
        (DENSE, {"tensor-parallel-size": 8, "decode-context-parallel-size": 2}, "0.33.0"),
        # Nothing is asked of latent caches.
        (
            {**DENSE, "model_type": "deepseek_v3", "kv_lora_rank": 512, "qk_rope_head_dim": 64},
            {"tensor-parallel-size": 2, "decode-context-parallel-size": 2},
            "0.33.0",
        ),
        ({**DENSE, "model_type": "plamo2"}, {"dtype": "half"}, "0.28.0"),
        ({**DENSE, "model_type": "gemma3_text"}, {"dtype": "half"}, "0.10.0"),
        (DENSE, {"dtype": "half"}, "0.33.0"),
        (DENSE, {"quantization": "fp8"}, "0.33.0"),
        (DENSE, {"quantization": "bitsandbytes"}, "0.20.0"),
        ({**DENSE, "quantization_config": AWQ}, {"tensor-parallel-size": 8, "quantization": "awq_marlin"}, "0.20.0"),
        # What a checkpoint leaves in 16 bits has no groups; one block for everything is no split.
        ({**DENSE, "quantization_config": {**AWQ, "modules_to_not_convert": ["mlp"]}}, {"tensor-parallel-size": 16}, "0.20.0"),
        ({**DENSE, "quantization_config": FP8}, {"tensor-parallel-size": 8}, "0.33.0"),
        ({**DENSE, "quantization_config": {"quant_method": "fp8"}}, {"tensor-parallel-size": 16}, "0.33.0"),
        ({**DENSE, "quantization_config": GPTQ}, {"tensor-parallel-size": 8}, "0.33.0"),
        ({**DENSE, "quantization_config": {**GPTQ, "group_size": -1}}, {"tensor-parallel-size": 16}, "0.33.0"),
        ({**DENSE, "quantization_config": {**GPTQ, "dynamic": {"-:.*down_proj": {}}}}, {"tensor-parallel-size": 16}, "0.33.0"),
        ({**DENSE, "quantization_config": W4A16}, {"tensor-parallel-size": 8}, "0.33.0"),
        ({**DENSE, "quantization_config": {**W4A16, "ignore": ["re:.*down_proj"]}}, {"tensor-parallel-size": 16}, "0.33.0"),
        ({**DENSE, "quantization_config": MXFP4}, {"dtype": "bfloat16"}, "0.33.0"),
        ({**DENSE, "quantization_config": MXFP4}, {}, "0.10.1"),
        ({**DENSE, "quantization_config": AWQ}, {}, "0.20.0"),
        ({**DENSE, "quantization_config": AWQ}, {"quantization": "awq", "dtype": "half"}, "0.20.0"),
        ({**DENSE, "quantization_config": AWQ}, {"quantization": "awq"}, "0.24.0"),
        ({**DENSE, "quantization_config": GPTQ}, {"quantization": "marlin"}, "0.8.5"),
        ({**DENSE, "quantization_config": {"quant_method": "gguf"}}, {"dtype": "float32"}, "0.20.0"),
        ({**DENSE, "quantization_config": W4A16}, {"dtype": "float32"}, "0.33.0"),
        (DENSE, EAGLE3, "0.10.1"),
        (
            {**MOE, "model_type": "deepseek_v4", "num_experts": 256},
            {"data-parallel-size": 4, "enable-expert-parallel": True, "moe-backend": "deep_gemm_mega_moe"},
            "0.33.0",
        ),
        ({**DENSE, "model_type": "gemma3"}, EAGLE3, "0.22.0"),
        ({**MOE, "quantization_config": FP8}, {"tensor-parallel-size": 4, "enable-expert-parallel": True}, "0.33.0"),
        (MOE, {"tensor-parallel-size": 4, "enable-expert-parallel": True, "enable-eplb": True}, "0.33.0"),
        ({**MOE, "num_nextn_predict_layers": 1}, {"speculative-config": {"method": "mtp", "num_speculative_tokens": 1}}, "0.33.0"),
        (DENSE, {"speculative-config": {"method": "mtp", "model": "Org/Draft", "num_speculative_tokens": 1}}, "0.33.0"),
        (
            {**DENSE, "quantization_config": {"quant_method": "fbgemm_fp8"}},
            {"allow-deprecated-quantization": True},
            "0.33.0",
        ),
        ({**DENSE, "quantization_config": {"quant_method": "fbgemm_fp8"}}, {}, "0.13.0"),
        ({}, {"enable-expert-parallel": True, "decode-context-parallel-size": 2}, "0.33.0"),
    ],
)  # fmt: skip
def test_what_vllm_takes_is_taken(config: dict[str, Any], args: dict[str, Any], version: str) -> None:
    assert told(config, args, version) == []


def test_the_remedy_for_half_is_a_type_that_the_gpu_has() -> None:
    (problem,) = told({**DENSE, "model_type": "gemma3"}, {"dtype": "half"}, capability=(7, 5))
    assert "dtype: float32" in problem


@pytest.mark.parametrize(
    ("written", "stages", "words"),
    [
        ("15,15", 2, None),
        ("10,10", 2, "adds up to 20, and the model has 30 layers. Write the layers of each of the 2 stages: 15,15"),
        ("10,20", 3, "has 2 parts for a pipeline-parallel-size of 3"),
        ("all", 2, "is no list of numbers"),
        ("10,10", 1, None),
    ],
)
def test_layers_of_the_stages_add_up_to_those_of_the_model(written: str, stages: int, words: str | None) -> None:
    found = told(DENSE, {"pipeline-parallel-size": stages}, env={PARTITION: written})
    assert [f"vllm_models.m.env.{PARTITION}" in problem for problem in found] == [True] * (words is not None)
    assert words is None or words in found[0]


def test_a_file_of_the_quantiser_beside_the_config_says_that_the_checkpoint_is_quantised(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps(DENSE))
    (tmp_path / "quantize_config.json").write_text('{"bits": 4, "group_size": 128}')
    facts, problems = read_model(tmp_path), Problems()
    assert not isinstance(facts, str)
    check_model("vllm_models.m", {"quantization": "gptq"}, {}, facts, release("0.20.0"), problems)
    assert not problems.found


PLAIN = {"peft_type": "LORA", "r": 16, "lora_alpha": 32, "target_modules": ["q_proj"], "init_lora_weights": True}


@pytest.mark.parametrize(
    ("config", "args", "version", "words"),
    [
        (PLAIN, {}, "0.33.0", None),
        ({**PLAIN, "r": 64}, {}, "0.33.0", "max-lora-rank: is by default 16, and the adapter sql has rank 64. Write max-lora-rank: 64"),
        ({**PLAIN, "r": 48}, {"max-lora-rank": 32}, "0.33.0", "max-lora-rank: is 32, and the adapter sql has rank 48. Write max-lora-rank: 64"),
        ({**PLAIN, "r": 48}, {}, "0.9.2", "Write max-lora-rank: 48"),
        ({**PLAIN, "r": 1024}, {}, "0.33.0", "rank 512 or less"),
        ({**PLAIN, "rank_pattern": {"q_proj": 32}}, {}, "0.33.0", "Write max-lora-rank: 32"),
        ({**PLAIN, "rank_pattern": {"q_proj": 32}}, {}, "0.31.0", None),
        ({**PLAIN, "use_dora": True}, {}, "0.8.5", "adapters.sql: uses DoRA"),
        ({**PLAIN, "modules_to_save": ["score"]}, {}, "0.30.0", "modules saved whole (score)"),
        ({**PLAIN, "modules_to_save": ["score"]}, {}, "0.31.0", None),
        ({**PLAIN, "modules_to_save": ["embed_tokens"]}, {}, "0.33.0", "modules saved whole (embed_tokens)"),
        ({**PLAIN, "init_lora_weights": "pissa"}, {}, "0.32.0", "init_lora_weights: pissa"),
        ({**PLAIN, "init_lora_weights": "gaussian"}, {}, "0.33.0", None),
        ({**PLAIN, "lora_bias": True}, {}, "0.33.0", "LoRA bias"),
        ({}, {}, "0.33.0", None),
    ],
)  # fmt: skip
def test_an_adapter_that_would_not_load_is_named(
    config: dict[str, Any], args: dict[str, Any], version: str, words: str | None, tmp_path: Path
) -> None:
    (tmp_path / "adapter_config.json").write_text(json.dumps(config))
    problems, read = Problems(), read_adapter(tmp_path)
    assert read == config
    check_adapters("vllm_models.m", args, {"sql": read or {}}, release(version), problems)
    found = [str(problem) for problem in problems.found]
    assert found == [] if words is None else words in found[0]


@pytest.mark.parametrize(
    ("config", "args", "capability", "words"),
    [
        ({**DENSE, "model_type": "gemma3"}, {"dtype": "half"}, (9, 0), "Write dtype: bfloat16"),
        ({**DENSE, "model_type": "gemma3"}, {"dtype": "half"}, (7, 5), "Write dtype: float32"),
        # Neither half nor float32 is left there: what is written instead must not be refused in turn.
        (
            {**DENSE, "model_type": "gemma3", "quantization_config": FP8},
            {"dtype": "half"},
            (7, 5),
            "place the model on GPUs with",
        ),
        ({**DENSE, "quantization_config": FP8}, {"dtype": "float32"}, (7, 5), "Write dtype: half"),
    ],
)
def test_the_data_type_that_is_named_instead_is_not_refused(
    config: dict[str, Any], args: dict[str, Any], capability: tuple[int, int], words: str
) -> None:
    (problem,) = told(config, args, capability=capability)
    assert words in problem
    named = problem.partition("Write dtype: ")[2].rstrip(".")
    assert not named or told(config, {**args, "dtype": named}, capability=capability) == []
