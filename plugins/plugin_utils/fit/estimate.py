"""Weights where the tensors' shapes are not at hand: from sizes in `config.json`, and the sum that an index states."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from ansible_collections.baremetal.vllm.plugins.module_utils.text.values import Values
from ansible_collections.baremetal.vllm.plugins.plugin_utils.fit.config import (
    expert_count,
    head_size,
    kv_heads,
    types,
    whole_number,
)
from ansible_collections.baremetal.vllm.plugins.plugin_utils.fit.tensors import Index, WeightsPart, WeightsSize, purpose

_NUMBERED = re.compile(r"\.layers\.(\d+)\.")
# A file in 32 bits beside a config that says 16 has twice the bytes that its elements account for.
_TWICE = 1.5


def parameters(part: Values) -> dict[str, int] | None:
    """Elements by purpose (layers, experts, embedding, head, spare) of a known architecture, else None.

    Norms and biases are left out: under 0.1 % of the sum.
    """
    if part.get("model_type") not in types("gated"):
        return None
    return _counted(part, whole_number(part, "num_nextn_predict_layers") or 0)


def _counted(part: Values, extra: int) -> dict[str, int] | None:
    """The same whatever the architecture, with so many layers that predict further tokens; None where a size is missing."""
    sizes = [whole_number(part, name) for name in ("hidden_size", "num_hidden_layers", "vocab_size")]
    heads, size, kept = whole_number(part, "num_attention_heads"), head_size(part), kv_heads(part)
    if None in (*sizes, heads, size, kept):
        return None
    hidden, layers, vocabulary = (number or 0 for number in sizes)
    if part.get("kv_lora_rank"):
        attention = _latent_attention(part, hidden, heads or 0)
    else:
        attention = 2 * hidden * (size or 0) * ((heads or 0) + (kept or 0))
    dense_width = whole_number(part, "intermediate_size") or 0
    experts, expert_width = _experts(part)
    first = whole_number(part, "first_k_dense_replace") or 0
    sparse = max(0, layers - first) if experts else 0
    alone = 3 * hidden * _shared_width(part, expert_width) + hidden * experts
    one_layer = 3 * hidden * expert_width * experts
    return {
        "layers": layers * attention + (layers - sparse) * 3 * hidden * dense_width + sparse * alone,
        "experts": sparse * one_layer,
        "embedding": vocabulary * hidden,
        "head": 0 if part.get("tie_word_embeddings") is True else vocabulary * hidden,
        # A layer that predicts further tokens, with its own embedding, head and projection.
        "spare": extra * (attention + alone + one_layer + 2 * hidden * (vocabulary + hidden)) if experts else 0,
    }


def _predicting(names: Iterable[str], part: Values, layers: int | None) -> dict[str, int] | None:
    """Elements by purpose where only the names tell of layers that predict further tokens (Qwen3-Next: `mtp.layers.0.`): they
    are taken for layers with full attention, which have the embedding and the head of the model."""
    spare = [str(name) for name in names if purpose(str(name), layers) == "spare"]
    numbers = {found[1] for name in spare if (found := _NUMBERED.search(name))}
    counted = _counted(part, 0) if spare else None
    if counted is None:
        return None
    hidden = whole_number(part, "hidden_size") or 0
    number = len(numbers) or 1
    each = (counted["layers"] + counted["experts"]) // (layers or 1)
    return {**counted, "spare": number * (each + 2 * hidden * hidden)}


def _latent_attention(part: Values, hidden: int, heads: int) -> int:
    rank, query_rank = whole_number(part, "kv_lora_rank") or 0, whole_number(part, "q_lora_rank")
    rope, plain = whole_number(part, "qk_rope_head_dim") or 0, whole_number(part, "qk_nope_head_dim") or 0
    value = whole_number(part, "v_head_dim") or 0
    query = heads * (plain + rope) * (query_rank or hidden) + hidden * (query_rank or 0)
    return query + hidden * (rank + rope) + rank * heads * (plain + value) + heads * value * hidden


def _experts(part: Values) -> tuple[int, int]:
    """How many routed experts a layer has, and the width of one."""
    count = expert_count(part)
    return count, whole_number(part, "moe_intermediate_size") or whole_number(part, "intermediate_size") or 0


def _shared_width(part: Values, expert_width: int) -> int:
    written = whole_number(part, "shared_expert_intermediate_size")
    return written or (whole_number(part, "n_shared_experts") or 0) * expert_width


def from_config(part: Values, itemsize: int) -> WeightsSize | None:
    """Weights of an unquantised model of a known architecture from its config alone."""
    counted = parameters(part)
    if counted is None:
        return None
    total = sum(counted.values()) - counted["spare"]
    return WeightsSize(
        stored=sum(counted.values()) * itemsize,
        layers=WeightsPart(counted["layers"]),
        experts=WeightsPart(counted["experts"]),
        embedding=WeightsPart(counted["embedding"]),
        head=WeightsPart(counted["head"]),
        spare=WeightsPart(counted["spare"]),
        parameters=total,
        exact=False,
    )


def from_index(index: Index, part: Values, layers: int | None, itemsize: int, quantised: bool) -> WeightsSize | None:
    """Weights from an index: its sum, split by the names of the tensors and the sizes in the config."""
    metadata = index.get("metadata")
    stored = metadata.get("total_size") if isinstance(metadata, Mapping) else None
    if isinstance(stored, float) and stored.is_integer():
        stored = int(stored)
    if not isinstance(stored, int) or isinstance(stored, bool) or not 0 < stored < 2**50:
        return None
    names = {purpose(str(name), layers) for name in index["weight_map"]}
    table = (whole_number(part, "vocab_size") or 0) * (whole_number(part, "hidden_size") or 0)
    counted = (
        parameters(part)
        or _predicting(map(str, index["weight_map"]), part, layers)
        or {"layers": 1, "experts": 0, "spare": 0}
    )
    if "spare" not in names:
        counted = {**counted, "spare": 0}
    known = parameters(part) is not None
    if known and not quantised and stored > _TWICE * itemsize * sum(counted.values()):
        itemsize = 4
    ends = {name: WeightsPart(floats=table) for name in ("embedding", "head") if name in names}
    rest = max(0, stored - sum(end.size(itemsize) for end in ends.values()))
    share = {name: counted[name] for name in ("layers", "experts", "spare")}
    whole = sum(share.values())
    parts = {}
    for name, count in share.items():
        size = rest * count // whole
        parts[name] = WeightsPart(packed=size) if quantised else WeightsPart(floats=size // itemsize)
    return WeightsSize(
        stored=stored,
        layers=parts["layers"],
        experts=parts["experts"],
        embedding=ends.get("embedding", WeightsPart()),
        head=ends.get("head", WeightsPart()),
        spare=parts["spare"],
        parameters=None if quantised else stored // itemsize,
        exact=False,
    )
