"""Which quantisation a checkpoint has, by the name that vLLM gives it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ansible_collections.baremetal.vllm.plugins.module_utils.text.values import Values


@dataclass(frozen=True)
class Quantisation:
    """`method` as `--quantization` would name it; `schemes`: for compressed-tensors what is done to weights and
    activations ("w8a8-fp8", "w4a16-int", "w4a4-nvfp4", …); `cache`: the checkpoint asks for an 8-bit KV cache."""

    method: str
    schemes: tuple[str, ...] = ()
    cache: bool = False


def read_quantisation(config: Values, part: Values) -> Quantisation | None:
    """From `quantization_config` (or `compression_config`) of the whole config or of its language part.

    Names as vLLM normalises them (_normalize_quantization_config, vllm/transformers_utils/model_arch_config_convertor.py).
    """
    given: Any = None
    for source in (config, part):
        given = source.get("quantization_config") or source.get("compression_config")
        if isinstance(given, Mapping):
            break
    if not isinstance(given, Mapping):
        return None
    inner = given.get("quantization")
    inner = inner if isinstance(inner, Mapping) else {}
    producer = given.get("producer")
    method = str(given.get("quant_method") or "").lower().replace("compressed_tensors", "compressed-tensors")
    of_modelopt = isinstance(producer, Mapping) and producer.get("name") == "modelopt"
    if of_modelopt or method.startswith("modelopt"):
        method = _modelopt(str(inner.get("quant_algo") or given.get("quant_algo") or ""), method)
    if not method:
        return None
    algorithm = inner.get("kv_cache_quant_algo") or given.get("kv_cache_quant_algo")
    cache = bool(given.get("kv_cache_scheme")) or bool(algorithm)
    return Quantisation(method, _schemes(given) if method == "compressed-tensors" else (), cache)


def _modelopt(algorithm: str, method: str) -> str:
    upper = algorithm.upper()
    if "NVFP4" in upper:
        return "modelopt_fp4"
    if upper == "MIXED_PRECISION":
        return "modelopt_mixed"
    return "modelopt_mxfp8" if "MXFP8" in upper else method or "modelopt"


def _schemes(given: Values) -> tuple[str, ...]:
    groups = given.get("config_groups")
    found = set()
    for group in groups.values() if isinstance(groups, Mapping) else ():
        if not isinstance(group, Mapping):
            continue
        weights, activations = group.get("weights"), group.get("input_activations")
        if isinstance(weights, Mapping):
            bits = weights.get("num_bits")
            acts = activations.get("num_bits") if isinstance(activations, Mapping) else 16
            kind = {"float": "fp", "int": "int"}.get(str(weights.get("type")), str(weights.get("type")))
            found.add(f"w{bits}a{acts}-{kind}")
    return tuple(sorted(found))
