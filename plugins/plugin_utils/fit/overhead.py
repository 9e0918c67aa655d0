"""What an engine takes of each GPU beside weights and KV cache, worked out as vLLM's own trial run finds it.

`determine_available_memory` (vllm/v1/worker/gpu_worker.py) runs one step of max-num-batched-tokens with max-num-seqs requests,
samples from it, and takes the peak off the budget; from 0.21.0 on an estimate of the captured graphs as well. Read in
0.9.1, 0.10.2, 0.11.0, 0.13.0, 0.18.0, 0.19.0, 0.21.0, 0.28.0 and 0.33.0; held against public logs in docs/memory.md.
"""

from __future__ import annotations

from dataclasses import dataclass

from ansible_collections.baremetal.vllm.plugins.plugin_utils.fit.facts import ModelFacts
from ansible_collections.baremetal.vllm.plugins.plugin_utils.fit.loaded import triton_kernels
from ansible_collections.baremetal.vllm.plugins.plugin_utils.fit.setting import AUTO, Setting
from ansible_collections.baremetal.vllm.plugins.plugin_utils.fit.vision import trial

_GIB = 2**30
# What logs showed where the config does not give the sizes to work it out.
UNKNOWN = 2 * _GIB
# CUDA's context of one process: 0.1 to 0.5 GiB in logs ("Free memory on device (78.84/79.25 GiB)"); with NCCL up to 2.5.
CONTEXT_LEAST, CONTEXT = _GIB // 8, _GIB // 2
# Bytes for each logit of the sampler's trial (vllm/v1/sample/ops/topk_topp_sampler.py): the logits in 16 and in 32 bits, and
# PyTorch's sort of them (values, 64-bit indices, the same again reversed, the sort's own buffers), or Triton's and FlashInfer's
# way without one (masked logits, probabilities).
_SORTED, _MASKED = 2 + 4 + (4 + 8) + 8 + (4 + 8), 2 + 4 + 4 + 4
# Counts of each output token of each request, and a bit for each of the prompt's (PenaltiesState of the second model runner,
# vllm/v1/worker/gpu/sample/penalties.py).
_COUNTS_SINCE = (0, 26)
# Buffers of the experts are kept from step to step (vllm/v1/worker/workspace.py).
_KEPT_EXPERTS_SINCE = (0, 13)
# Before, the first look at the free memory came before NCCL (`init_device`), whose buffers then came off the budget.
_NCCL_BEFORE_SINCE = (0, 11)
# Modules and handles that CUDA loads while it runs ("non-torch memory": 0.02 to 0.16 GiB of one GPU); buffers of several GPUs
# (0.55 of two H100, 0.95 of four GB200); before 0.11.0 NCCL's own beside them, which grow with the ranks on boards with
# NVSwitch (1.4 of two H200, 1.8 and more of four H100).
_LOADED, _PARALLEL, _PARALLEL_LARGE = _GIB // 8, _GIB // 4, 2 * _GIB // 5
_NCCL, _NCCL_RANK = 3 * _GIB // 4, 35 * _GIB // 100
_LARGE_BOARD = 70 * _GIB
# One captured graph takes about this much of each layer ("Estimated CUDA graph memory" over layers and graphs in logs of
# Qwen 2.5, Qwen 3.5, Llama 3.1 and MiniMax), and a layer with a latent two and a half times as much (GLM 5.2).
_GRAPH, _GRAPH_LATENT = 26 * 2**20 // 100, 65 * 2**20 // 100
# Tokens for whose keys and values latent attention makes room at once (MLACommonMetadataBuilder).
_LATENT_CHUNK = 65536
# Entries for each token of max-model-len, and bytes of one, in the indexer of sparse attention (get_max_prefill_buffer_size).
_INDEXED = 40 * 132


@dataclass(frozen=True)
class Overhead:
    """Bytes on the fullest GPU. `step`: the peak of the trial run beside what stays, `kept`: buffers that stay, `graphs`:
    captured ones, as far as they come off the budget, `loaded`: what CUDA and NCCL take after the first look. `known`:
    worked out from the model's sizes."""

    step: int = 0
    kept: int = 0
    graphs: int = 0
    loaded: int = 0
    known: bool = True

    @property
    def total(self) -> int:
        """All of it in bytes."""
        return self.step + self.kept + self.graphs + self.loaded


def overhead(facts: ModelFacts, setting: Setting) -> Overhead:
    """What vLLM takes for itself; the flat figure of logs where the sizes are not known."""
    if not (facts.hidden_size and facts.layers and facts.widths.vocabulary):
        return Overhead(loaded=UNKNOWN, known=False)
    experts = _experts(facts, setting)
    stay = experts if _since(setting, _KEPT_EXPERTS_SINCE) and not triton_kernels(facts, setting) else 0
    if facts.widths.indexed:
        stay += _INDEXED * _length(facts, setting)
    pictures, outputs = _pictures(facts, setting)
    step = max(
        pictures, outputs + _forward(facts, setting) + (0 if stay else experts), outputs + _sampler(facts, setting)
    )
    return Overhead(step, stay + _counts(facts, setting), _graphs(facts, setting), _loaded(setting))


def _since(setting: Setting, release: tuple[int, ...]) -> bool:
    return setting.version is None or setting.version >= release


def _length(facts: ModelFacts, setting: Setting) -> int:
    known = setting.length if setting.length not in (None, AUTO) else setting.limit
    return known or facts.positions


def _forward(facts: ModelFacts, setting: Setting) -> int:
    """The widest moment of one layer: what it is given, the residual beside it, and what is made of them."""
    widths, tensor = facts.widths, setting.tensor
    if widths.key:
        heads = -(-facts.heads // tensor)
        attention = heads * (3 * widths.key + 3 * widths.value)
        whole = _LATENT_CHUNK * heads * (widths.key + widths.value)
    else:
        attention, whole = (2 * facts.heads + 2 * facts.kv_heads) * facts.head_size // tensor, 0
    dense = 3 * widths.feed_forward // tensor if not facts.experts else 0
    wide = 2 * facts.hidden_size + max(attention, dense)
    return (setting.batched * wide + whole) * setting.itemsize


def _experts(facts: ModelFacts, setting: Setting) -> int:
    """The two workspaces of the routed experts (`workspace_shapes`, …/fused_moe/experts/triton_moe.py)."""
    widths = facts.widths
    if not facts.experts:
        return 0
    inner = widths.expert if setting.expert_parallel else -(-widths.expert // setting.tensor)
    width = max(inner, facts.hidden_size) + max(2 * inner, facts.hidden_size)
    return setting.batched * widths.chosen * width * setting.itemsize


def _sampler(facts: ModelFacts, setting: Setting) -> int:
    if setting.pooling or facts.encoder:
        return 0
    each = _SORTED if setting.sorting else _MASKED
    return min(setting.seqs, setting.batched) * facts.widths.vocabulary * each


def _counts(facts: ModelFacts, setting: Setting) -> int:
    if setting.pooling or facts.encoder or not _since(setting, _COUNTS_SINCE):
        return 0
    return setting.seqs * facts.widths.vocabulary * (32 + 1) // 8


def _pictures(facts: ModelFacts, setting: Setting) -> tuple[int, int]:
    """The peak of the encoder, and its outputs, which wait for the language model."""
    vision = facts.vision
    if vision is None or setting.text_only:
        return 0, 0
    run = trial(vision, dict(setting.items), _length(facts, setting), setting.batched, setting.seqs, setting.version)
    wide = 16 * vision.width // 5 + (2 * vision.width + 2 * vision.feed_forward) // setting.tensor
    outputs = run.tokens * facts.hidden_size * vision.copies * setting.itemsize
    return run.patches * wide * setting.itemsize + outputs, outputs


def _graphs(facts: ModelFacts, setting: Setting) -> int:
    if not setting.graphs or facts.encoder or setting.pooling or not setting.graphs_count:
        return 0
    return setting.graphs * facts.layers // setting.pipeline * (_GRAPH_LATENT if facts.widths.key else _GRAPH)


def _loaded(setting: Setting) -> int:
    if setting.tensor * setting.pipeline * setting.data == 1:
        return _LOADED
    if setting.memory < _LARGE_BOARD:
        return _LOADED + _PARALLEL
    if _since(setting, _NCCL_BEFORE_SINCE):
        return _LOADED + _PARALLEL_LARGE
    return _LOADED + _NCCL + _NCCL_RANK * setting.tensor
