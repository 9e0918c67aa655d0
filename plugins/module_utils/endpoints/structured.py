"""Output held to a JSON schema."""

from __future__ import annotations

import json
from collections.abc import Iterator

from ansible_collections.baremetal.vllm.plugins.module_utils.endpoints.chat import bound_text, request
from ansible_collections.baremetal.vllm.plugins.module_utils.endpoints.check import Check, expect, probe, skip
from ansible_collections.baremetal.vllm.plugins.module_utils.endpoints.client import Client, pick
from ansible_collections.baremetal.vllm.plugins.module_utils.endpoints.kinds import CHAT
from ansible_collections.baremetal.vllm.plugins.module_utils.endpoints.schema import violations
from ansible_collections.baremetal.vllm.plugins.module_utils.endpoints.service import Service

# Tight, so that whatever the model would rather say it must end within a dozen tokens.
SCHEMA = {
    "type": "object",
    "properties": {
        "city": {"type": "string", "enum": ["Paris", "Rome", "Berlin"]},
        "rank": {"type": "integer", "minimum": 1, "maximum": 9},
    },
    "required": ["city", "rank"],
    "additionalProperties": False,
}
# Leaves room for a model that indents; one that fills the room with blanks has no bound at all.
TOKENS = 64


@probe("structured")
def structured(client: Client, service: Service) -> Iterator[Check]:
    """An answer to a request with a JSON schema keeps to it. Raises Unexpected: where there is no answer of a chat."""
    if not service.prove.structured:
        yield skip("structured", "switched off for this model")
        return
    form = {"type": "json_schema", "json_schema": {"name": "capital", "schema": SCHEMA, "strict": True}}
    question = "Name the capital of France as JSON with the keys city and rank."
    body = request(service, question, TOKENS, response_format=form, **bound_text(service))
    choice = pick(client.ask(CHAT, body), "choices", 0)
    text = choice["message"].get("content")
    expected = "JSON that keeps to the schema of the request"
    try:
        broken = violations(json.loads(text or ""), SCHEMA)
    except ValueError:
        broken = [f"not JSON (finish_reason {choice.get('finish_reason')})"]
    yield expect("structured", not broken, f"{text!r}: {'; '.join(broken)}" if broken else f"{text}", expected)
