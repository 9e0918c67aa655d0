"""What a model keeps for every token of a request: the layout of its KV cache, layer by layer, from `config.json`.

Source: the `get_kv_cache_spec` of vLLM 0.33.0 (vllm/model_executor/layers/attention/*.py, vllm/v1/kv_cache_interface.py)
and its models (vllm/model_executor/models/): which layers slide, share a cache, or keep a state instead.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ansible_collections.baremetal.vllm.plugins.module_utils.fit.config import head_size, kv_heads, whole_number

# Types for which vLLM keeps one latent vector instead of keys and values (is_deepseek_mla in
# vllm/transformers_utils/model_arch_config_convertor.py).
_LATENT = (
    "axk1 deepseek_v2 deepseek_v3 deepseek_v32 glm_moe_dsa glm4_moe_lite kimi_k2 kimi_linear pangu_ultra_moe"
).split()
_ENCODERS = (
    "bert roberta xlm-roberta camembert distilbert electra mpnet deberta deberta-v2 modernbert nomic_bert new gte "
    "bert_with_rope jina_bert clip siglip eurobert"
).split()
_FULL = ("full_attention", "attention", "full", "hybrid")
_SLIDING = ("sliding_attention", "sliding_window", "local_attention", "sliding")
_STATE = ("linear_attention", "mamba", "mamba2", "conv", "recurrent", "short_conv", "gdn", "kda", "rwkv")
_PLAIN_FEED_FORWARD = ("mlp", "moe", "-", "E")
# Keys of layouts that are their model's own; nothing of them is worked out.
_OWN_LAYOUT = ("compress_ratios", "block_configs", "rswa_window", "per_layer_config", "use_cla", "cla_share_factor")
_MOST_LAYERS = 10_000


@dataclass(frozen=True)
class Cache:
    """Layers that keep the same: `elements` per token and layer (key + value) of each of `heads` heads, which tensor
    parallelism divides; or with `heads` 0, one latent vector, whole on every GPU.

    `kind`: "full" (every token of the request), "sliding" or "chunked" (about `window` of them), "cross" (`window`
    tokens of the encoder, always).
    """

    layers: int
    heads: int
    elements: int
    kind: str = "full"
    window: int = 0


@dataclass(frozen=True)
class Layout:
    """The caches of a model, whether it is an encoder without any, and what of it is not known (as sentences)."""

    caches: tuple[Cache, ...] = ()
    encoder: bool = False
    unknown: tuple[str, ...] = ()


def read_layout(config: Mapping[str, Any], part: Mapping[str, Any]) -> Layout:
    """The layout, from the whole config and the language model's part of it."""
    model_type = part.get("model_type")
    # EmbeddingGemma; in other families the same word means pictures alone.
    both_ways = model_type == "gemma3_text" and part.get("use_bidirectional_attention") is True
    if model_type in _ENCODERS or both_ways or part.get("is_causal") is False:
        return Layout(encoder=True)
    if model_type == "whisper":
        return _whisper(part)
    own = [key for key in _OWN_LAYOUT if part.get(key) and not (model_type == "gemma4_text" and key == "per_layer_config")]
    if own:
        return Layout(unknown=(f"the KV cache of this model has a layout of its own ({own[0]} in config.json)",))
    if config.get("is_encoder_decoder") is True or part.get("is_encoder_decoder") is True:
        return Layout(unknown=("the KV cache of this encoder-decoder model",))
    layers = whole_number(part, "num_hidden_layers")
    if layers is None or layers > _MOST_LAYERS:
        return Layout(unknown=("config.json does not say how many layers the model has",))
    return _decoder(part, layers)


def _decoder(part: Mapping[str, Any], layers: int) -> Layout:
    kinds, unknown = _kinds(part, layers)
    if not kinds:
        return Layout(unknown=tuple(unknown))
    shared = whole_number(part, "num_kv_shared_layers")
    # The last layers of Gemma 3n and 4 read the caches of earlier ones.
    counted = Counter(kinds[: max(0, layers - shared)] if shared else kinds)
    if part.get("kv_lora_rank"):
        return _latent(part, counted, unknown)
    caches, window = [], _window(part)
    for kind in ("full", "sliding", "chunked"):
        if not counted[kind]:
            continue
        heads, elements = _geometry(part, kind)
        if heads is None or elements is None:
            unknown = [*unknown, "config.json does not say how many heads keep keys and values, or their size"]
            break
        reach = {"sliding": window, "chunked": whole_number(part, "attention_chunk_size")}.get(kind) or 0
        if kind != "full" and not reach:
            unknown = [*unknown, f"how far back the {kind} layers look: config.json has no window for them"]
            continue
        caches.append(Cache(counted[kind], heads, elements, kind, reach))
    return Layout(tuple(caches), unknown=tuple(unknown))


def _latent(part: Mapping[str, Any], counted: Mapping[str, int], unknown: Sequence[str]) -> Layout:
    rank, rope = whole_number(part, "kv_lora_rank"), whole_number(part, "qk_rope_head_dim")
    if part.get("model_type") not in _LATENT or rank is None or rope is None:
        said = f"the KV cache of model type {part.get('model_type')!r} with kv_lora_rank"
        return Layout(unknown=(*unknown, said))
    if whole_number(part, "index_topk"):
        unknown = [*unknown, "the cache of the sparse-attention indexer, some bytes per token beside the KV cache"]
    return Layout((Cache(counted.get("full", 0), 0, rank + rope),), unknown=tuple(unknown))


def _whisper(part: Mapping[str, Any]) -> Layout:
    layers, width = whole_number(part, "decoder_layers"), whole_number(part, "d_model")
    heads, source = whole_number(part, "decoder_attention_heads"), whole_number(part, "max_source_positions")
    if not (layers and width and heads and source):
        return Layout(unknown=("config.json lacks a size of the decoder",))
    elements = 2 * (width // heads)
    return Layout((Cache(layers, heads, elements), Cache(layers, heads, elements, "cross", source)))


def _geometry(part: Mapping[str, Any], kind: str) -> tuple[int | None, int | None]:
    """Heads, and elements of key and value together, for layers of this kind."""
    heads, size = kv_heads(part), head_size(part)
    value = size
    if part.get("model_type") == "gemma4_text" and kind == "full":
        size = value = whole_number(part, "global_head_dim") or _of_some_layers(part, "head_dim") or size
        if part.get("attention_k_eq_v") is True:
            heads = whole_number(part, "num_global_key_value_heads") or heads
    if str(part.get("model_type", "")).startswith("mimo_v2"):
        prefix = "swa_" if kind == "sliding" else ""
        heads = whole_number(part, f"{prefix}num_key_value_heads") or heads
        size = whole_number(part, f"{prefix}head_dim") or size
        value = whole_number(part, f"{prefix}v_head_dim") or whole_number(part, "v_head_dim") or size
    return heads, size + value if size and value else None


def _of_some_layers(part: Mapping[str, Any], name: str) -> int | None:
    """What newer transformers write for the layers that differ from the rest, where these agree."""
    layers = part.get("per_layer_config")
    each = layers.values() if isinstance(layers, Mapping) else ()
    found = [whole_number(layer, name) for layer in each if isinstance(layer, Mapping)]
    return found[0] if found and len(set(found)) == 1 else None


def _window(part: Mapping[str, Any]) -> int | None:
    if part.get("use_sliding_window") is False:
        return None
    return whole_number(part, "sliding_window") or whole_number(part, "sliding_window_size")


def _kinds(part: Mapping[str, Any], layers: int) -> tuple[list[str], list[str]]:
    """Each layer's kind (full, sliding, chunked, state, none), and what of it is not known; () where nothing is."""
    written = _written(part, layers)
    if written is not None:
        return _read_kinds(written[:layers], part)
    if whole_number(part, "attention_chunk_size") and str(part.get("model_type", "")).startswith("llama4"):
        every = whole_number(part, "no_rope_layer_interval") or 4
        return ["full" if (i + 1) % every == 0 else "chunked" for i in range(layers)], []
    pattern, window = part.get("sliding_window_pattern"), _window(part)
    if window and isinstance(pattern, int) and not isinstance(pattern, bool) and pattern > 0:
        return ["full" if (i + 1) % pattern == 0 else "sliding" for i in range(layers)], []
    if window and isinstance(pattern, str) and pattern and set(pattern) <= {"L", "G"}:
        return ["sliding" if pattern[i % len(pattern)] == "L" else "full" for i in range(layers)], []
    hybrid = _unread_hybrid(part)
    if hybrid:
        return [], [hybrid]
    slide = bool(window) and part.get("use_sliding_window") is True
    unknown = ["which layers slide (use_sliding_window without layer_types): all are taken to"] if slide else []
    return ["sliding" if window else "full"] * layers, unknown


def _written(part: Mapping[str, Any], layers: int) -> list[str] | None:
    """The kind of each layer where the config lists them in one of the known ways."""
    for key in ("layer_types", "layers_block_type", "layer_block_type"):
        listed = part.get(key)
        if isinstance(listed, (list, tuple)) and len(listed) >= layers:
            return [str(kind) for kind in listed]
    pattern = part.get("hybrid_override_pattern")
    if isinstance(pattern, str) and len(pattern) >= layers:
        return [{"M": "mamba", "*": "attention"}.get(mark, mark) for mark in pattern]
    listed = part.get("hybrid_layer_pattern")
    if isinstance(listed, (list, tuple)) and len(listed) >= layers:
        return ["sliding_attention" if mark == 1 else "full_attention" for mark in listed]
    listed = part.get("attn_type_list")
    if isinstance(listed, (list, tuple)) and len(listed) >= layers:
        return ["attention" if mark == 1 else "linear_attention" for mark in listed]
    every = whole_number(part, "full_attention_interval")
    if every:
        return ["full_attention" if (i + 1) % every == 0 else "linear_attention" for i in range(layers)]
    every, first = whole_number(part, "attn_layer_period"), part.get("attn_layer_offset")
    if every and isinstance(first, int):
        return ["attention" if i % every == first else "mamba" for i in range(layers)]
    listed, other = part.get("full_attn_idxs"), "conv"
    if not isinstance(listed, (list, tuple)):
        listed, other = part.get("attn_layer_indices"), "mamba"
    if isinstance(listed, (list, tuple)):
        return ["attention" if i in listed else other for i in range(layers)]
    inner = part.get("linear_attn_config")
    if isinstance(inner, Mapping) and isinstance(inner.get("full_attn_layers"), (list, tuple)):
        # Counted from 1.
        return ["attention" if i + 1 in inner["full_attn_layers"] else "linear_attention" for i in range(layers)]
    return None


def _read_kinds(written: Sequence[str], part: Mapping[str, Any]) -> tuple[list[str], list[str]]:
    names = {
        **dict.fromkeys(_FULL, "full"),
        **dict.fromkeys(_SLIDING, "sliding"),
        **dict.fromkeys(_STATE, "state"),
        **dict.fromkeys(_PLAIN_FEED_FORWARD, "none"),
        "chunked_attention": "chunked",
    }
    kinds = [names.get(kind, "other") for kind in written]
    unknown = []
    if "state" in kinds or "hybrid" in written:
        layers = kinds.count("state") + list(written).count("hybrid")
        unknown.append(
            f"the state of {layers} layers without a KV cache (a fixed size per request), and the larger blocks for it"
        )
    if "other" in kinds:
        strange = sorted({kind for kind, read in zip(written, kinds) if read == "other"})
        unknown.append(f"what layers of kind {', '.join(strange)} keep")
    return kinds, unknown


def _unread_hybrid(part: Mapping[str, Any]) -> str:
    """A sentence where the config speaks of state-space or linear layers without a list of them that is understood."""
    marks = "mamba ssm_ linear_ conv_L rwkv hybrid time_mix attn_types layer_group_size state_size".split()
    found = sorted(key for key, value in part.items() if value and any(str(key).startswith(mark) for mark in marks))
    return f"which layers keep a state instead of a KV cache ({found[0]} in config.json)" if found else ""
