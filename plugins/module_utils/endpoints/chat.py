"""A whole answer from a chat model, and the request that the other chat checks vary."""

from __future__ import annotations

from collections.abc import Iterator

from ansible_collections.baremetal.vllm.plugins.module_utils.endpoints.check import Check, expect, probe
from ansible_collections.baremetal.vllm.plugins.module_utils.endpoints.client import Client, Json, pick
from ansible_collections.baremetal.vllm.plugins.module_utils.endpoints.kinds import CHAT
from ansible_collections.baremetal.vllm.plugins.module_utils.endpoints.service import Service
from ansible_collections.baremetal.vllm.plugins.module_utils.endpoints.texts import ANSWER, QUESTION

# Enough for "The capital of France is Paris.", and half a second on a slow CPU.
ANSWER_TOKENS = 10
# A reasoning model is told to stop thinking after this many tokens, else no short answer ever reaches its content.
THINKING_TOKENS = 8


def request(service: Service, content: str | list[Json], tokens: int, **more: Json) -> dict[str, object]:
    """A deterministic chat request of at most `tokens` tokens beside the reasoning."""
    messages: list[Json] = [{"role": "user", "content": content}]
    body: dict[str, object] = {
        "model": service.model,
        "messages": messages,
        "max_tokens": most_tokens(service, tokens),
        "temperature": 0,
    }
    if service.prove.reasoning:
        body["thinking_token_budget"] = THINKING_TOKENS
        if not service.prove.meaning:
            # 0.32.0 counts the budget from the start marker on, which random weights never write: it is put before.
            messages.append({"role": "assistant", "content": "<think>\n"})
            body.update(add_generation_prompt=False, continue_final_message=True)
    return {**body, **more}


def most_tokens(service: Service, tokens: int) -> int:
    """The tokens that a model may write for an answer of `tokens`."""
    # The budget is met by forcing the end marker, which costs tokens of its own.
    return tokens + 2 * THINKING_TOKENS if service.prove.reasoning else tokens


def free_text(service: Service) -> dict[str, object]:
    """Random weights may end a text before it began: such a model is told to go on."""
    return {} if service.prove.meaning else {"ignore_eos": True}


def bound_text(service: Service) -> dict[str, object]:
    """Where blanks are allowed, random weights fill a schema with nothing else: each repetition must cost them more.

    Seen in 0.32.0: tool calls allow any whitespace even with `disable_any_whitespace`.
    """
    return {} if service.prove.meaning else {"frequency_penalty": 2.0}


def reasoning_of(message: Json) -> str:
    """The reasoning of a message or delta (`reasoning`; `reasoning_content` before 0.12)."""
    return str(message.get("reasoning") or message.get("reasoning_content") or "")


@probe("answer", "usage")
def answer(client: Client, service: Service) -> Iterator[Check]:
    """One short question. A real model must know the answer: weights that were read wrongly still produce text.

    Raises Unexpected: for an answer of another shape, and for none.
    """
    body = request(service, QUESTION, ANSWER_TOKENS, **free_text(service))
    document = client.ask(CHAT, body)
    message = pick(document, "choices", 0, "message")
    content = message.get("content")
    text = content if isinstance(content, str) and content else reasoning_of(message)
    if service.prove.meaning and not service.prove.reasoning:
        passed, expected = ANSWER.lower() in text.lower(), f"a text that names {ANSWER}"
    else:
        passed, expected = bool(text), "a text"
    yield expect("answer", passed, repr(text), expected)
    yield usage(document, most_tokens(service, ANSWER_TOKENS))


def usage(document: Json, limit: int) -> Check:
    """Clients are billed by these numbers: each positive, the sum right, the answer no longer than asked for.

    Raises Unexpected: where the answer counts no tokens.
    """
    counts = pick(document, "usage")
    prompt, completion, total = (counts.get(f"{part}_tokens") for part in ("prompt", "completion", "total"))
    passed = (
        all(isinstance(count, int) for count in (prompt, completion, total))
        and prompt > 0
        and 0 < completion <= limit
        and prompt + completion == total
    )
    return expect(
        "usage",
        passed,
        f"prompt {prompt} + completion {completion}, total {total}",
        f"positive numbers that add up, at most {limit} for the completion",
    )
