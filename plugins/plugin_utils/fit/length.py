"""The longest request that a model is made for, as vLLM derives it from `config.json`.

Source: `_get_and_verify_max_len` (vllm/config.py in 0.8.5, vllm/config/model.py in 0.33.0). Up to 0.29.0 YaRN multiplies the
original length; from 0.30.0 on `max_position_embeddings` is taken as the stretched length already.
"""

from __future__ import annotations

from ansible_collections.baremetal.vllm.plugins.plugin_utils.fit.facts import ModelFacts

_YARN_AS_WRITTEN = (0, 30)
# From here on a LongRoPE model starts with its original length unless max-model-len asks for more.
_LONGROPE_ORIGINAL = (0, 11, 1)
_NOT_STRETCHED = ("su", "longrope", "llama3")
_NOT_STRETCHED_NOW = (*_NOT_STRETCHED, "yarn", "deepseek_yarn", "deepseek_llama_scaling")


def greatest(facts: ModelFacts, release: tuple[int, ...] | None) -> int | None:
    """The greatest `max-model-len` that vLLM accepts without being forced; None where the files do not say.

    `release` None means one that the catalogue does not know: it is taken for a new one.
    """
    if not facts.positions:
        return None
    length: float = facts.positions
    if "gemma3" in facts.model_type:
        return facts.positions
    new = release is None or release >= _YARN_AS_WRITTEN
    factor = 1.0
    for rope in facts.ropes:
        if rope.type in (_NOT_STRETCHED_NOW if new else _NOT_STRETCHED):
            continue
        factor = rope.factor
        if rope.type == "yarn" and rope.original:
            length = rope.original
    return int(length * factor)


def usual(facts: ModelFacts, release: tuple[int, ...] | None) -> int | None:
    """The `max-model-len` that vLLM takes when none is given."""
    if release is None or release >= _LONGROPE_ORIGINAL:
        original = max((rope.original for rope in facts.ropes if rope.type == "longrope"), default=0)
        if original:
            return original
    return greatest(facts, release)
