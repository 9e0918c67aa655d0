"""Tool calling: do the arguments keep to the tool's schema?"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from ansible_collections.baremetal.vllm.plugins.module_utils.endpoints.chat import bound_text, request
from ansible_collections.baremetal.vllm.plugins.module_utils.endpoints.check import Check, expect, probe
from ansible_collections.baremetal.vllm.plugins.module_utils.endpoints.client import Client, Json, pick
from ansible_collections.baremetal.vllm.plugins.module_utils.endpoints.kinds import CHAT
from ansible_collections.baremetal.vllm.plugins.module_utils.endpoints.schema import violations
from ansible_collections.baremetal.vllm.plugins.module_utils.endpoints.service import Service

NAME = "get_weather"
PARAMETERS = {
    "type": "object",
    "properties": {"city": {"type": "string", "enum": ["Paris", "Rome"]}},
    "required": ["city"],
    "additionalProperties": False,
}
# Without `strict`, 0.32.0 answers HTTP 200 with arguments that break the schema.
TOOL = {"type": "function", "function": {"name": NAME, "parameters": PARAMETERS, "strict": True}}
# A small model wraps a call of 10 tokens in 50 of blanks where the engine allows any whitespace.
TOKENS = 128


@probe("tool_named", "tool_required")
def tools(client: Client, service: Service) -> Iterator[Check]:
    """A tool asked for by its name, and then any tool, is called with arguments that keep to its schema.

    Raises Unexpected: where there is no answer of a chat.
    """
    yield _call(client, service, "tool_named", {"type": "function", "function": {"name": NAME}})
    yield _call(client, service, "tool_required", "required")


def _call(client: Client, service: Service, name: str, choice: Any) -> Check:
    question = "How warm is it in Paris?"
    more = {"tools": [TOOL], "tool_choice": choice, "parallel_tool_calls": False, **bound_text(service)}
    body = request(service, question, TOKENS, **more)
    answer = pick(client.ask(CHAT, body), "choices", 0)
    calls = answer["message"].get("tool_calls") or []
    broken = [] if calls else [f"no tool call (finish_reason {answer.get('finish_reason')})"]
    for call in calls:
        broken += _violations(pick(call, "function"))
    shown = "; ".join(f"{call['function'].get('name')}({call['function'].get('arguments')})" for call in calls)
    observed = f"{shown}: {'; '.join(broken)}" if broken else shown
    return expect(name, not broken, observed, f"a call of {NAME} with arguments that keep to its schema")


def _violations(function: Json) -> list[str]:
    if function.get("name") != NAME:
        return [f"{function.get('name')} is no tool of the request"]
    try:
        return violations(json.loads(function.get("arguments") or ""), PARAMETERS)
    except ValueError:
        return ["arguments that are not JSON"]
