"""What a model keeps for every token of a request: the layout of its KV cache, layer by layer, from `config.json`.

Source: the `get_kv_cache_spec` of vLLM 0.33.0 (vllm/model_executor/layers/attention/*.py, vllm/v1/kv_cache_interface.py)
and its models (vllm/model_executor/models/): which layers slide, share a cache, or keep a state instead.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from ansible_collections.baremetal.vllm.plugins.module_utils.text.values import Values
from ansible_collections.baremetal.vllm.plugins.plugin_utils.fit.config import head_size, kv_heads, types, whole_number
from ansible_collections.baremetal.vllm.plugins.plugin_utils.fit.layers import kinds_of, window_of, with_state
from ansible_collections.baremetal.vllm.plugins.plugin_utils.fit.states import RecurrentState, read_states

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
    """The caches of a model, the state of its layers that keep one, whether it is an encoder without any cache, and what of it
    is not known (as phrases).

    `sure`: the caches are at least what vLLM makes of the config, so that a plan may be refused for them.
    """

    caches: tuple[Cache, ...] = ()
    encoder: bool = False
    sure: bool = False
    unknown: tuple[str, ...] = ()
    state: RecurrentState | None = None


def read_layout(config: Values, part: Values) -> Layout:
    """The layout, from the whole config and the language model's part of it."""
    model_type = part.get("model_type")
    # EmbeddingGemma; in other families the same word means pictures alone.
    both_ways = model_type == "gemma3_text" and part.get("use_bidirectional_attention") is True
    if model_type in types("encoders") or both_ways or part.get("is_causal") is False:
        return Layout(encoder=True)
    if model_type == "whisper":
        return _whisper(part)
    own = [
        key for key in _OWN_LAYOUT if part.get(key) and not (model_type == "gemma4_text" and key == "per_layer_config")
    ]
    if own:
        return Layout(unknown=(f"the KV cache of this model has a layout of its own ({own[0]} in config.json)",))
    if config.get("is_encoder_decoder") is True or part.get("is_encoder_decoder") is True:
        return Layout(unknown=("the KV cache of this encoder-decoder model",))
    layers = whole_number(part, "num_hidden_layers")
    if layers is None or layers > _MOST_LAYERS:
        return Layout(unknown=("config.json does not say how many layers the model has",))
    return _decoder(part, layers)


def _decoder(part: Values, layers: int) -> Layout:
    kinds, unknown = kinds_of(part, layers)
    if not kinds:
        return Layout(unknown=tuple(unknown))
    number = with_state(part, layers)
    state = read_states(part, number)
    if number and state is None:
        said = (
            f"the state of {number} layers without a KV cache (a fixed size per request), and the larger blocks for it"
        )
        unknown = [*unknown, said]
    shared = whole_number(part, "num_kv_shared_layers")
    # The last layers of Gemma 3n and 4 read the caches of earlier ones.
    counted = Counter(kinds[: max(0, layers - shared)] if shared else kinds)
    if part.get("kv_lora_rank"):
        return _latent(part, counted, unknown)
    caches, window = [], window_of(part)
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
    return replace(_layout(part, caches, unknown), state=state)


def _layout(part: Values, caches: Sequence[Cache], unknown: Sequence[str]) -> Layout:
    sure = part.get("model_type") in types("compared")
    said = (
        ()
        if sure or not caches
        else (f"whether model type {part.get('model_type')!r} keeps what plain attention does",)
    )
    return Layout(tuple(caches), sure=sure, unknown=(*unknown, *said))


def _latent(part: Values, counted: Mapping[str, int], unknown: Sequence[str]) -> Layout:
    rank, rope = whole_number(part, "kv_lora_rank"), whole_number(part, "qk_rope_head_dim")
    if part.get("model_type") not in types("latent") or rank is None or rope is None:
        said = f"the KV cache of model type {part.get('model_type')!r} with kv_lora_rank"
        return Layout(unknown=(*unknown, said))
    if whole_number(part, "index_topk"):
        unknown = [*unknown, "the cache of the sparse-attention indexer, some bytes per token beside the KV cache"]
    return _layout(part, [Cache(counted.get("full", 0), 0, rank + rope)], unknown)


def _whisper(part: Values) -> Layout:
    layers, width = whole_number(part, "decoder_layers"), whole_number(part, "d_model")
    heads, source = whole_number(part, "decoder_attention_heads"), whole_number(part, "max_source_positions")
    if not (layers and width and heads and source):
        return Layout(unknown=("config.json lacks a size of the decoder",))
    elements = 2 * (width // heads)
    return _layout(part, [Cache(layers, heads, elements), Cache(layers, heads, elements, "cross", source)], ())


def _geometry(part: Values, kind: str) -> tuple[int | None, int | None]:
    """Heads, and elements of key and value together, for layers of this kind."""
    heads, size = kv_heads(part), head_size(part)
    value = size
    if part.get("model_type") == "gemma4_text" and kind == "full":
        size = value = whole_number(part, "global_head_dim") or _of_some_layers(part, "head_dim") or size
        if part.get("attention_k_eq_v") is True:
            heads = whole_number(part, "num_global_key_value_heads") or heads
    if str(part["model_type"]).startswith("mimo_v2"):
        prefix = "swa_" if kind == "sliding" else ""
        heads = whole_number(part, f"{prefix}num_key_value_heads") or heads
        size = whole_number(part, f"{prefix}head_dim") or size
        value = whole_number(part, f"{prefix}v_head_dim") or whole_number(part, "v_head_dim") or size
    return heads, size + value if size and value else None


def _of_some_layers(part: Values, name: str) -> int | None:
    """What newer transformers write for the layers that differ from the rest, where these agree."""
    layers = part.get("per_layer_config")
    each = layers.values() if isinstance(layers, Mapping) else ()
    found = [whole_number(layer, name) for layer in each if isinstance(layer, Mapping)]
    return found[0] if found and len(set(found)) == 1 else None
