"""Embeddings: their shape, their order, their sense."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from ansible_collections.baremetal.vllm.plugins.module_utils.endpoints.check import Check, expect, probe, skip
from ansible_collections.baremetal.vllm.plugins.module_utils.endpoints.client import Client, Unexpected, pick
from ansible_collections.baremetal.vllm.plugins.module_utils.endpoints.kinds import EMBEDDINGS
from ansible_collections.baremetal.vllm.plugins.module_utils.endpoints.service import Service
from ansible_collections.baremetal.vllm.plugins.module_utils.endpoints.texts import RELATED, UNRELATED
from ansible_collections.baremetal.vllm.plugins.module_utils.endpoints.vectors import Vector, cosine, nearest, norm

TEXTS = (*RELATED, UNRELATED)
# 16-bit engines return unit vectors to about three digits.
UNIT = 0.01


def embed(client: Client, service: Service, texts: Sequence[str]) -> list[Vector]:
    """One vector for each text, in the order of the answer.

    Raises:
        Unexpected: when the answer has not one list of numbers for each text, numbered in turn.
    """
    items = pick(client.ask(EMBEDDINGS, {"model": service.model, "input": list(texts)}), "data")
    numbers = [pick(item, "index") for item in items]
    if numbers != list(range(len(texts))):
        raise Unexpected(f"embeddings numbered {numbers}", f"one for each of {len(texts)} texts, numbered in turn")
    return [[float(value) for value in pick(item, "embedding")] for item in items]


@probe("dimension", "norm", "batch_order", "related_closer")
def embedding(client: Client, service: Service) -> Iterator[Check]:
    """Vectors are of one size, normalised all or none, in the order of the texts, and nearer for related texts.

    Raises Unexpected: for an answer of another shape.
    """
    vectors = embed(client, service, TEXTS)
    sizes = sorted({len(vector) for vector in vectors})
    finite = all(math.isfinite(value) for vector in vectors for value in vector)
    shaped = len(sizes) == 1 and sizes[0] > 0 and finite
    yield expect(
        "dimension",
        shaped,
        f"{' and '.join(map(str, sizes))} values{'' if finite else ', not all finite'}",
        "one size above 0 for all texts, finite values",
    )
    if not shaped:
        return
    yield _norm(vectors)
    singles = [embed(client, service, [text])[0] for text in TEXTS]
    order = [nearest(vector, singles) for vector in vectors]
    yield expect(
        "batch_order",
        order == list(range(len(TEXTS))),
        f"the batch holds the texts in the order {order}",
        f"the order of the request, {list(range(len(TEXTS)))}",
    )
    if not service.prove.meaning:
        yield skip("related_closer", "the weights are random, so nearness means nothing")
        return
    near, far = cosine(singles[0], singles[1]), cosine(singles[0], singles[2])
    yield expect(
        "related_closer",
        near > far,
        f"cosine {near:.3f} for related texts, {far:.3f} for unrelated ones",
        "related texts closer than unrelated ones",
    )


def _norm(vectors: Sequence[Vector]) -> Check:
    """A model normalises all of its vectors or none; clients that use the dot product depend on it."""
    norms = [norm(vector) for vector in vectors]
    unit = [abs(length - 1) <= UNIT for length in norms]
    kind = "normalised" if all(unit) else "normalised in part" if any(unit) else "not normalised"
    return expect(
        "norm",
        min(norms) > 0 and all(unit) == any(unit),
        f"L2 norms {', '.join(f'{length:.3f}' for length in norms)}: {kind}",
        "above 0, and 1 for all vectors or for none",
    )
