"""Is the reasoning parser really on? A model without one answers too, with its thoughts in the answer."""

from __future__ import annotations

from collections.abc import Iterator

from ansible_collections.baremetal.vllm.plugins.module_utils.endpoints.chat import (
    ANSWER_TOKENS,
    CHAT,
    free_text,
    reasoning_of,
    request,
)
from ansible_collections.baremetal.vllm.plugins.module_utils.endpoints.check import Check, expect, probe
from ansible_collections.baremetal.vllm.plugins.module_utils.endpoints.client import Client, pick, require_object
from ansible_collections.baremetal.vllm.plugins.module_utils.endpoints.service import Service
from ansible_collections.baremetal.vllm.plugins.module_utils.endpoints.texts import QUESTION

MARKERS = ("<think>", "</think>")


@probe("reasoning_parser", "reasoning_apart")
def reasoning(client: Client, service: Service) -> Iterator[Check]:
    """0.32.0 refuses a thinking budget without a parser, and counts reasoning tokens only with one.

    Raises Unexpected: for an answer of another shape, and for none.
    """
    reply = client.post(CHAT, request(service, QUESTION, ANSWER_TOKENS, **free_text(service)))
    expected = "thinking_token_budget accepted, usage.completion_tokens_details an object"
    if reply.status == 400:
        yield expect("reasoning_parser", False, str(reply), expected)
        return
    document = require_object(reply, CHAT)
    details = pick(document, "usage").get("completion_tokens_details")
    yield expect("reasoning_parser", isinstance(details, dict), f"completion_tokens_details {details!r}", expected)
    message = pick(document, "choices", 0, "message")
    thoughts, content = reasoning_of(message), message.get("content")
    apart = bool(thoughts) and bool(content) and not any(marker in thoughts + content for marker in MARKERS)
    yield expect(
        "reasoning_apart",
        apart,
        f"reasoning {thoughts!r}, content {content!r}",
        f"both filled, neither with {' or '.join(MARKERS)} in it",
    )
