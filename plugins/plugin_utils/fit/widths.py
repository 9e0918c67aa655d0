"""Sizes of a model's layers that decide what one step takes beside weights and KV cache, from `config.json`."""

from __future__ import annotations

from dataclasses import dataclass

from ansible_collections.baremetal.vllm.plugins.module_utils.text.values import Values
from ansible_collections.baremetal.vllm.plugins.plugin_utils.fit.config import expert_count, types, whole_number


@dataclass(frozen=True)
class Widths:
    """Elements; 0 where the config does not say. `feed_forward`: of a dense layer, `expert`: of one routed expert, of which a
    token is given to `chosen`; `key` (`rope` of it for the position) and `value`: of one head of latent attention, else 0;
    `indexed`: a sparse-attention indexer chooses what is looked at."""

    vocabulary: int = 0
    feed_forward: int = 0
    expert: int = 0
    chosen: int = 0
    key: int = 0
    rope: int = 0
    value: int = 0
    indexed: bool = False


def read_widths(part: Values) -> Widths:
    """The widths of the language model's part of a config; a feed-forward that is not written is four times the hidden size."""
    hidden = whole_number(part, "hidden_size") or 0
    dense = whole_number(part, "intermediate_size")
    experts = expert_count(part)
    latent = bool(part.get("kv_lora_rank")) and part.get("model_type") in types("latent")
    rope, plain = whole_number(part, "qk_rope_head_dim") or 0, whole_number(part, "qk_nope_head_dim") or 0
    return Widths(
        vocabulary=whole_number(part, "vocab_size") or 0,
        feed_forward=dense or 4 * hidden,
        expert=(whole_number(part, "moe_intermediate_size") or dense or 0) if experts else 0,
        chosen=(whole_number(part, "num_experts_per_tok") or 1) if experts else 0,
        key=plain + rope if latent else 0,
        rope=rope if latent else 0,
        value=(whole_number(part, "v_head_dim") or plain) if latent else 0,
        indexed=bool(whole_number(part, "index_topk")),
    )
