"""What the stand-in engine answers: the unit tests' stand-in (standin_vllm.py) behind vLLM 0.32.0's whole set of routes."""

from __future__ import annotations

import json
import sys
import time
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from types import SimpleNamespace
from typing import Any

# On a host all files lie side by side; in the checkout, the unit tests keep theirs.
sys.path.append(str(Path(__file__).resolve().parents[2] / "tests" / "unit" / "plugins" / "module_utils" / "endpoints"))
import standin_vllm
from standin_vllm import GENERATES, Answered, Exchange

GUARDED = ("/v1", "/v2", "/inference", "/cohere")
# Routes of 0.32.0 that do the same as another one. Those without /v1 are open to anybody without a key.
SAME_AS = {
    "/rerank": "/v1/rerank",
    "/v2/rerank": "/v1/rerank",
    "/score": "/v1/score",
    "/pooling": "/v1/embeddings",
    "/v1/audio/translations": "/v1/audio/transcriptions",
}
# A wrong answer of an engine that is otherwise well: what broken kernels and wrongly read weights really give.
GARBAGE = "!"


@dataclass
class Served:
    """What one engine serves, and how; times in seconds, rate in tokens a second. `faults` as in standin_engine.py."""

    names: list[str]
    kind: str
    adapters: list[str]
    key: str | None
    release: str
    first: float
    rate: float
    faults: dict[str, float]
    started: float = field(default_factory=time.monotonic)

    def fault(self, name: str) -> bool:
        return name in self.faults and time.monotonic() - self.started >= self.faults[name]

    def guards(self, path: str, authorization: str | None) -> bool:
        return bool(self.key) and path.startswith(GUARDED) and authorization != f"Bearer {self.key}"


@dataclass(frozen=True)
class Answer:
    """A whole answer. `tokens`: how many were generated for it; `stream`: the object as which they are to be streamed."""

    status: int
    body: bytes
    tokens: int = 0
    prompt: int = 0
    media: str = "application/json"
    stream: str = ""
    with_usage: bool = False


class Asked(Exchange):
    """One POST, worked out at once; how long it takes is the server's affair."""

    def __init__(self, served: Served, path: str, raw: bytes, media: str) -> None:
        handler = SimpleNamespace(path=path, command="POST", rfile=BytesIO(raw), wfile=BytesIO())
        handler.headers = {"Content-Length": str(len(raw)), "Content-Type": media}
        standin = SimpleNamespace(kind=served.kind, faults=set(), adapters=served.adapters, key=None, requests=[])
        super().__init__(standin, handler)  # type: ignore[arg-type]
        self.served = served
        self.answer: Answer | None = None
        self.asked: dict[str, Any] = {}
        standin_vllm.MODEL = served.names[0]

    def send(self, status: int, body: Any, media: str = "application/json") -> None:
        usage = (body.get("usage") or {}) if isinstance(body, dict) and status == 200 else {}
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        counts = (usage.get("completion_tokens", 0), usage.get("prompt_tokens", 0))
        self.answer = Answer(status, content, *counts, media=media)
        raise Answered

    def models(self) -> None:
        card = {"object": "model", "owned_by": "vllm", "root": "/srv/stand-in", "parent": None, "max_model_len": 128}
        cards = [{"id": name, **card} for name in self.served.names]
        cards += [{"id": name, **card, "parent": self.served.names[0]} for name in self.served.adapters]
        self.send(200, {"object": "list", "data": cards})

    def route(self, raw: bytes) -> None:
        try:
            self.asked = json.loads(raw)
        except ValueError:
            self.asked = {}
        self.asked = self.asked if isinstance(self.asked, dict) else {}
        if self.asked.get("model") in self.served.names[1:]:
            # vLLM answers with the first name, whichever was asked for.
            raw = json.dumps({**self.asked, "model": self.served.names[0]}).encode()
        elif b"name=" in raw[:4096]:
            for name in self.served.names[1:]:
                raw = raw.replace(f"\r\n\r\n{name}\r\n".encode(), f"\r\n\r\n{self.served.names[0]}\r\n".encode(), 1)
        if self.path == "/invocations":
            self.path = "/v1/chat/completions" if "messages" in self.asked else "/v1/embeddings"
        self.path = SAME_AS.get(self.path, self.path)
        if self.path in ("/tokenize", "/detokenize", "/generative_scoring", "/scale_elastic_ep"):
            self.send(200, {"count": 1, "tokens": [1]})
        if self.served.kind in GENERATES and self.asked.get("model") in (*self.served.names, *self.served.adapters):
            if self.path == "/v1/completions":
                self.text_completion()
            if self.path == "/v1/responses":
                self.send(
                    200, {"object": "response", "status": "completed", "output": [], "model": self.asked["model"]}
                )
        super().route(raw)

    def chat(self, body: dict[str, Any]) -> None:
        if self.served.fault("wrong_shape"):
            self.send(200, {"object": "chat.completion", "choices": []})
        super().chat(body)

    def text_completion(self) -> None:
        if self.asked.get("stream"):
            self.stream(self.asked)
        choice = {"index": 0, "text": "It is Paris.", "finish_reason": "stop"}
        self.send(200, {"object": "text_completion", "choices": [choice], "usage": self.usage(5, 4)})

    def usage(self, prompt: int, completion: int) -> dict[str, Any]:
        return super().usage(prompt, min(completion, limit(self.asked)))

    def complete(self, body: dict[str, Any], prompt: int, text: str, model: str | None = None, **message: Any) -> None:
        if self.served.fault("wrong_answer"):
            text = GARBAGE * 10
        super().complete(body, prompt, text, model or self.served.names[0], **message)

    def stream(self, body: dict[str, Any]) -> None:
        kind = "chat.completion.chunk" if self.path == "/v1/chat/completions" else "text_completion"
        options = body.get("stream_options") or {}
        usage = bool(options.get("include_usage"))
        self.answer = Answer(200, b"", limit(body), 17, "text/event-stream; charset=utf-8", kind, usage)
        raise Answered

    def embeddings(self, body: dict[str, Any]) -> None:
        if self.served.fault("wrong_shape"):
            self.send(200, {"object": "list", "data": []})
        if self.served.fault("wrong_answer"):
            count = len(body["input"]) if isinstance(body["input"], list) else 1
            self.send(200, {"object": "list", "data": [{"index": i, "embedding": [0.0] * 3} for i in range(count)]})
        super().embeddings(body)

    def judge(self, text: str) -> float:
        return float("nan") if self.served.fault("wrong_answer") else super().judge(text)

    def classify(self, body: dict[str, Any]) -> None:
        if self.served.fault("wrong_answer") or self.served.fault("wrong_shape"):
            self.send(200, {"object": "list", "data": []})
        super().classify(body)


def limit(body: dict[str, Any]) -> int:
    """The tokens of an answer: all that were asked for, as `ignore_eos` would have it; 16 is vLLM's own default."""
    value = body.get("max_completion_tokens") or body.get("max_tokens") or 16
    return value if isinstance(value, int) and value > 0 else 16


def get(served: Served, path: str, metrics: dict[str, float]) -> Answer:
    """The answer to a GET."""
    if path == "/health":
        return Answer(503 if served.fault("health_503_after") else 200, b"")
    if path == "/ping":
        return Answer(200, b"")
    if path in ("/version", "/load", "/docs", "/openapi.json"):
        return Answer(200, json.dumps({"version": served.release, "server_load": 0}).encode())
    if path == "/metrics":
        return Answer(200, exposition(served, metrics), media="text/plain; version=1.0.0; charset=utf-8")
    if path == "/v1/models":
        asked = Asked(served, path, b"", "")
        try:
            asked.models()
        except Answered:
            assert asked.answer is not None
            return asked.answer
    return Answer(404, b'{"detail":"Not Found"}')


def post(served: Served, path: str, raw: bytes, media: str) -> Answer:
    """The answer to a POST; a body that no route foresaw is a 400, as pydantic would have it."""
    asked = Asked(served, path, raw, media)
    try:
        asked.post()
    except (LookupError, TypeError, ValueError, AttributeError):
        return Answer(400, b'{"error":{"message":"1 validation error","type":"Bad Request","param":null,"code":400}}')
    assert asked.answer is not None
    return asked.answer


def exposition(served: Served, metrics: dict[str, float]) -> bytes:
    """Prometheus text as vLLM's client library writes it: labels in the order of their names."""
    lines = []
    for name, value in metrics.items():
        counter = name.endswith("_total")
        lines += [
            f"# HELP vllm:{name.removesuffix('_total')} A stand-in's figure.",
            f"# TYPE vllm:{name.removesuffix('_total')} {'counter' if counter else 'gauge'}",
            f'vllm:{name}{{engine="0",model_name="{served.names[0]}"}} {float(value)}',
        ]
    return "\n".join([*lines, ""]).encode()
