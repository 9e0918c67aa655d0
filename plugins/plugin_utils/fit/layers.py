"""What each layer of a language model keeps, from the many ways in which a `config.json` says it.

"full": keys and values of every token; "sliding" and "chunked": of the last ones; "state": one state per request; "none":
a feed-forward alone; "other": not understood.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ansible_collections.baremetal.vllm.plugins.module_utils.text.values import Values
from ansible_collections.baremetal.vllm.plugins.plugin_utils.fit.config import whole_number

_FULL = ("full_attention", "attention", "full", "hybrid")
_SLIDING = ("sliding_attention", "sliding_window", "local_attention", "sliding")
_STATE = ("linear_attention", "mamba", "mamba2", "conv", "recurrent", "short_conv", "gdn", "kda", "rwkv")
# Beginnings of keys that only models with such layers have.
_STATE_MARKS = ("mamba", "ssm_", "linear_", "conv_L", "rwkv", "hybrid", "time_mix", "layer_group_size", "state_size")
_PLAIN_FEED_FORWARD = ("mlp", "moe", "-", "E")


def window_of(part: Values) -> int | None:
    """How many tokens a layer that slides looks back; None where none does."""
    if part.get("use_sliding_window") is False:
        return None
    return whole_number(part, "sliding_window") or whole_number(part, "sliding_window_size")


def with_state(part: Values, layers: int) -> int:
    """How many layers keep a state, be it beside a KV cache."""
    written = (_written(part, layers) or [])[:layers]
    return sum(kind in _STATE or kind == "hybrid" for kind in written)


def kinds_of(part: Values, layers: int) -> tuple[list[str], list[str]]:
    """Each layer's kind (full, sliding, chunked, state, none), and what of it is not known; () where nothing is."""
    written = _written(part, layers)
    if written is not None:
        return _read_kinds(written[:layers])
    if whole_number(part, "attention_chunk_size") and str(part["model_type"]).startswith("llama4"):
        every = whole_number(part, "no_rope_layer_interval") or 4
        return ["full" if (i + 1) % every == 0 else "chunked" for i in range(layers)], []
    pattern, window = part.get("sliding_window_pattern"), window_of(part)
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


def _written(part: Values, layers: int) -> list[str] | None:
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


def _read_kinds(written: Sequence[str]) -> tuple[list[str], list[str]]:
    names = {
        **dict.fromkeys(_FULL, "full"),
        **dict.fromkeys(_SLIDING, "sliding"),
        **dict.fromkeys(_STATE, "state"),
        **dict.fromkeys(_PLAIN_FEED_FORWARD, "none"),
        "chunked_attention": "chunked",
    }
    kinds = [names.get(kind, "other") for kind in written]
    unknown = []
    if "other" in kinds:
        strange = sorted({kind for kind, read in zip(written, kinds) if read == "other"})
        unknown.append(f"what layers of kind {', '.join(strange)} keep")
    return kinds, unknown


def _unread_hybrid(part: Values) -> str:
    """A sentence where the config speaks of state-space or linear layers without a list of them that is understood."""
    found = sorted(key for key, value in part.items() if value and str(key).startswith(_STATE_MARKS))
    return f"which layers keep a state instead of a KV cache ({found[0]} in config.json)" if found else ""
