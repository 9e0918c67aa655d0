"""Bytes of KV cache on one GPU: per token, and for one request."""

from __future__ import annotations

from ansible_collections.baremetal.vllm.plugins.plugin_utils.fit.attention import Cache
from ansible_collections.baremetal.vllm.plugins.plugin_utils.fit.facts import ModelFacts
from ansible_collections.baremetal.vllm.plugins.plugin_utils.fit.setting import Setting
from ansible_collections.baremetal.vllm.plugins.plugin_utils.fit.states import RecurrentState

# Tokens by which the blocks of an attention kernel grow (get_supported_kernel_block_sizes: FlashAttention, FlashInfer).
_STEP = 16


def stages(layers: int, pipeline: int) -> list[int]:
    """Layers of each pipeline stage (get_pp_indices, vllm/distributed/utils.py): the last but one get what is over."""
    counts = [layers // pipeline] * pipeline
    for i in range(2, layers % pipeline + 2):
        counts[-i] += 1
    return counts


def token_bytes(facts: ModelFacts, setting: Setting) -> int:
    """What one more token of a long request takes: of the layers that keep every token."""
    kinds = ("full",) if setting.hybrid or _alike(facts) else ("full", "sliding", "chunked")
    bits = sum(
        max(stages(cache.layers, setting.pipeline)) * _page(cache, setting)
        for cache in facts.caches
        if cache.kind in kinds
    )
    return bits // 8 // setting.context


def cache_needed(facts: ModelFacts, setting: Setting, length: int) -> int:
    """KV cache for one request of `length` tokens, in whole blocks, grouped as vLLM groups layers of several kinds.

    `unify_kv_cache_spec_page_size` and `_get_kv_cache_groups_uniform_page_size`: groups of equally many layers share one
    pool of equally large blocks, so that a kind whose layers do not fill its last group is padded.
    """
    if facts.state is not None:
        return _with_state(facts, facts.state, setting, length)
    keep_all = not setting.hybrid and not _alike(facts)
    caches = [(max(stages(cache.layers, setting.pipeline)), _page(cache, setting), cache) for cache in facts.caches]
    counts = [layers for layers, *__ in caches]
    widest = max(cache[1] for cache in caches)
    group = max(counts) if max(counts) < min(counts) * 1.5 else min(counts)
    bits = 0
    for layers, page, cache in caches:
        if keep_all or len(caches) == 1:
            bits += layers * page * setting.block * _blocks(cache, setting, length, setting.block, keep_all)
            continue
        # Narrow layers take more tokens into a block, so that all blocks are equally large.
        block = setting.block * (widest // page if widest % page == 0 else 1)
        padded = group * -(-layers // group)
        bits += padded * widest * setting.block * _blocks(cache, setting, length, block, keep_all)
    return bits // 8


def _with_state(facts: ModelFacts, state: RecurrentState, setting: Setting, length: int) -> int:
    """The same where layers keep a state: blocks grow until one holds a state, and each request has one or two for each
    group of such layers (`_align_hybrid_block_size`, vllm/platforms/interface.py, models/config.py before)."""
    page = max(_page(cache, setting) for cache in facts.caches)
    bits = state.window * setting.state_element + state.recurrent * (
        setting.state_bits or state.bits or setting.state_element
    )
    block = max(setting.block, -(-bits // setting.tensor // (page * _STEP)) * _STEP)
    kinds = [
        (max(stages(cache.layers, setting.pipeline)), _blocks(cache, setting, length, block, False))
        for cache in facts.caches
    ]
    kinds.append((max(stages(state.layers, setting.pipeline)), setting.states))
    counts = [layers for layers, __ in kinds]
    group = max(counts) if max(counts) < min(counts) * 1.5 else min(counts)
    return sum(-(-layers // group) * blocks for layers, blocks in kinds) * group * block * page // 8


def cache_least(facts: ModelFacts, setting: Setting, length: int) -> int:
    """KV cache without which no release holds one request of `length` tokens: no blocks, nothing in flight."""
    keep_all = not setting.hybrid and not _alike(facts)
    bits = 0
    for cache in facts.caches:
        kept = cache.window if cache.kind == "cross" else length if keep_all else min(length, cache.window or length)
        bits += cache.layers * _page(cache, setting) * (-(-kept // setting.context))
    return bits // 8 // setting.pipeline


def _alike(facts: ModelFacts) -> bool:
    """Whether all layers slide; without others beside them, they slide whatever the release."""
    return all(cache.kind != "full" for cache in facts.caches)


def _page(cache: Cache, setting: Setting) -> int:
    """Bits that one layer keeps of one token on one GPU; heads fewer than GPUs are kept by several of them."""
    heads = max(1, cache.heads // setting.tensor) if cache.heads else 1
    return heads * cache.elements * setting.cache_bits


def _blocks(cache: Cache, setting: Setting, length: int, block: int, keep_all: bool) -> int:
    if cache.kind == "cross":
        return -(-max(cache.window, setting.batched) // block)
    if cache.kind == "sliding" and not keep_all:
        return -(-min(cache.window - 1 + setting.in_flight, length) // block) + 1
    if cache.kind == "chunked" and setting.chunks_freed and not keep_all:
        return -(-min(cache.window + setting.in_flight, length) // block)
    return -(-length // (block * setting.context))
