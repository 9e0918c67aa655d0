"""What a model takes of each of its GPUs: weights, KV cache, and the longest request that still fits.

vLLM's own check at start is the measure: beside the weights, the KV cache must hold one request of `max-model-len` tokens
(`check_enough_kv_cache_memory`: vllm/v1/core/kv_cache_utils.py up to 0.32.0, kv_cache_planning.py in 0.33.0). Of everything there
are two figures: the likely one, and one beyond any doubt (`…_least`, `…_most`) that alone may refuse a plan.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any

from ansible_collections.baremetal.vllm.plugins.module_utils.text.values import Values
from ansible_collections.baremetal.vllm.plugins.plugin_utils.fit.facts import ModelFacts
from ansible_collections.baremetal.vllm.plugins.plugin_utils.fit.gpus import KnownGpu
from ansible_collections.baremetal.vllm.plugins.plugin_utils.fit.kvcache import (
    cache_least,
    cache_needed,
    stages,
    token_bytes,
)
from ansible_collections.baremetal.vllm.plugins.plugin_utils.fit.loaded import absorbed, grown, whole
from ansible_collections.baremetal.vllm.plugins.plugin_utils.fit.overhead import Overhead, overhead
from ansible_collections.baremetal.vllm.plugins.plugin_utils.fit.setting import AUTO, Setting, read_setting
from ansible_collections.baremetal.vllm.plugins.plugin_utils.options.model import Release

# Norms, biases and rounding that sizes worked out from config.json may miss.
_INEXACT = 0.98
# Stages of a pipeline are not equally heavy; the lightest is hardly below this part of their average.
_LIGHTEST_STAGE = 0.9
# Requests of a step that vLLM itself takes for smaller GPUs (max-num-seqs).
FEW = 256
# Beyond it, tensor parallelism spans several hosts, and is nothing to advise in a line.
_MOST_TENSOR = 64
# Where the model has no greatest length of its own.
_ENDLESS = 2**24

# What stands in `unknown` where nothing was declared of the GPUs.
UNDECLARED = "the memory of the GPU: declare gpu_name or gpu_memory_gib of the host"


@dataclass(frozen=True)
class Fit:
    """All sizes in bytes on the fullest GPU of the model, whose `memory` is as CUDA counts it; None is "not known".

    `weights` and `weights_least`; `per_token`: KV cache per token for the layers that keep every token; `length`: the
    max-model-len in force (-1: vLLM takes what fits), `limit`: what the model is made for; `needed` and `needed_least`: KV
    cache for one request of that length; `budget` and `budget_most`: what the engine may take in all; `left` after weights and
    `overhead`, `left_most` after the weights alone; `longest` and `longest_most`: tokens of one request that fit
    in them; `tokens`: how many tokens of all requests together `left` holds. `unknown`: what is not counted, as phrases.
    """

    memory: int | None
    budget: int | None
    budget_most: int | None
    weights: int | None
    weights_least: int
    per_token: int | None
    length: int | None
    limit: int | None
    needed: int | None
    needed_least: int
    left: int | None
    left_most: int | None
    longest: int | None
    longest_most: int | None
    tokens: int | None
    setting: Setting
    overhead: Overhead = field(default_factory=Overhead)
    unknown: tuple[str, ...] = ()

    @property
    def available(self) -> int | None:
        """What vLLM will log as "Available KV cache memory": below 0 where there is not enough for the weights."""
        if self.budget is None or self.weights is None:
            return None
        return self.budget - self.weights - self.overhead.total


def fit(
    facts: ModelFacts,
    args: Values,
    gpu: KnownGpu | int | None,
    release: Release | None,
    env: Mapping[str, str] | None = None,
    pooling: bool = False,
) -> Fit:
    """The model with these `args` (canonical option names) and `env` on such GPUs; bytes stand for one that has no name here
    and states so many, None for one that is not known.

    `pooling`: it is asked for vectors or scores, and its head for words is not loaded.
    """
    known = KnownGpu("", gpu, False, None) if isinstance(gpu, int) else gpu
    return _fit(facts, read_setting(facts, args, known, release, env or {}, pooling))


@lru_cache(maxsize=8192)
def _fit(facts: ModelFacts, setting: Setting) -> Fit:
    weights, least = weights_per_gpu(facts, setting)
    unknown = (*facts.unknown, *setting.unknown)
    budget = int(setting.memory * setting.share) if setting.memory else None
    most = int(setting.memory_most * setting.share) if setting.memory else None
    countable = bool(setting.cache_bits) and bool(facts.caches)
    per_token = token_bytes(facts, setting) if countable else 0 if facts.encoder else None
    own = overhead(facts, setting)
    left, left_most = _left(setting, budget, most, weights, least, own.total)
    needed: int | None = None
    needed_least = 0
    if countable and setting.length not in (None, AUTO):
        needed = cache_needed(facts, setting, setting.length or 0)
        needed_least = cache_least(facts, setting, setting.length or 0) if facts.sure else 0
    longest = longest_most = tokens = None
    if countable and left is not None:
        longest = _longest(facts, setting, left, cache_needed)
        tokens = left // per_token if per_token else None
    if countable and left_most is not None:
        longest_most = _longest(facts, setting, left_most, cache_least)
    if not setting.memory:
        unknown = (*unknown, UNDECLARED)
    return Fit(
        memory=setting.memory or None,
        budget=budget,
        budget_most=most,
        weights=weights,
        weights_least=least,
        per_token=per_token,
        length=setting.length,
        limit=setting.limit,
        needed=needed if countable else 0 if facts.encoder else None,
        needed_least=needed_least,
        left=left,
        left_most=left_most,
        longest=longest,
        longest_most=longest_most,
        tokens=tokens,
        setting=setting,
        overhead=own,
        unknown=unknown,
    )


def weights_per_gpu(facts: ModelFacts, setting: Setting) -> tuple[int | None, int]:
    """Bytes of weights on the fullest GPU, and what they are at least.

    Tensor parallelism divides every matrix, embedding and head too (VocabParallelEmbedding); experts are divided over data
    parallel ranks as well (flatten_tp_across_dp, vllm/model_executor/layers/fused_moe/config.py). Norms are whole on every
    GPU: under 0.1 % more, not counted.
    """
    stored = facts.weights
    if stored is None:
        return None, 0
    inner = setting.itemsize
    layers, experts = stored.layers.size(inner), stored.experts.size(inner)
    layers_least, experts_least = layers, experts
    if setting.online_bits is not None:
        bits = setting.online_bits
        # Norms stay as they are; what an unknown method makes of a matrix is nobody's guess, and 2 bits the least.
        smaller = [part.floats * (bits or 2) // 8 + part.packed for part in (stored.layers, stored.experts)]
        layers_least, experts_least = smaller
        layers, experts = smaller if bits else (layers, experts)
    experts = int(experts * grown(facts, setting))
    embedding, other = stored.embedding.size(inner), 0 if setting.text_only else stored.other.size(inner)
    head = 0 if facts.tied or setting.pooling else stored.head.size(inner)
    tensor, pipeline = setting.tensor, setting.pipeline
    spread = tensor * setting.data if facts.experts else tensor

    counts = stages(facts.layers, pipeline)
    alone, more = whole(facts, setting, layers), absorbed(facts, setting)
    per_layer = (alone + more + max(0, layers - alone) / tensor + experts / spread) / max(1, facts.layers)
    ends = [0.0] * pipeline
    ends[0] += (embedding + other) / tensor
    ends[-1] += (embedding if facts.tied and pipeline > 1 else head) / tensor
    fullest = max(count * per_layer + end for count, end in zip(counts, ends))
    if not facts.layers:
        fullest = (layers / tensor + experts / spread) / pipeline + max(ends)

    least = (layers_least + embedding + head + (other if pipeline == 1 else 0)) / tensor + experts_least / spread
    least = least / pipeline * (1 if stored.exact else _INEXACT)
    if setting.offload < 0:
        return None, 0
    likely = None if setting.online_bits == 0 else max(0, int(fullest) - setting.offload)
    return likely, max(0, int(least) - setting.offload)


def _left(
    setting: Setting, budget: int | None, most: int | None, weights: int | None, least: int, own: int
) -> tuple[int | None, int | None]:
    """What is left for the KV cache: likely, and at most."""
    if setting.kv_bytes:
        return setting.kv_bytes, setting.kv_bytes
    if budget is None or most is None:
        return None, None
    # Of a pipeline the stage with the most KV cache need not be the one with the most weights.
    lightest = int(least * _LIGHTEST_STAGE) if setting.pipeline > 1 else least
    return None if weights is None else max(0, budget - weights - own), max(0, most - lightest)


def _longest(facts: ModelFacts, setting: Setting, left: int, needs: Any) -> int:
    """The greatest length, up to the model's own limit, for which `needs` is at most `left`; 0 if not one token fits."""
    low, high = 0, setting.limit or _ENDLESS
    while low < high:
        middle = (low + high + 1) // 2
        if needs(facts, setting, middle) <= left:
            low = middle
        else:
            high = middle - 1
    return low


def fewer_requests(facts: ModelFacts, fit: Fit) -> bool:
    """Whether the weights find room once a step has no more than FEW requests, whose sampling takes its part."""
    if fit.weights is None or fit.budget is None or fit.setting.seqs <= FEW or fit.setting.kv_bytes:
        return False
    return fit.weights + overhead(facts, replace(fit.setting, seqs=FEW)).total < fit.budget


def least_tensor_parallel(facts: ModelFacts, setting: Setting) -> int | None:
    """The smallest tensor-parallel-size, doubling from the present one up to 64, with which one request fits; or None."""
    tensor = setting.tensor * 2
    while tensor <= _MOST_TENSOR and facts.heads and facts.heads % tensor == 0:
        tried = _fit(facts, replace(setting, tensor=tensor))
        asked = 1 if setting.length == AUTO else setting.length or 1
        enough = tried.longest is None or tried.longest >= asked
        room = (tried.memory if setting.kv_bytes else tried.budget) or 0
        if enough and tried.weights and tried.weights + setting.kv_bytes + tried.overhead.total <= room:
            return tensor
        tensor *= 2
    return None
