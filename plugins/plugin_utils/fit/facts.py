"""What the files of a model say about it: `config.json`, and the weights' headers or index where they are at hand."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from ansible_collections.baremetal.vllm.plugins.module_utils.text.values import Values
from ansible_collections.baremetal.vllm.plugins.plugin_utils.fit import estimate, tensors
from ansible_collections.baremetal.vllm.plugins.plugin_utils.fit.attention import Cache, Layout, read_layout
from ansible_collections.baremetal.vllm.plugins.plugin_utils.fit.config import (
    dtype_name,
    expert_count,
    head_size,
    kv_heads,
    language_part,
    whole_number,
)
from ansible_collections.baremetal.vllm.plugins.plugin_utils.fit.overrides import canonical
from ansible_collections.baremetal.vllm.plugins.plugin_utils.fit.quantised import Quantisation, read_quantisation
from ansible_collections.baremetal.vllm.plugins.plugin_utils.fit.states import RecurrentState
from ansible_collections.baremetal.vllm.plugins.plugin_utils.fit.vision import Vision, read_vision
from ansible_collections.baremetal.vllm.plugins.plugin_utils.fit.widths import Widths, read_widths

_MOST_CONFIG = 50_000_000


@dataclass(frozen=True)
class Rope:
    """How positions are stretched: `type` as in config.json ("yarn", "linear", …), `original` length before it or 0."""

    type: str
    factor: float = 1.0
    original: int = 0


@dataclass(frozen=True)
class ModelFacts:
    """A model as its files describe it. Numbers are of the language model; 0 and "" mean that the files do not say.

    `positions`: the greatest length before any stretching; `caches`: what every request keeps, `sure`: see `Layout`;
    `encoder`: no KV cache at all; `tied`: the head is the embedding; `overrides`: the `hf-overrides` that were laid over
    the config, see `canonical`; `widths`, `vision`, `state`: what a step, an encoder of pictures and layers without a KV cache
    take; `unknown`: what could not be read, as phrases without a capital or a full stop.
    `config`: the whole of it, with the overrides; `files`: names of the JSON files beside it; `theta`: the model's own
    `rope_theta`, without them.
    """

    architecture: str
    model_type: str
    layers: int
    hidden_size: int
    heads: int
    kv_heads: int
    head_size: int
    dtype: str
    positions: int
    ropes: tuple[Rope, ...] = ()
    window: int = 0
    caches: tuple[Cache, ...] = ()
    sure: bool = False
    encoder: bool = False
    experts: int = 0
    quantisation: Quantisation | None = None
    tied: bool = False
    weights: tensors.WeightsSize | None = None
    overrides: str = ""
    unknown: tuple[str, ...] = ()
    widths: Widths = field(default_factory=Widths)
    vision: Vision | None = None
    state: RecurrentState | None = None
    config: Values = field(default_factory=dict, compare=False, repr=False)
    files: frozenset[str] = frozenset()
    theta: float | None = None


def read_model(path: str | Path, overrides: Any = None) -> ModelFacts | str:
    """The facts of the model in a directory, with `hf-overrides` laid over its config; a sentence says why not."""
    directory = Path(path)
    config = read_json_file(directory / "config.json")
    if isinstance(config, str):
        return config
    written = canonical(overrides)
    overrides = json.loads(written) if isinstance(overrides, str) and written[:1] == "{" else overrides
    theta = _theta(language_part(config))
    if isinstance(overrides, Mapping):
        config = _laid_over(config, overrides)
    if not config.get("quantization_config"):
        # ModelOpt writes its own file.
        own = read_json_file(directory / "hf_quant_config.json")
        config = {**config, "quantization_config": own} if isinstance(own, dict) else config
    beside = frozenset(file.name for file in directory.glob("*.json"))
    facts = replace(read_config(config), overrides=written, files=beside, theta=theta)
    try:
        weights = _weights(directory, config, facts)
    except tensors.UnreadableWeights as error:
        return replace(facts, unknown=(*facts.unknown, f"the weights: {error}"))
    if weights is None:
        said = "the weights: neither safetensors nor an index of them lies beside config.json"
        return replace(facts, unknown=(*facts.unknown, said))
    return replace(facts, weights=weights, unknown=(*facts.unknown, *_about(weights)))


def read_config(config: Values) -> ModelFacts:
    """The facts that `config.json` alone has; it never raises, whatever JSON object it is given."""
    part = language_part(config)
    if "tie_word_embeddings" not in part and "tie_word_embeddings" in config:
        part["tie_word_embeddings"] = config["tie_word_embeddings"]
    layout: Layout = read_layout(config, part)
    architectures = config.get("architectures")
    known = isinstance(architectures, list) and architectures and isinstance(architectures[0], str)
    return ModelFacts(
        architecture=architectures[0] if known and isinstance(architectures, list) else "",
        model_type=str(part["model_type"]),
        layers=whole_number(part, "num_hidden_layers") or 0,
        hidden_size=whole_number(part, "hidden_size") or 0,
        heads=whole_number(part, "num_attention_heads") or 0,
        kv_heads=kv_heads(part) or 0,
        head_size=head_size(part) or 0,
        dtype=dtype_name(config, part),
        positions=_positions(part),
        ropes=_ropes(part),
        window=max((cache.window for cache in layout.caches if cache.kind == "sliding"), default=0),
        caches=layout.caches,
        sure=layout.sure,
        encoder=layout.encoder,
        experts=expert_count(part),
        quantisation=read_quantisation(config, part),
        tied=part.get("tie_word_embeddings") is True,
        unknown=layout.unknown,
        widths=read_widths(part),
        vision=read_vision(config),
        state=layout.state,
        config=config,
    )


def _weights(directory: Path, config: Values, facts: ModelFacts) -> tensors.WeightsSize | None:
    """From the shards when all are there, else from the index, else from config.json; raises Unreadable."""
    part = {**language_part(config)}
    part.setdefault("tie_word_embeddings", config.get("tie_word_embeddings"))
    quantised = facts.quantisation is not None
    # An encoder-decoder numbers the layers of both halves from 0; none of them is spare.
    layers = facts.layers if facts.layers and facts.model_type != "whisper" else None
    itemsize = 4 if facts.dtype == "float32" else 2
    found = tensors.read_index(directory)
    if found is not None:
        index, __ = found
        shards = sorted({directory / str(name) for name in index["weight_map"].values()})
        if all(shard.suffix == ".safetensors" and shard.is_file() for shard in shards):
            return tensors.weights_of(tensors.read_headers(shards), layers, quantised)
        return estimate.from_index(index, part, layers, itemsize, quantised)
    single = directory / "model.safetensors"
    shards = [single] if single.is_file() else sorted(directory.glob("*.safetensors"))
    shards = [shard for shard in shards if not shard.name.startswith(("consolidated", "adapter_"))]
    if shards:
        return tensors.weights_of(tensors.read_headers(shards), layers, quantised)
    return None if quantised or "vision_config" in config else estimate.from_config(part, itemsize)


def _about(weights: tensors.WeightsSize) -> list[str]:
    if weights.exact:
        return []
    return ["the exact size of each tensor: the sum is split by the sizes in config.json"]


def read_json_file(file: Path) -> dict[str, object] | str:
    """The object in a JSON file; a sentence says why there is none."""
    try:
        if file.stat().st_size > _MOST_CONFIG:
            return f"{file.name} is too large to be a config"
        read = json.loads(file.read_bytes())
    except OSError as error:
        return f"{file.name} cannot be read ({error.strerror})"
    except (ValueError, RecursionError):
        return f"{file.name} is not JSON"
    return read if isinstance(read, dict) else f"{file.name} is not a JSON object"


def _laid_over(config: Values, overrides: Values) -> dict[str, object]:
    """As vLLM does it: nested configs are updated, everything else is replaced (ModelConfig._apply_dict_overrides)."""
    laid = dict(config)
    # Two names of one thing: what is written takes the place of both.
    for one, other in (("rope_scaling", "rope_parameters"), ("rope_parameters", "rope_scaling")):
        if one in overrides and other not in overrides:
            laid.pop(other, None)
    for key, value in overrides.items():
        inner = laid.get(key)
        if isinstance(value, Mapping) and isinstance(inner, Mapping) and str(key).endswith("_config"):
            value = _laid_over(inner, value)
        laid[str(key)] = value
    return laid


def _positions(part: Values) -> int:
    """The least of the lengths that the config gives (derive_max_model_len_and_key of vLLM); 0 where it gives none."""
    told = whole_number(part, "model_max_length")
    names = "max_position_embeddings n_positions max_seq_len seq_length max_target_positions max_sequence_length"
    lengths = [whole_number(part, name) for name in (*names.split(), "max_seq_length", "seq_len")]
    return told or min((length for length in lengths if length), default=0)


def _theta(part: Values) -> float | None:
    given = part.get("rope_parameters") or part.get("rope_scaling")
    found = part.get("rope_theta", given.get("rope_theta") if isinstance(given, Mapping) else None)
    return found if isinstance(found, (int, float)) and not isinstance(found, bool) else None


def _ropes(part: Values) -> tuple[Rope, ...]:
    given = part.get("rope_scaling") or part.get("rope_parameters")
    if not isinstance(given, Mapping):
        return ()
    several = [value for value in given.values() if isinstance(value, Mapping)]
    name = "original_max_position_embeddings"
    ropes = []
    for rope in several or [given]:
        kind, factor = rope.get("rope_type", rope.get("type")), rope.get("factor")
        number = isinstance(factor, (int, float)) and not isinstance(factor, bool) and 0 < factor < 10**6
        ropes.append(
            Rope(
                kind if isinstance(kind, str) else "default",
                float(factor) if number and isinstance(factor, (int, float)) else 1.0,
                whole_number(rope, name) or whole_number(part, name) or 0,
            )
        )
    return tuple(ropes)
