"""The options of a model that decide how much memory it takes, read from `args` into numbers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ansible_collections.baremetal.vllm.plugins.module_utils.text.names import numbers
from ansible_collections.baremetal.vllm.plugins.module_utils.text.values import Values
from ansible_collections.baremetal.vllm.plugins.plugin_utils.fit import batch
from ansible_collections.baremetal.vllm.plugins.plugin_utils.fit.facts import ModelFacts
from ansible_collections.baremetal.vllm.plugins.plugin_utils.fit.gpus import KnownGpu
from ansible_collections.baremetal.vllm.plugins.plugin_utils.fit.length import greatest, usual
from ansible_collections.baremetal.vllm.plugins.plugin_utils.fit.overrides import canonical, overrides_of
from ansible_collections.baremetal.vllm.plugins.plugin_utils.fit.vision import limits_of
from ansible_collections.baremetal.vllm.plugins.plugin_utils.inventory.plain import whole
from ansible_collections.baremetal.vllm.plugins.plugin_utils.options.model import Release
from ansible_collections.baremetal.vllm.plugins.plugin_utils.options.sizes import size

AUTO = -1
SHARE = "gpu-memory-utilization"
# Less than this share holds no model, whatever the GPU: on 80 GB it is what CUDA's own context and libraries take.
LEAST_SHARE = 0.02
# vLLM's own share of a GPU up to 0.19.1; the catalogue knows it for each release.
_SHARE = 0.9
# Bits per element of a KV cache; what is not here (turboquant_…, nvfp4, …) packs scales beside the values.
_CACHE_BITS = {
    **dict.fromkeys(("bfloat16", "float16", "half"), 16),
    **dict.fromkeys(("fp8", "fp8_e4m3", "fp8_e5m2", "fp8_inc"), 8),
}
# Quantisation while loading: bits that each element of a linear layer keeps at least.
_ONLINE_BITS = {
    **dict.fromkeys(("fp8", "fp8_per_tensor", "fp8_per_block", "fp8_per_channel", "ptpc_fp8", "mxfp8"), 8),
    **dict.fromkeys(("int8_per_channel_weight_only", "experts_int8"), 8),
    "bitsandbytes": 4,
}
# Options that leave an unknown part of the weights elsewhere.
_OFFLOADING = (
    "mm-encoder-only",
    "offload-backend",
    "offload-group-size",
    "offload-num-in-group",
    "offload-params",
    "cpu-offload-params",
)
_GIB = 2**30
# vllm/envs.py: the default of VLLM_MEMORY_PROFILER_ESTIMATE_CUDAGRAPHS.
_GRAPHS_COUNT_SINCE = (0, 21)
# Up to 0.16 top-k and top-p sort, unless FlashInfer, which its wheels did not bring, is there and asked for.
_NOT_SORTED_SINCE, _FLASHINFER = (0, 17), "VLLM_USE_FLASHINFER_SAMPLER"
_STATE_BITS = {"float32": 32, **dict.fromkeys(("float16", "bfloat16"), 16)}
# Models whose layers keep a state reuse what requests have in common unless told otherwise (is_prefix_caching_supported,
# vllm/config/model.py); where they do, a request has the state before its last block beside its own (MambaSpec).
_STATES_REUSED_SINCE, _STATES_TWO_SINCE = (0, 26), (0, 16)
# No model has more layers to give to stages.
_MOST_STAGES = 1024


@dataclass(frozen=True)
class Setting:
    """Sizes in bytes. `length`: what is asked, AUTO, or None where nobody knows; `limit`: what the model is made for.
    `cache_bits` and `online_bits`: 0 unknown; `online_bits` None: not quantised while loading. `hybrid`: layers that
    slide free what they no longer see. `kv_bytes`: a KV cache of a given size, or 0. `memory`: as CUDA counts it.
    `memory_most`: what its driver states, more than which it cannot be.
    `batched` tokens and `seqs` requests of one step; `graphs`: how many are captured, `graphs_count`: their estimate comes
    off the budget; `items`: pictures and the like that a request may bring; `generation`: the GPU's major compute
    capability, 0 unknown; `sorting`: the sampler sorts the logits; `states`: what a request keeps of each layer
    with a state; `version` None: a release that the catalogue does not know."""

    memory: int
    share: float
    length: int | None
    limit: int | None
    tensor: int = 1
    pipeline: int = 1
    data: int = 1
    context: int = 1
    itemsize: int = 2
    cache_bits: int = 16
    online_bits: int | None = None
    offload: int = 0
    kv_bytes: int = 0
    block: int = 16
    batched: int = 2048
    in_flight: int = 2048
    hybrid: bool = True
    chunks_freed: bool = True
    text_only: bool = False
    pooling: bool = False
    unknown: tuple[str, ...] = ()
    seqs: int = 256
    graphs: int = 0
    graphs_count: bool = True
    expert_parallel: bool = False
    items: tuple[tuple[str, int], ...] = ()
    generation: int = 0
    sorting: bool = False
    state_bits: int = 0
    states: int = 1
    memory_most: int = 0
    version: tuple[int, ...] | None = None

    @property
    def state_element(self) -> int:
        """Bits of an element of a state: those of the engine's dtype, whatever an 8-bit KV cache has."""
        return self.itemsize * 8


def read_setting(
    facts: ModelFacts,
    args: Values,
    gpu: KnownGpu | None,
    release: Release | None,
    env: Mapping[str, str],
    pooling: bool,
) -> Setting:
    """`args` by canonical option names; a value that is no number counts as not written, other checks refuse it."""
    version = numbers(release.version) if release else None
    said: list[str] = []
    another = canonical(overrides_of(args)) != facts.overrides
    if another:
        said.append("what hf-overrides changes: the model's files were read without it")
    if any(option.partition(".")[0] == "speculative-config" for option in args):
        said.append("the weights and the KV cache of the draft model (speculative-config)")
    if args.get("enable-lora") is True or args.get("lora-modules"):
        said.append("the room for LoRA adapters")
    offload, hidden = _offload(args)
    if hidden:
        said.append(f"how much of the weights lies on the GPU ({hidden})")
    length, limit = _length(facts, args, version)
    bits = _cache_bits(facts, args, env)
    if not bits:
        said.append(f"the size of an element with kv-cache-dtype {args.get('kv-cache-dtype')}")
    batched, seqs = batch.batched(args, gpu, version), batch.seqs(args, gpu, version)
    online = _online(facts, args)
    if online == 0:
        said.append(f"the size of an element with quantization {args.get('quantization')}")
    return Setting(
        memory=gpu.cuda if gpu else 0,
        memory_most=(gpu.cuda if gpu.shared else gpu.memory) if gpu else 0,
        share=_share(args, release),
        length=length,
        limit=limit,
        tensor=_count(args, "tensor-parallel-size"),
        pipeline=min(_count(args, "pipeline-parallel-size"), _MOST_STAGES),
        data=_count(args, "data-parallel-size"),
        context=_count(args, "decode-context-parallel-size"),
        itemsize=4 if _dtype(args) == "float32" else 2,
        cache_bits=0 if another else bits,
        online_bits=online,
        offload=-1 if hidden or another else offload,
        kv_bytes=size(args.get("kv-cache-memory-bytes")) or 0,
        block=_count(args, "block-size", 16),
        batched=batched,
        in_flight=batched * _steps(args, version),
        hybrid=_hybrid(args, release),
        # The default of VLLM_ALLOW_CHUNKED_LOCAL_ATTN_WITH_HYBRID_KV_CACHE (vllm/envs.py).
        chunks_freed=version is None or version >= (0, 14),
        text_only=_text_only(args),
        pooling=pooling,
        unknown=tuple(said),
        seqs=seqs,
        graphs=batch.graphs(args, seqs, gpu, version),
        graphs_count=_graphs_count(env, version),
        expert_parallel=args.get("enable-expert-parallel") is True,
        items=tuple(sorted(limits_of(args.get("limit-mm-per-prompt")).items())),
        generation=gpu.capability[0] if gpu and gpu.capability else 0,
        sorting=version is not None
        and version < _NOT_SORTED_SINCE
        and env.get(_FLASHINFER) not in ("1", "True", "true"),
        states=2 if _reused(args, version) else 1,
        state_bits=_STATE_BITS.get(str(args.get("mamba-ssm-cache-dtype")), 0),
        version=version,
    )


def _reused(args: Values, version: tuple[int, ...] | None) -> bool:
    written = args.get("enable-prefix-caching")
    if written is None:
        return version is None or version >= _STATES_REUSED_SINCE
    return written is True and (version is None or version >= _STATES_TWO_SINCE)


def _graphs_count(env: Mapping[str, str], version: tuple[int, ...] | None) -> bool:
    written = env.get("VLLM_MEMORY_PROFILER_ESTIMATE_CUDAGRAPHS")
    return (version is None or version >= _GRAPHS_COUNT_SINCE) if written is None else written not in ("0", "")


def _count(args: Values, option: str, default: int = 1) -> int:
    return max(1, min(whole(args.get(option)) or default, 2**20))


def _dtype(args: Values) -> str:
    # `auto` takes 16 bits for a model in 32 (_resolve_auto_dtype, vllm/config/model.py).
    written = str(args.get("dtype") or "auto").lower()
    return "float32" if written in ("float", "float32") else written


def whole_share(release: Release | None) -> float:
    """What an engine takes of a GPU when nothing is said: that release's default for gpu-memory-utilization."""
    known = release.options.get(SHARE) if release else None
    return known.default if known and isinstance(known.default, float) else _SHARE


def _share(args: Values, release: Release | None) -> float:
    default = whole_share(release)
    given: Any = args.get(SHARE, default)
    try:
        share = float(given)
    except (TypeError, ValueError, OverflowError):
        return default
    return share if 0 < share <= 1 else default


def _length(facts: ModelFacts, args: Values, version: tuple[int, ...] | None) -> tuple[int | None, int | None]:
    limit = greatest(facts, version)
    if args.get("disable-sliding-window") is True and facts.window and limit:
        limit = min(limit, facts.window)
    written = args.get("max-model-len")
    if str(written).lower() in ("auto", "-1"):
        return AUTO, limit
    asked = None if written is None else size(written)
    if asked is not None:
        return asked, limit
    length = usual(facts, version)
    return (min(length, limit) if length and limit else length), limit


def _cache_bits(facts: ModelFacts, args: Values, env: Mapping[str, str]) -> int:
    latent = any(cache.heads == 0 for cache in facts.caches)
    if latent and env.get("VLLM_MLA_DISABLE", "0") not in ("0", "", "False", "false"):
        return 0
    written = str(args.get("kv-cache-dtype") or "auto").lower()
    if written != "auto":
        return _CACHE_BITS.get(written, 0)
    if facts.quantisation and facts.quantisation.cache:
        return 8
    return 32 if _dtype(args) == "float32" else 16


def _online(facts: ModelFacts, args: Values) -> int | None:
    method = args.get("quantization")
    if facts.quantisation is not None or not isinstance(method, str) or method in ("", "None"):
        return None
    return _ONLINE_BITS.get(method, 0)


def _text_only(args: Values) -> bool:
    """Whether the encoders of pictures and sounds stay out (`get_limit_per_prompt`, vllm/config/multimodal.py)."""
    limits = args.get("limit-mm-per-prompt")
    none = isinstance(limits, Mapping) and bool(limits) and all(limit == 0 for limit in limits.values())
    return none or args.get("language-model-only") is True


def _offload(args: Values) -> tuple[int, str]:
    """Bytes that leave each GPU, or the option whose effect is not worked out."""
    other = next((option for option in _OFFLOADING if args.get(option) not in (None, "", "auto", "uva", 0, False)), "")
    given: Any = args.get("cpu-offload-gb") or 0
    try:
        gib = float(given)
    except (TypeError, ValueError, OverflowError):
        gib = 0.0
    return (int(gib * _GIB) if 0 < gib < 2**20 else 0), other


def _steps(args: Values, version: tuple[int, ...] | None) -> int:
    """Steps under way at once, which layers that slide make room for: `max_in_flight_tokens` (vllm/config/vllm.py)."""
    if version is not None and version < (0, 26):
        return 1
    return _count(args, "pipeline-parallel-size") + (args.get("async-scheduling") is not False)


def _hybrid(args: Values, release: Release | None) -> bool:
    if args.get("disable-hybrid-kv-cache-manager") is True:
        return False
    return release is None or "disable-hybrid-kv-cache-manager" in release.options
