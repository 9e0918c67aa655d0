"""`config.json` of a model as vLLM reads it: the part about the language model, other spellings, values of the class.

Sources: vLLM 0.33.0, vllm/transformers_utils/model_arch_config_convertor.py and vllm/transformers_utils/config.py (how
heads, head size, layers and the greatest length are found); transformers 5.19 (attribute maps, class values).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

# Where models of several modalities keep the language model's part.
_NESTED = ("text_config", "thinker_config", "llm_config", "language_config", "language_model_config")
_ALIASES = {
    "hidden_size": ("hidden_size", "n_embd", "d_model", "n_embed"),
    "num_hidden_layers": ("num_hidden_layers", "n_layer", "n_layers", "num_layers"),
    "num_attention_heads": ("num_attention_heads", "n_head", "n_heads", "decoder_attention_heads"),
    "num_key_value_heads": (
        "n_head_kv",
        "num_kv_heads",
        "num_key_value_heads",
        "multi_query_group_num",
        "num_attention_groups",
    ),
    "head_dim": ("head_dim", "hidden_size_per_head", "attention_head_dim"),
    "num_experts": ("num_experts", "moe_num_experts", "n_routed_experts", "num_local_experts"),
    "vocab_size": ("vocab_size", "padded_vocab_size"),
}
# A nested part is written without the values that equal its class's own, so that reading it needs them.
_CLASS_VALUES: dict[str, dict[str, Any]] = {
    "llama": {
        "hidden_size": 4096,
        "num_hidden_layers": 32,
        "num_attention_heads": 32,
        "vocab_size": 32000,
        "max_position_embeddings": 2048,
    },
    "mistral": {
        "hidden_size": 4096,
        "num_hidden_layers": 32,
        "num_attention_heads": 32,
        "num_key_value_heads": 8,
        "vocab_size": 32000,
        "max_position_embeddings": 131072,
        "sliding_window": 4096,
    },
    "mixtral": {
        "hidden_size": 4096,
        "num_hidden_layers": 32,
        "num_attention_heads": 32,
        "num_key_value_heads": 8,
        "vocab_size": 32000,
        "max_position_embeddings": 131072,
    },
    "qwen2": {
        "hidden_size": 4096,
        "num_hidden_layers": 32,
        "num_attention_heads": 32,
        "num_key_value_heads": 32,
        "vocab_size": 151936,
        "max_position_embeddings": 32768,
    },
    "qwen3": {
        "hidden_size": 4096,
        "num_hidden_layers": 32,
        "num_attention_heads": 32,
        "num_key_value_heads": 32,
        "head_dim": 128,
        "vocab_size": 151936,
        "max_position_embeddings": 32768,
    },
    "gemma": {
        "hidden_size": 3072,
        "num_hidden_layers": 28,
        "num_attention_heads": 16,
        "num_key_value_heads": 16,
        "head_dim": 256,
        "vocab_size": 256000,
        "max_position_embeddings": 8192,
        "tie_word_embeddings": True,
    },
    "gemma2": {
        "hidden_size": 2304,
        "num_hidden_layers": 26,
        "num_attention_heads": 8,
        "num_key_value_heads": 4,
        "head_dim": 256,
        "vocab_size": 256000,
        "max_position_embeddings": 8192,
        "sliding_window": 4096,
        "sliding_window_pattern": 2,
        "tie_word_embeddings": True,
    },
    "gemma3_text": {
        "hidden_size": 2304,
        "num_hidden_layers": 26,
        "num_attention_heads": 8,
        "num_key_value_heads": 4,
        "head_dim": 256,
        "vocab_size": 262208,
        "max_position_embeddings": 131072,
        "sliding_window": 4096,
        "sliding_window_pattern": 6,
        "tie_word_embeddings": True,
    },
    "cohere2": {"sliding_window": 4096, "sliding_window_pattern": 4, "tie_word_embeddings": True},
    "gpt_oss": {"head_dim": 64, "sliding_window": 128, "sliding_window_pattern": 2},
    "phi3": {"hidden_size": 3072, "num_hidden_layers": 32, "num_attention_heads": 32, "vocab_size": 32064},
    "whisper": {"tie_word_embeddings": True, "max_source_positions": 1500},
}
# No layer, head or length of a real model is beyond it; a config that claims more is not worked out.
_GREATEST = 10**9


def language_part(config: Mapping[str, Any]) -> dict[str, Any]:
    """The mapping that describes the language model, with its class's values where it says nothing."""
    part: Mapping[str, Any] = config
    for _ in range(3):
        nested = next((part[name] for name in _NESTED if isinstance(part.get(name), Mapping) and part[name]), None)
        if nested is None:
            break
        part = nested
    model_type = part.get("model_type")
    known = _CLASS_VALUES.get(model_type, {}) if isinstance(model_type, str) else {}
    merged = dict(part)
    for name, value in known.items():
        if not any(alias in part for alias in _ALIASES.get(name, (name,))):
            merged[name] = value
    return merged


def whole_number(part: Mapping[str, Any], name: str) -> int | None:
    """A positive whole number under any of its spellings, else None."""
    for alias in _ALIASES.get(name, (name,)):
        value = part.get(alias)
        if isinstance(value, int) and not isinstance(value, bool) and 0 < value < _GREATEST:
            return value
    return None


def head_size(part: Mapping[str, Any]) -> int | None:
    """Elements of one attention head: written, else the hidden size over the heads."""
    written = whole_number(part, "head_dim")
    hidden, heads = whole_number(part, "hidden_size"), whole_number(part, "num_attention_heads")
    return written or (hidden // heads or None if hidden and heads else None)


def kv_heads(part: Mapping[str, Any]) -> int | None:
    """Heads of keys and values; as many as attention heads where nothing is written."""
    if part.get("model_type") in ("falcon", "RefinedWeb", "RefinedWebModel"):
        if part.get("multi_query") is True and part.get("new_decoder_architecture") is not True:
            return 1
    if part.get("model_type") == "gpt_bigcode" and part.get("multi_query") is True:
        return 1
    inner = part.get("attn_config")
    if part.get("model_type") == "dbrx" and isinstance(inner, Mapping):
        return whole_number({"num_key_value_heads": inner.get("kv_n_heads")}, "num_key_value_heads")
    return whole_number(part, "num_key_value_heads") or whole_number(part, "num_attention_heads")


def dtype_name(config: Mapping[str, Any], part: Mapping[str, Any]) -> str:
    """The data type the weights were made for ("bfloat16"), or "" where the config does not say."""
    for source in (config, part):
        for name in ("dtype", "torch_dtype"):
            value = source.get(name)
            if isinstance(value, str) and value:
                return value.rpartition(".")[2].lower()
    return ""
