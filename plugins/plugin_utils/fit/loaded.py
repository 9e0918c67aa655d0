"""Weights that take more of a GPU than of a file: formats that kernels want padded, and what every GPU holds whole."""

from __future__ import annotations

from ansible_collections.baremetal.vllm.plugins.plugin_utils.fit.facts import ModelFacts
from ansible_collections.baremetal.vllm.plugins.plugin_utils.fit.setting import Setting

# The major compute capabilities of Hopper and Blackwell.
_HOPPER, _BLACKWELL = 9, 10
# To what the kernels for MXFP4 round the hidden size up, and each GPU's part of an expert's width (Marlin's; on Blackwell both
# to the same: vllm/model_executor/layers/quantization/mxfp4.py in 0.11.0, …/fused_moe/oracle/mxfp4.py in 0.33.0).
_HIDDEN, _WIDTH = 256, 128
_PADDED = ("mxfp4", "gpt_oss_mxfp4")
# On Hopper Triton's kernels took over from Marlin's: gpt-oss-120b then takes 64.38 GiB.
_TRITON, _TRITON_SINCE = 64, (0, 11, 1)


def triton_kernels(facts: ModelFacts, setting: Setting) -> bool:
    """Whether MXFP4 runs on the kernels that gpt-oss came with, which keep no workspace from step to step."""
    packed = facts.quantisation is not None and facts.quantisation.method in _PADDED
    new = setting.version is None or setting.version >= _TRITON_SINCE
    return packed and new and setting.generation == _HOPPER


def grown(facts: ModelFacts, setting: Setting) -> float:
    """By how much the routed experts grow when they are loaded: 1.0 where they stay as they are.

    gpt-oss-120b takes 65.97 GiB of an H100 and 60.77 of its files.
    """
    hidden, width = facts.hidden_size, facts.widths.expert
    if facts.quantisation is None or facts.quantisation.method not in _PADDED or not hidden or not width:
        return 1.0
    part = width if setting.expert_parallel else -(-width // setting.tensor)
    step = _HIDDEN if setting.generation == _BLACKWELL else _TRITON if triton_kernels(facts, setting) else _WIDTH
    return (_up(hidden, _HIDDEN) / hidden) * (_up(part, step) / part)


def whole(facts: ModelFacts, setting: Setting, layers: float) -> float:
    """Bytes of all layers' matrices that tensor parallelism does not divide: routers, and the way into a latent.

    `layers`: bytes of all that is not a routed expert, no more than which is whole.
    """
    widths, hidden = facts.widths, facts.hidden_size
    elements = hidden * facts.experts * setting.itemsize
    if widths.key:
        latent = sum(cache.elements for cache in facts.caches[:1])
        elements += hidden * latent * (1 if facts.quantisation else setting.itemsize)
    return min(layers, elements * facts.layers) if setting.tensor > 1 else 0


def absorbed(facts: ModelFacts, setting: Setting) -> int:
    """Bytes of the two copies of the way out of a latent that attention multiplies with, in the engine's dtype, beside the
    stored one (`process_weights_after_loading`, vllm/model_executor/layers/attention/mla_attention.py)."""
    widths = facts.widths
    if not widths.key or not facts.caches:
        return 0
    heads, rank = -(-facts.heads // setting.tensor), facts.caches[0].elements - widths.rope
    return facts.layers * heads * rank * (widths.key - widths.rope + widths.value) * setting.itemsize


def _up(number: int, step: int) -> int:
    return -(-number // step) * step
