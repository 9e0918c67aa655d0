"""LoRA adapters: each listed beside its base model, and each answering."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from ansible_collections.baremetal.vllm.plugins.module_utils.endpoints.chat import (
    CHAT,
    free_text,
    reasoning_of,
    request,
)
from ansible_collections.baremetal.vllm.plugins.module_utils.endpoints.check import Check, expect, probe
from ansible_collections.baremetal.vllm.plugins.module_utils.endpoints.client import Client, Unexpected, pick
from ansible_collections.baremetal.vllm.plugins.module_utils.endpoints.listing import cards
from ansible_collections.baremetal.vllm.plugins.module_utils.endpoints.service import Service
from ansible_collections.baremetal.vllm.plugins.module_utils.endpoints.texts import QUESTION

TOKENS = 4


@probe("adapters_listed", "adapters_answer")
def adapters(client: Client, service: Service) -> Iterator[Check]:
    """Each planned LoRA adapter is listed under a model that is listed too, and answers under its own name.

    Raises Unexpected: for an answer of another shape, and for none.
    """
    names = service.prove.adapters
    found = cards(client)
    parents = {name: found[name].get("parent") for name in names if name in found}
    strays = [name for name in names if parents.get(name) not in found]
    yield expect(
        "adapters_listed",
        not strays,
        ", ".join(f"{name} {'of ' + str(parents[name]) if name in parents else 'missing'}" for name in names),
        "each adapter in /v1/models with a listed model as its parent",
    )
    silent = {name: _silence(client, service, name) for name in names}
    yield expect(
        "adapters_answer",
        not any(silent.values()),
        ", ".join(f"{name}: {problem or 'a text'}" for name, problem in silent.items()),
        "a text from each adapter",
    )


def _silence(client: Client, service: Service, name: str) -> str:
    """Why the adapter did not answer; empty when it did."""
    body = request(replace(service, served_names=(name,)), QUESTION, TOKENS, **free_text(service))
    try:
        document = client.ask(CHAT, body)
        message = pick(document, "choices", 0, "message")
    except Unexpected as problem:
        return problem.observed
    if document.get("model") != name:
        return f"answered by {document.get('model')}"
    return "" if message.get("content") or reasoning_of(message) else "an empty text"
