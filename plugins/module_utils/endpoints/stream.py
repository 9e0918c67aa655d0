"""A streamed answer: does text come in pieces, when does the first one come, does the stream end properly?"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from ansible_collections.baremetal.vllm.plugins.module_utils.endpoints.chat import (
    ANSWER_TOKENS,
    CHAT,
    free_text,
    reasoning_of,
    request,
)
from ansible_collections.baremetal.vllm.plugins.module_utils.endpoints.check import Check, expect, probe
from ansible_collections.baremetal.vllm.plugins.module_utils.endpoints.client import (
    Client,
    Json,
    NoAnswer,
    Unexpected,
)
from ansible_collections.baremetal.vllm.plugins.module_utils.endpoints.service import Service
from ansible_collections.baremetal.vllm.plugins.module_utils.endpoints.texts import QUESTION

DONE = "[DONE]"


@dataclass
class Streamed:
    """What a stream brought. `first` is in seconds from the request to the first text."""

    pieces: list[str] = field(default_factory=list)
    first: float | None = None
    finish: str = ""
    done: bool = False
    broken: str = ""

    def take(self, chunk: Json, seconds: float) -> None:
        """Add one chunk of a chat completion."""
        if "error" in chunk:
            self.broken = f"an error in the stream: {json.dumps(chunk['error'])}"
        for choice in chunk.get("choices") or ():
            delta = choice.get("delta") or {}
            text = str(delta.get("content") or "") or reasoning_of(delta)
            if text:
                self.pieces.append(text)
                self.first = seconds if self.first is None else self.first
            self.finish = choice.get("finish_reason") or self.finish


def read_stream(client: Client, body: dict[str, object]) -> Streamed:
    """Read a stream to its end, be it a good one or not.

    Raises:
        Unexpected: when there is no stream, or one of its chunks is not a JSON object.
    """
    streamed = Streamed()
    try:
        for event in client.stream(CHAT, body):
            if event.data == DONE:
                streamed.done = True
                break
            try:
                chunk = json.loads(event.data)
            except ValueError:
                chunk = None
            if not isinstance(chunk, dict):
                raise Unexpected(f"a chunk {event.data[:200]!r}", "chunks that are JSON objects")
            streamed.take(chunk, event.seconds)
    except NoAnswer as problem:
        if not streamed.pieces:
            raise
        streamed.broken = problem.observed
    return streamed


@probe("stream", "stream_end")
def stream(client: Client, service: Service) -> Iterator[Check]:
    """A stream whose engine died ends with [DONE] all the same (seen in 0.32.0): only the finish_reason tells.

    Raises Unexpected: where there is no stream, or one of its chunks is not a JSON object.
    """
    body = request(service, QUESTION, ANSWER_TOKENS, stream=True, **free_text(service))
    streamed = read_stream(client, body)
    text = "".join(streamed.pieces)
    check = expect("stream", bool(text), f"{len(streamed.pieces)} chunks: {text!r}", "chunks that join to a text")
    first = streamed.first
    yield replace(check, first_token_seconds=None if first is None else round(first, 3))
    yield expect(
        "stream_end",
        streamed.done and bool(streamed.finish) and not streamed.broken,
        streamed.broken
        or f"finish_reason {streamed.finish or 'missing'}, {DONE} {'seen' if streamed.done else 'missing'}",
        f"a finish_reason, then {DONE}",
    )
