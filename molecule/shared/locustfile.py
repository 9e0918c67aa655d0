"""A steady mixed load on one OpenAI-shaped address, judged by what arrived: tokens, not statuses. Run by load.py.

Each user keeps one connection open, as OpenAI's own client does, and never asks a second time: a request that fails is
lost. A stream is whole when it brought exactly the tokens that were asked for, a finish_reason and [DONE].

It ends without breaking a request: once the file LOAD_RESULT.stop exists, none is begun any more.

Environment: LOAD_KEY, LOAD_RESULT (a file, rewritten twice a second), LOAD_CHAT and LOAD_EMBEDDING (model names, by
blank; several share the load), LOAD_TOKENS (of a stream, "least most"), LOAD_COUNT (chunks: one token each, as the
stand-in engine sends them; usage: as the engine counts them, which for a real one is the only way), LOAD_PAUSE (seconds
of a user between two requests).
"""

from __future__ import annotations

import json
import math
import os
import random
import statistics
import time
import uuid
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import gevent
from locust import HttpUser, constant, events, task

CHAT, EMBEDDING = (os.environ.get(name, "").split() for name in ("LOAD_CHAT", "LOAD_EMBEDDING"))
LEAST, MOST = map(int, os.environ.get("LOAD_TOKENS", "10 40").split())
BY_CHUNKS = os.environ.get("LOAD_COUNT", "chunks") == "chunks"
SAID = 50


@dataclass
class Counts:
    """`begun` counts requests sent; each ends as `good`, `failed` (no proper answer at all) or `cut` (a broken stream)."""

    begun: int = 0
    good: int = 0
    failed: int = 0
    cut: int = 0
    tokens_expected: int = 0
    tokens_received: int = 0
    first_tokens: list[float] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    stopped: bool = False

    def lost(self, mark: str, what: str, streaming: bool) -> None:
        self.cut, self.failed = self.cut + streaming, self.failed + (not streaming)
        if len(self.failures) < SAID:
            self.failures.append(f"{time.strftime('%H:%M:%S')} {mark} {what}")

    def write(self, path: str) -> None:
        numbers: dict[str, Any] = asdict(self)
        first = numbers.pop("first_tokens")
        numbers["first_token_p50"] = statistics.median(first) if first else None
        draft = Path(f"{path}.new")
        draft.write_text(json.dumps(numbers))
        draft.replace(path)


counts = Counts()


@events.test_start.add_listener
def begin(**__: Any) -> None:
    def often() -> None:
        while True:
            counts.stopped = Path(os.environ["LOAD_RESULT"] + ".stop").exists()
            counts.write(os.environ["LOAD_RESULT"])
            gevent.sleep(0.5)

    gevent.spawn(often)


class Client(HttpUser):
    """One client of the fleet with its own open connection."""

    wait_time = constant(float(os.environ.get("LOAD_PAUSE", "0.1")))

    def ask(self, path: str, body: dict[str, Any], stream: bool) -> tuple[str, Any]:
        """A request and its answer, not yet read; the mark is what the engine's log shows of it."""
        mark = uuid.uuid4().hex[:12]
        headers = {"Authorization": f"Bearer {os.environ['LOAD_KEY']}"}
        counts.begun += 1
        return mark, self.client.post(
            path,
            json={"user": mark, **body},
            headers=headers,
            stream=stream,
            catch_response=True,
            timeout=(10, 60),
            name=path,
        )

    @task(3 if CHAT else 0)
    def chat(self) -> None:
        if counts.stopped:
            return
        tokens = random.randint(LEAST, MOST)
        messages = [{"role": "user", "content": "What is the capital of France?"}]
        # `model` comes last, as OpenAI's client sends it.
        body = {"messages": messages, "max_tokens": tokens, "stream": True, "ignore_eos": True}
        body |= {"stream_options": {"include_usage": True}, "model": random.choice(CHAT)}
        counts.tokens_expected += tokens
        started = time.monotonic()
        mark, asked = self.ask("/v1/chat/completions", body, stream=True)
        streaming = False
        with asked as answer:
            try:
                if answer.status_code != 200:
                    raise ValueError(f"HTTP {answer.status_code}: {answer.text[:200]}")
                streaming = True
                # Each chunk as it arrives; byte by byte it would cost a core.
                read_stream(answer.iter_lines(chunk_size=None), tokens, started)
                answer.success()
                counts.good += 1
            except Exception as problem:
                counts.lost(mark, f"{type(problem).__name__}: {problem}", streaming)
                answer.failure(str(problem))

    @task(1 if EMBEDDING else 0)
    def embedding(self) -> None:
        if counts.stopped:
            return
        texts = ["A cat is sleeping on the sofa.", "The stock market fell sharply today."]
        mark, asked = self.ask("/v1/embeddings", {"input": texts, "model": random.choice(EMBEDDING)}, stream=False)
        with asked as answer:
            try:
                if answer.status_code != 200:
                    raise ValueError(f"HTTP {answer.status_code}: {answer.text[:200]}")
                vectors = [item["embedding"] for item in answer.json()["data"]]
                sizes = {len(vector) for vector in vectors}
                finite = all(math.isfinite(value) for vector in vectors for value in vector)
                if len(vectors) != len(texts) or len(sizes) != 1 or 0 in sizes or not finite:
                    raise ValueError(f"vectors of sizes {sizes}, {len(vectors)} for {len(texts)} texts")
                answer.success()
                counts.good += 1
            except Exception as problem:
                counts.lost(mark, f"{type(problem).__name__}: {problem}", streaming=False)
                answer.failure(str(problem))


def read_stream(lines: Any, tokens: int, started: float) -> None:
    """Read a stream to its end and count it.

    Raises:
        ValueError: where it is not whole.
    """
    chunks, finish, done, usage = 0, "", False, None
    for line in lines:
        if not line.startswith(b"data: "):
            continue
        data = line.removeprefix(b"data: ")
        if data == b"[DONE]":
            done = True
            continue
        document = json.loads(data)
        if "error" in document:
            raise ValueError(f"an error in the stream: {document['error']}")
        usage = document.get("usage") or usage
        for choice in document["choices"]:
            finish = choice["finish_reason"] or finish
            if choice["delta"].get("content"):
                if not chunks:
                    counts.first_tokens.append(time.monotonic() - started)
                chunks += 1
    told = (usage or {}).get("completion_tokens")
    received = chunks if BY_CHUNKS else told
    counts.tokens_received += received or 0
    if not (done and finish and told == received == tokens):
        end = f"finish_reason {finish or 'missing'}, [DONE] {'seen' if done else 'missing'}"
        raise ValueError(f"{received} of {tokens} tokens, usage {told}, {end}")
