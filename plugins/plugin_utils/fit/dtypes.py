"""Which data types a model may have: what its type, its quantisation and its GPUs leave, and what to write instead of others."""

from __future__ import annotations

from ansible_collections.baremetal.vllm.plugins.module_utils.text.names import numbers
from ansible_collections.baremetal.vllm.plugins.module_utils.text.values import Values
from ansible_collections.baremetal.vllm.plugins.plugin_utils.fit import limits
from ansible_collections.baremetal.vllm.plugins.plugin_utils.fit.facts import ModelFacts
from ansible_collections.baremetal.vllm.plugins.plugin_utils.options.model import Release

# _FLOAT16_NOT_SUPPORTED_MODELS, vllm/config/model.py (vllm/config.py in 0.9.1): model type, first and last release.
_NO_HALF = {
    "gemma2": ("0.9.1", "9999"),
    "gemma3": ("0.9.1", "9999"),
    "gemma3_text": ("0.10.2", "9999"),
    "glm4": ("0.9.1", "9999"),
    "plamo2": ("0.9.1", "0.26.0"),
}
# check_if_supports_dtype, vllm/platforms/cuda.py (all releases).
BFLOAT16 = (8, 0)
_NAMES = {"half": "float16", "float": "float32"}
# Checkpoints that a faster method of more data types reads, where the operator names none
# (override_quantization_method of awq_marlin and gptq_marlin).
_OVERRIDDEN = ("awq", "gptq")


def refuses_half(facts: ModelFacts, release: Release) -> bool:
    """Whether vLLM refuses float16 for this type of model."""
    first, last = _NO_HALF.get(str(facts.config.get("model_type")), ("9999", ""))
    return numbers(first) <= numbers(release.version) <= numbers(last)


def named(args: Values) -> str:
    """The data type that is written, by its own name: "float16" for half, "auto" where none is."""
    written = str(args.get("dtype") or "auto").lower()
    return _NAMES.get(written, written)


def of_method(args: Values, facts: ModelFacts, release: Release) -> tuple[str, tuple[str, ...]] | None:
    """The quantisation in force, and the data types of activations that it takes; None where nothing is known of it.

    Source: VllmConfig._get_quantization_config (vllm/config/vllm.py; vllm/config.py up to 0.10.0).
    """
    written = args.get("quantization")
    method = written if isinstance(written, str) and written not in ("", "None") else ""
    if method == "marlin" and facts.quantisation and facts.quantisation.method in _OVERRIDDEN:
        return None
    if not method:
        method = facts.quantisation.method if facts.quantisation else ""
        if method in _OVERRIDDEN:
            return None
    types = limits.activation_types(method, release.version) if method else None
    return (method, types) if types is not None else None


def allowed(args: Values, facts: ModelFacts | None, release: Release, capability: tuple[int, int] | None) -> list[str]:
    """The data types that nothing refuses, best first; `capability` None: GPUs of which nothing is known."""
    held = of_method(args, facts, release) if facts is not None else None
    types = held[1] if held else ("bfloat16", "float16", "float32")
    if capability is not None and capability < BFLOAT16:
        types = tuple(name for name in types if name != "bfloat16")
    if facts is not None and refuses_half(facts, release):
        types = tuple(name for name in types if name != "float16")
    return [name for name in ("bfloat16", "float16", "float32") if name in types]


def remedy(choices: list[str]) -> str:
    """What to write of the types that are left."""
    if not choices:
        return "Choose a checkpoint of another kind, or place the model on GPUs with bfloat16 (compute capability 8.0)"
    return f"Write dtype: {'half' if choices[0] == 'float16' else choices[0]}"
