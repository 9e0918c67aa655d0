"""`config.json` of a model as vLLM reads it: the part about the language model, other spellings, values of the class.

Source: vLLM 0.33.0, vllm/transformers_utils/model_arch_config_convertor.py and vllm/transformers_utils/config.py (how heads,
head size, layers and the greatest length are found), and the attribute maps of transformers 5.19.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Literal, TypedDict

from ansible_collections.baremetal.vllm.plugins.module_utils.text.values import Values
from ansible_collections.baremetal.vllm.plugins.plugin_utils.places import DATA, read_yaml

FILE = DATA / "architectures.yml"

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
    "intermediate_size": ("intermediate_size", "ffn_hidden_size", "n_inner", "ffn_dim", "decoder_ffn_dim"),
    "moe_intermediate_size": ("moe_intermediate_size", "expert_ffn_hidden_size", "expert_hidden_dim"),
    "num_experts_per_tok": (
        "num_experts_per_tok",
        "num_experts_per_token",
        "moe_topk",
        "moe_top_k",
        "experts_per_token",
    ),
}
# No layer, head or length of a real model is beyond it; a config that claims more is not worked out.
_GREATEST = 10**9


class _Architectures(TypedDict):
    compared: list[str]
    latent: list[str]
    encoders: list[str]
    gated: list[str]
    class_values: dict[str, dict[str, object]]


@lru_cache(maxsize=1)
def _architectures() -> _Architectures:
    read: _Architectures = read_yaml(FILE)
    return read


@lru_cache(maxsize=8)
def types(group: Literal["compared", "latent", "encoders", "gated"]) -> frozenset[str]:
    """Model types of one group of `data/architectures.yml`: compared, latent, encoders, gated."""
    return frozenset(_architectures()[group])


def language_part(config: Values) -> dict[str, object]:
    """What describes the language model, with its class's values where it says nothing; `model_type` is text in it."""
    part: Values = config
    for __ in range(3):
        nested = [inner for name in _NESTED if isinstance(inner := part.get(name), Mapping) and inner]
        if not nested:
            break
        part = nested[0]
    given = part.get("model_type")
    model_type = given if isinstance(given, str) else ""
    known = _architectures()["class_values"].get(model_type, {})
    merged = {**part, "model_type": model_type}
    for name, value in known.items():
        if not any(alias in part for alias in _ALIASES.get(name, (name,))):
            merged[name] = value
    return merged


def whole_number(part: Values, name: str) -> int | None:
    """A positive whole number under any of its spellings, else None."""
    for alias in _ALIASES.get(name, (name,)):
        value = part.get(alias)
        if isinstance(value, int) and not isinstance(value, bool) and 0 < value < _GREATEST:
            return value
    return None


def expert_count(part: Values) -> int:
    """Routed experts of one layer, 0 for none. Any of the names may have a list, one number for each kind of token or layer,
    of which the first counts (`get_num_experts`, vllm/transformers_utils/model_arch_config_convertor.py of 0.33.0)."""
    for alias in _ALIASES["num_experts"]:
        value = part.get(alias)
        for each in value if isinstance(value, list) else [value]:
            count = whole_number({"num_experts": each}, "num_experts")
            if count:
                return count
    return 0


def head_size(part: Values) -> int | None:
    """Elements of one attention head: written, else the hidden size over the heads."""
    written = whole_number(part, "head_dim")
    hidden, heads = whole_number(part, "hidden_size"), whole_number(part, "num_attention_heads")
    return written or (hidden // heads or None if hidden and heads else None)


def kv_heads(part: Values) -> int | None:
    """Heads of keys and values; as many as attention heads where nothing is written."""
    one_for_all = part.get("multi_query") is True and part.get("new_decoder_architecture") is not True
    if one_for_all and part.get("model_type") in ("falcon", "RefinedWeb", "RefinedWebModel", "gpt_bigcode"):
        return 1
    inner = part.get("attn_config")
    if part.get("model_type") == "dbrx" and isinstance(inner, Mapping):
        return whole_number({"num_key_value_heads": inner.get("kv_n_heads")}, "num_key_value_heads")
    return whole_number(part, "num_key_value_heads") or whole_number(part, "num_attention_heads")


def dtype_name(config: Values, part: Values) -> str:
    """The data type the weights were made for ("bfloat16"), or "" where the config does not say."""
    for source in (config, part):
        for name in ("dtype", "torch_dtype"):
            value = source.get(name)
            if isinstance(value, str) and value:
                return value.rpartition(".")[2].lower()
    return ""
