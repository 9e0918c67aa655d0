"""What is read from a model's files: configurations of public models, headers of weights, and files that are none."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.baremetal.vllm.plugins.plugin_utils.fit.facts import ModelFacts, read_config, read_model
from ansible_collections.baremetal.vllm.plugins.plugin_utils.fit.length import greatest, usual
from ansible_collections.baremetal.vllm.plugins.plugin_utils.fit.states import RecurrentState
from ansible_collections.baremetal.vllm.plugins.plugin_utils.fit.tensors import BITS, PURPOSES
from fit_models import CONFIGS
from hypothesis import given, settings
from hypothesis import strategies as st
from thoroughness import examples

# As vLLM 0.32.0 itself reads the same files: layers, attention heads, heads of keys and values, size of a head, experts.
READ = {
    "meta-llama/Llama-3.1-70B-Instruct": (80, 64, 8, 128, 0),
    "meta-llama/Llama-2-7b-hf": (32, 32, 32, 128, 0),
    "Qwen/Qwen2.5-72B-Instruct": (80, 64, 8, 128, 0),
    "Qwen/Qwen3-235B-A22B": (94, 64, 4, 128, 128),
    "mistralai/Mixtral-8x7B-Instruct-v0.1": (32, 32, 8, 128, 8),
    "mistralai/Mistral-7B-v0.1": (32, 32, 8, 128, 0),
    "google/gemma-2-9b-it": (42, 16, 8, 256, 0),
    "google/gemma-3-4b-it": (34, 8, 4, 256, 0),
    "google/gemma-3-27b-it": (62, 32, 16, 128, 0),
    "openai/gpt-oss-120b": (36, 64, 8, 64, 128),
    "openai/whisper-large-v3": (32, 20, 20, 64, 0),
    "BAAI/bge-m3": (24, 16, 16, 64, 0),
    "Qwen/Qwen2.5-VL-7B-Instruct": (28, 28, 4, 128, 0),
    "llava-hf/llava-1.5-7b-hf": (32, 32, 32, 128, 0),
    "ai21labs/AI21-Jamba-1.5-Mini": (32, 32, 8, 128, 16),
    "Qwen/Qwen3-Next-80B-A3B-Instruct": (48, 16, 2, 256, 512),
    "microsoft/Phi-3-mini-128k-instruct": (32, 32, 32, 96, 0),
    "tiiuae/falcon-7b": (32, 71, 1, 64, 0),
    "openai-community/gpt2": (12, 12, 12, 64, 0),
    "meta-llama/Llama-4-Scout-17B-16E-Instruct": (48, 40, 8, 128, 16),
}


@pytest.mark.parametrize(("name", "numbers"), READ.items(), ids=READ)
def test_sizes_are_read_as_vllm_reads_them(name: str, numbers: tuple[int, ...]) -> None:
    facts = read_config(CONFIGS[name])
    assert (facts.layers, facts.heads, facts.kv_heads, facts.head_size, facts.experts) == numbers


@pytest.mark.parametrize(
    ("name", "caches"),
    [
        ("Qwen/Qwen2.5-72B-Instruct", [("full", 80, 0)]),
        ("mistralai/Mistral-7B-v0.1", [("sliding", 32, 4096)]),
        ("google/gemma-2-9b-it", [("full", 21, 0), ("sliding", 21, 4096)]),
        ("google/gemma-3-27b-it", [("full", 10, 0), ("sliding", 52, 1024)]),
        ("openai/gpt-oss-120b", [("full", 18, 0), ("sliding", 18, 128)]),
        ("meta-llama/Llama-4-Scout-17B-16E-Instruct", [("full", 12, 0), ("chunked", 36, 8192)]),
        ("openai/whisper-large-v3", [("full", 32, 0), ("cross", 32, 1500)]),
        ("ai21labs/AI21-Jamba-1.5-Mini", [("full", 4, 0)]),
        ("Qwen/Qwen3-Next-80B-A3B-Instruct", [("full", 12, 0)]),
        ("BAAI/bge-m3", []),
    ],
)
def test_layers_are_counted_by_what_they_keep(name: str, caches: list[tuple[str, int, int]]) -> None:
    facts = read_config(CONFIGS[name])
    assert [(cache.kind, cache.layers, cache.window) for cache in facts.caches] == caches
    assert facts.encoder == (name == "BAAI/bge-m3")


def test_a_latent_is_one_vector_without_heads() -> None:
    (cache,) = read_config(CONFIGS["deepseek-ai/DeepSeek-V3"]).caches
    assert (cache.layers, cache.heads, cache.elements) == (61, 0, 512 + 64)


@pytest.mark.parametrize(
    ("config", "state"),
    [
        # The page that vLLM 0.10.2 logs for two GPUs: attention blocks of 544 tokens, padded by 1.49 %.
        (CONFIGS["Qwen/Qwen3-Next-80B-A3B-Instruct"], RecurrentState(36, 3 * 8192, 32 * 128 * 128)),
        (CONFIGS["ai21labs/AI21-Jamba-1.5-Mini"], RecurrentState(28, 3 * 8192, 8192 * 16)),
        # nvidia/NVIDIA-Nemotron-Nano-9B-v2, cut to its sizes.
        (
            {
                **{"model_type": "nemotron_h", "num_hidden_layers": 8, "hybrid_override_pattern": "M-M-M*M-"},
                **{"hidden_size": 4480, "num_attention_heads": 40, "num_key_value_heads": 8, "head_dim": 128},
                **{
                    "mamba_num_heads": 128,
                    "mamba_head_dim": 80,
                    "n_groups": 8,
                    "ssm_state_size": 128,
                    "conv_kernel": 4,
                },
                "mamba_ssm_cache_dtype": "float32",
            },
            RecurrentState(4, 3 * (128 * 80 + 2 * 8 * 128), 128 * 80 * 128, 32),
        ),
        (CONFIGS["Qwen/Qwen2.5-72B-Instruct"], None),
    ],
    ids=["qwen3_next", "jamba", "nemotron_h", "qwen2"],
)
def test_the_state_of_layers_without_a_cache_is_read(config: dict[str, Any], state: RecurrentState | None) -> None:
    facts = read_config(config)
    assert facts.state == state
    assert not any("state" in phrase for phrase in facts.unknown)


def test_a_state_of_unknown_size_is_said() -> None:
    config = {"model_type": "newest", "num_hidden_layers": 2, "layers_block_type": ["mamba", "attention"]}
    assert any(phrase.startswith("the state of 1 layers") for phrase in read_config(config).unknown)


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({"model_type": "llama"}, ""),
        ({"model_type": "deepseek_v4", "compress_ratios": [4, 128]}, "a layout of its own (compress_ratios"),
        ({"model_type": "minicpm3", "num_hidden_layers": 2, "kv_lora_rank": 256}, "model type 'minicpm3'"),
        ({"model_type": "newest", "num_hidden_layers": 2, "mamba_d_state": 16}, "keep a state instead of a KV cache"),
        ({"model_type": "newest", "num_hidden_layers": 2}, "how many heads"),
        ({"model_type": "newest"}, "how many layers"),
        (
            {"model_type": "newest", "num_hidden_layers": 2, "num_attention_heads": 2, "hidden_size": 64},
            "whether model type 'newest' keeps",
        ),
        ({"model_type": "gemma3_text", "layer_types": ["warped_attention"] * 26}, "kind warped_attention"),
        ({"model_type": "t5", "is_encoder_decoder": True}, "encoder-decoder"),
    ],
)
def test_what_cannot_be_known_is_said(config: dict[str, Any], said: str) -> None:
    facts = read_config(config)
    assert any(said in phrase for phrase in facts.unknown) if said else not facts.unknown


@pytest.mark.parametrize(
    ("given", "method", "cache"),
    [
        ({"quant_method": "awq", "bits": 4}, "awq", False),
        ({"quant_method": "fp8", "weight_block_size": [128, 128]}, "fp8", False),
        ({"quant_method": "compressed_tensors"}, "compressed-tensors", False),
        ({"quant_method": "compressed-tensors", "kv_cache_scheme": {"num_bits": 8}}, "compressed-tensors", True),
        ({"quant_method": "modelopt", "quant_algo": "NVFP4"}, "modelopt_fp4", False),
        (
            {"producer": {"name": "modelopt"}, "quantization": {"quant_algo": "FP8", "kv_cache_quant_algo": "FP8"}},
            "modelopt",
            True,
        ),
        ({"quant_method": "mxfp4"}, "mxfp4", False),
    ],
)
def test_quantisation_goes_by_the_name_that_vllm_gives_it(given: dict[str, Any], method: str, cache: bool) -> None:
    found = read_config({"model_type": "llama", "quantization_config": given}).quantisation
    assert found is not None
    assert (found.method, found.cache) == (method, cache)


def test_the_schemes_of_compressed_tensors_are_named_by_bits_and_type() -> None:
    groups = {
        "group_0": {"weights": {"num_bits": 4, "type": "int"}, "input_activations": None},
        "group_1": {"weights": {"num_bits": 8, "type": "float"}, "input_activations": {"num_bits": 8}},
    }
    given = {"quant_method": "compressed-tensors", "config_groups": groups}
    found = read_config({"model_type": "llama", "quantization_config": given}).quantisation
    assert found is not None
    assert found.schemes == ("w4a16-int", "w8a8-fp")


YARN = {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 32768}


@pytest.mark.parametrize(
    ("name", "overrides", "old", "new"),
    [
        ("Qwen/Qwen2.5-72B-Instruct", {}, 32768, 32768),
        # Proved on vLLM 0.32.0, which refuses max-model-len 131072 with the first, and takes it with the second.
        ("Qwen/Qwen2.5-72B-Instruct", {"rope_scaling": YARN}, 131072, 32768),
        ("Qwen/Qwen2.5-72B-Instruct", {"rope_scaling": YARN, "max_position_embeddings": 131072}, 131072, 131072),
        ("Qwen/Qwen2.5-72B-Instruct", {"rope_scaling": {"rope_type": "linear", "factor": 2.0}}, 65536, 65536),
        ("Qwen/Qwen2.5-72B-Instruct", '{"rope_scaling": {"type": "dynamic", "factor": 2.0}}', 65536, 65536),
        ("openai/gpt-oss-120b", {"rope_parameters": {"rope_type": "default", "rope_theta": 150000}}, 131072, 131072),
        ("meta-llama/Llama-3.1-70B-Instruct", {}, 131072, 131072),
        ("google/gemma-3-27b-it", {}, 131072, 131072),
        ("google/gemma-3-27b-it", {"text_config": {"max_position_embeddings": 8192}}, 8192, 8192),
        ("deepseek-ai/DeepSeek-V3", {}, 163840, 163840),
        ("openai/gpt-oss-120b", {}, 131072, 131072),
        ("openai/whisper-large-v3", {}, 448, 448),
        ("openai-community/gpt2", {}, 1024, 1024),
    ],
)
def test_the_greatest_length_follows_the_release(tmp_path: Path, name: str, overrides: Any, old: int, new: int) -> None:
    facts = written(tmp_path, CONFIGS[name], overrides)
    assert (greatest(facts, (0, 29, 0)), greatest(facts, (0, 32, 0)), greatest(facts, None)) == (old, new, new)


def test_a_longrope_model_starts_with_its_original_length() -> None:
    facts = read_config(CONFIGS["microsoft/Phi-3-mini-128k-instruct"])
    assert (usual(facts, (0, 32, 0)), greatest(facts, (0, 32, 0))) == (4096, 131072)


def written(directory: Path, config: Any, overrides: Any = None) -> ModelFacts:
    (directory / "config.json").write_text(json.dumps(config))
    facts = read_model(directory, overrides)
    assert isinstance(facts, ModelFacts), facts
    return facts


def shard(file: Path, tensors: dict[str, tuple[str, list[int]]]) -> int:
    """A safetensors file of zeros; the bytes of its tensors."""
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    end = 0
    for name, (dtype, shape) in tensors.items():
        count = 1
        for number in shape:
            count *= number
        start, end = end, end + -(-count * BITS[dtype] // 8)
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [start, end]}
    text = json.dumps(header).encode()
    file.write_bytes(struct.pack("<Q", len(text)) + text + bytes(end))
    return end


SMALL = {
    "model_type": "llama",
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "hidden_size": 8,
    "vocab_size": 16,
    "torch_dtype": "bfloat16",
}
TENSORS: dict[str, tuple[str, list[int]]] = {
    "model.embed_tokens.weight": ("BF16", [16, 8]),
    "lm_head.weight": ("BF16", [16, 8]),
    "model.layers.0.self_attn.q_proj.weight": ("BF16", [8, 8]),
    "model.layers.1.mlp.experts.0.up_proj.weight": ("BF16", [4, 8]),
    "model.layers.1.mlp.shared_experts.up_proj.weight": ("BF16", [4, 8]),
    "model.layers.2.mlp.experts.0.up_proj.weight": ("BF16", [4, 8]),
    "mtp.layers.0.proj.weight": ("BF16", [4, 8]),
    "vision_tower.blocks.7.weight": ("BF16", [2, 8]),
    "model.norm.weight": ("F32", [8]),
}


def test_tensors_are_added_up_by_what_they_are_for(tmp_path: Path) -> None:
    size = shard(tmp_path / "model.safetensors", TENSORS)
    weights = written(tmp_path, SMALL).weights
    assert weights is not None
    assert weights.stored == size == (tmp_path / "model.safetensors").stat().st_size - 8 - header_of(tmp_path)
    assert weights.exact
    parts = {name: getattr(weights, name).floats for name in PURPOSES}
    assert parts == {
        "embedding": 128,
        "head": 128,
        "layers": 64 + 32 + 8,
        "experts": 32,
        "other": 16,
        "spare": 32 + 32,
    }


def header_of(directory: Path) -> int:
    return int.from_bytes((directory / "model.safetensors").read_bytes()[:8], "little")


def test_quantised_values_keep_their_bytes_and_the_rest_takes_the_engines_type(tmp_path: Path) -> None:
    quantised = {**SMALL, "quantization_config": {"quant_method": "fp8"}}
    shard(
        tmp_path / "model.safetensors",
        {
            "model.embed_tokens.weight": ("BF16", [16, 8]),
            "model.layers.0.self_attn.q_proj.weight": ("F8_E4M3", [8, 8]),
            "model.layers.0.self_attn.q_proj.weight_scale_inv": ("F32", [1]),
        },
    )
    weights = written(tmp_path, quantised).weights
    assert weights is not None
    assert (weights.embedding.size(2), weights.embedding.size(4)) == (256, 512)
    assert (weights.layers.size(2), weights.layers.size(4)) == (68, 68)


def test_shards_that_an_index_names_are_read_and_others_are_not(tmp_path: Path) -> None:
    names = list(TENSORS)
    size = 0
    shards = {"model-1-of-2.safetensors": names[:4], "model-2-of-2.safetensors": names[4:]}
    for file, inside in shards.items():
        size += shard(tmp_path / file, {name: TENSORS[name] for name in inside})
    shard(tmp_path / "consolidated.safetensors", TENSORS)
    index = {"metadata": {"total_size": 1}, "weight_map": {n: f for f, inside in shards.items() for n in inside}}
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps(index))
    weights = written(tmp_path, SMALL).weights
    assert weights is not None
    assert (weights.stored, weights.exact) == (size, True)


# Billions of parameters as published, and the sum of the files in the index (bytes), where it is a public figure.
PUBLISHED = {
    "meta-llama/Llama-3.1-70B-Instruct": (70.6, 141107412992),
    "Qwen/Qwen2.5-72B-Instruct": (72.7, 145412407296),
    "Qwen/Qwen3-235B-A22B": (235.1, None),
    "mistralai/Mixtral-8x7B-Instruct-v0.1": (46.7, 93405585408),
    "mistralai/Mistral-7B-v0.1": (7.24, 14483464192),
    "google/gemma-2-9b-it": (9.24, 18483411968),
    "deepseek-ai/DeepSeek-V2-Lite-Chat": (15.7, None),
    "meta-llama/Llama-2-7b-hf": (6.74, 13476839424),
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_parameters_worked_out_from_a_config_alone_are_the_published_ones(tmp_path: Path, name: str) -> None:
    facts = written(tmp_path, CONFIGS[name])
    billions, stored = PUBLISHED[name]
    assert facts.weights is not None
    assert facts.weights.parameters is not None
    assert facts.weights.parameters / 1e9 == pytest.approx(billions, rel=0.005)
    assert not facts.weights.exact
    if stored:
        assert facts.weights.stored == pytest.approx(stored, rel=0.002)


def test_an_index_alone_gives_the_sum_and_the_config_how_it_is_split(tmp_path: Path) -> None:
    # What `hf download --include '*.json'` brings: 91,991 names of DeepSeek-V3 stand for a few of each kind here.
    names = ["model.embed_tokens.weight", "lm_head.weight"]
    names += [f"model.layers.{i}.mlp.experts.0.up_proj.weight" for i in range(3, 62)]
    stored = 688586727936
    index = {"metadata": {"total_size": stored}, "weight_map": dict.fromkeys(names, "model-1-of-163.safetensors")}
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps(index))
    weights = written(tmp_path, CONFIGS["deepseek-ai/DeepSeek-V3"]).weights
    assert weights is not None
    assert (weights.stored, weights.exact) == (stored, False)
    assert weights.embedding.floats == weights.head.floats == 129280 * 7168
    # The layer that predicts further tokens is 14 of 685 billion parameters.
    assert weights.spare.size(2) / stored == pytest.approx(14 / 685, rel=0.1)
    assert sum(getattr(weights, name).size(2) for name in PURPOSES) == pytest.approx(stored, rel=1e-6)


def test_a_checkpoint_in_32_bits_beside_a_config_of_16_is_seen(tmp_path: Path) -> None:
    index = {"metadata": {"total_size": 2 * 141107412992}, "weight_map": {"lm_head.weight": "a.safetensors"}}
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps(index))
    weights = written(tmp_path, CONFIGS["meta-llama/Llama-3.1-70B-Instruct"]).weights
    assert weights is not None
    assert weights.parameters == pytest.approx(70.55e9, rel=0.01)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "is not a safetensors file"),
        (b"\x10\0\0\0\0\0\0\0{}", "is not a safetensors file"),
        (struct.pack("<Q", 2**60) + b"{}", "is not a safetensors file"),
        (struct.pack("<Q", 2) + b"[]", "is not a safetensors file"),
        (struct.pack("<Q", 2) + b"{x", "cannot be read as safetensors"),
        (struct.pack("<Q", 9) + b'{"a": {}}', "has no type known to safetensors"),
        (struct.pack("<Q", 30) + b'{"a": {"dtype":"F8","shape":1}', "cannot be read as safetensors"),
        (struct.pack("<Q", 33) + b'{"a": {"dtype":"BF16","shape":1}}', "has no shape"),
        (struct.pack("<Q", 38) + b'{"a": {"dtype":"BF16","shape":[-1,2]}}', "has no shape"),
    ],
)
def test_weights_that_cannot_be_read_are_unknown_with_the_reason(tmp_path: Path, content: bytes, said: str) -> None:
    (tmp_path / "model.safetensors").write_bytes(content)
    facts = written(tmp_path, SMALL)
    assert facts.weights is None
    assert any(said in phrase for phrase in facts.unknown)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "config.json cannot be read"),
        (b"{", "config.json is not JSON"),
        (b"\xff\xfe", "config.json is not JSON"),
        (b"[" * 100_000, "config.json is not JSON"),
        (b"[]", "config.json is not a JSON object"),
    ],
)
def test_a_directory_without_a_config_says_why(tmp_path: Path, content: bytes | None, said: str) -> None:
    if content is not None:
        (tmp_path / "config.json").write_bytes(content)
    facts = read_model(tmp_path)
    assert isinstance(facts, str)
    assert facts.startswith(said)


KEYS = sorted(
    {key for config in CONFIGS.values() for key in config}
    | {key for config in CONFIGS.values() for key in config.get("text_config", {})}
    | {"compress_ratios", "index_topk", "num_kv_shared_layers", "hybrid_override_pattern", "attn_type_list", "dtype"}
    | {"full_attn_idxs", "linear_attn_config", "rope_parameters", "layers_block_type", "sliding_window_pattern"}
)
SCALARS = st.one_of(
    st.none(), st.booleans(), st.integers(-5, 200), st.integers(), st.floats(), st.text(max_size=8),
    st.sampled_from(["llama", "gemma3_text", "whisper", "deepseek_v3", "sliding_attention", "mamba", "LLLG", "yarn"]),
)  # fmt: skip
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4), st.dictionaries(st.sampled_from(KEYS) | st.text(max_size=5), inner, max_size=5)
    ),
    max_leaves=10,
)


@settings(max_examples=examples(300))
@given(st.dictionaries(st.sampled_from(KEYS) | st.text(max_size=5), VALUES, max_size=14))
def test_any_json_object_is_read_without_an_exception(config: dict[str, Any]) -> None:
    facts = read_config(config)
    assert min(facts.layers, facts.heads, facts.kv_heads, facts.head_size, facts.positions) >= 0
    assert all(cache.layers >= 0 and cache.elements > 0 for cache in facts.caches)
    hash(facts)


@settings(max_examples=examples(300))
@given(st.sampled_from(sorted(CONFIGS)), st.dictionaries(st.sampled_from(KEYS), VALUES, max_size=4))
def test_a_real_config_with_nonsense_in_it_is_read_without_an_exception(name: str, broken: dict[str, Any]) -> None:
    facts = read_config({**CONFIGS[name], **broken})
    assert isinstance(facts, ModelFacts)
