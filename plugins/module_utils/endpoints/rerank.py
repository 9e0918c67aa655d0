"""Rerank and score: the same judgement of pairs, asked for in two ways."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

from ansible_collections.baremetal.vllm.plugins.module_utils.endpoints.check import Check, expect, probe, skip
from ansible_collections.baremetal.vllm.plugins.module_utils.endpoints.client import Client, pick
from ansible_collections.baremetal.vllm.plugins.module_utils.endpoints.kinds import RERANK, SCORE
from ansible_collections.baremetal.vllm.plugins.module_utils.endpoints.service import Service
from ansible_collections.baremetal.vllm.plugins.module_utils.endpoints.texts import DOCUMENTS, QUESTION, RIGHT_DOCUMENT

TOP = 2
# Pairs judged in another batch differ in the last digits of 16-bit arithmetic.
TOLERANCE = 0.02


def rerank_request(service: Service, **more: Any) -> dict[str, object]:
    """The JSON body of a question with its documents; `more` are further keys, such as top_n."""
    return {"model": service.model, "query": QUESTION, "documents": list(DOCUMENTS), **more}


def _ranked(client: Client, service: Service, **more: Any) -> list[tuple[int, float, Any]]:
    """Index, score and text of each result, in the order of the answer."""
    results = pick(client.ask(RERANK, rerank_request(service, **more)), "results")
    return [
        (int(pick(item, "index")), float(pick(item, "relevance_score")), (item.get("document") or {}).get("text"))
        for item in results
    ]


def _told(scores: list[float]) -> str:
    return ", ".join(f"{score:.4f}" for score in scores)


@probe("order", "every_document", "top_n", "right_first")
def rerank(client: Client, service: Service) -> Iterator[Check]:
    """Every document is judged once, scores fall, `top_n` cuts, and the right document wins.

    Raises Unexpected: for an answer of another shape.
    """
    ranked = _ranked(client, service)
    scores = [score for __, score, __ in ranked]
    falling = all(math.isfinite(score) for score in scores) and scores == sorted(scores, reverse=True)
    yield expect("order", falling and bool(scores), f"scores {_told(scores)}", "falling scores")

    indices = [index for index, __, __ in ranked]
    whole = sorted(indices) == list(range(len(DOCUMENTS)))
    wrong = [index for index, __, text in ranked if text is not None and whole and text != DOCUMENTS[index]]
    yield expect(
        "every_document",
        whole and not wrong,
        f"documents {indices}" + (f", with another text under {wrong}" if wrong else ""),
        f"each of 0 to {len(DOCUMENTS) - 1} once, with its own text",
    )
    best = [score for __, score, __ in _ranked(client, service, top_n=TOP)]
    top = sorted(scores, reverse=True)[:TOP]
    yield expect(
        "top_n",
        len(best) == TOP and all(abs(one - other) <= TOLERANCE for one, other in zip(sorted(best, reverse=True), top)),
        f"{len(best)} results with scores {_told(best)}",
        f"the {TOP} best, with scores {_told(top)}",
    )
    if not service.prove.meaning:
        yield skip("right_first", "the weights are random, so the order means nothing")
        return
    winner = max(ranked, key=lambda result: result[1])[0]
    yield expect(
        "right_first",
        winner == RIGHT_DOCUMENT,
        f"{DOCUMENTS[winner]!r} scored best" if 0 <= winner < len(DOCUMENTS) else f"document {winner} scored best",
        f"{DOCUMENTS[RIGHT_DOCUMENT]!r} for {QUESTION!r}",
    )


@probe("every_pair", "score_agrees")
def score(client: Client, service: Service) -> Iterator[Check]:
    """Every pair has a finite score, the one that /rerank gives the same document.

    Raises Unexpected: for an answer of another shape.
    """
    body = {"model": service.model, "text_1": QUESTION, "text_2": list(DOCUMENTS)}
    data = pick(client.ask(SCORE, body), "data")
    indices = [pick(item, "index") for item in data]
    scores = [float(pick(item, "score")) for item in data]
    whole = indices == list(range(len(DOCUMENTS))) and all(map(math.isfinite, scores))
    yield expect(
        "every_pair",
        whole,
        f"pairs {indices} with scores {_told(scores)}",
        f"a finite score for each of 0 to {len(DOCUMENTS) - 1} in turn",
    )
    if not whole:
        return
    ranked = sorted((index, value) for index, value, __ in _ranked(client, service))
    if [index for index, __ in ranked] != indices:
        yield skip("score_agrees", f"{RERANK} does not judge each document once")
        return
    judged = [value for __, value in ranked]
    yield expect(
        "score_agrees",
        all(abs(one - other) <= TOLERANCE for one, other in zip(scores, judged)),
        f"score {_told(scores)}, rerank {_told(judged)}",
        f"the same judgement from {SCORE} and {RERANK}",
    )
