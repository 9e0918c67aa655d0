"""A stand-in for `vllm serve`: its paths, answers and errors as seen in 0.32.0, with faults that can be switched on.

It judges nothing: texts have fixed vectors, the answer is always the same. It is there to prove that each check
notices the one fault for which it exists.
"""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

MODEL = "stand-in"
# A key of this process alone: one test shows it in an argument on purpose, and a test beside it must not find it.
KEY = f"sk-stand-in-{os.getpid():010}"
LENGTH = 128

GENERATES = {"chat", "reasoning", "vision"}
VECTORS = {"cat": [1.0, 0.0, 0.0], "kitten": [0.8, 0.6, 0.0], "stock": [0.0, 0.0, 1.0]}
SCORES = {"capital": 0.9, "kitten": 0.3, "stock": 0.2, "Bananas": 0.1}


class StandInVllm:
    """One endpoint on a free port of loopback, within a `with` block."""

    def __init__(self, kind: str, *faults: str, adapters: tuple[str, ...] = (), key: str | None = KEY) -> None:
        self.kind, self.faults, self.adapters, self.key = kind, set(faults), adapters, key
        self.requests: list[str] = []
        self.released = threading.Event()
        standin = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                Exchange(standin, self).get()

            def do_POST(self) -> None:
                Exchange(standin, self).post()

            def log_message(self, *__: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.port = self.server.server_port

    def __enter__(self) -> StandInVllm:
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        return self

    def __exit__(self, *__: object) -> None:
        self.released.set()
        self.server.shutdown()
        self.server.server_close()


class Answered(Exception):
    """The answer is on its way; nothing else may follow."""


class Exchange:
    """One request and its answer."""

    def __init__(self, standin: StandInVllm, handler: BaseHTTPRequestHandler) -> None:
        self.standin, self.handler, self.path = standin, handler, handler.path
        standin.requests.append(f"{handler.command} {handler.path}")

    def fault(self, name: str) -> bool:
        return name in self.standin.faults

    # -- answers

    def send(self, status: int, body: Any, media: str = "application/json") -> None:
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.handler.send_response(status)
        self.handler.send_header("Content-Type", media)
        self.handler.send_header("Content-Length", str(len(content)))
        self.handler.end_headers()
        self.handler.wfile.write(content)
        raise Answered

    def refuse(self, status: int, message: str) -> None:
        self.send(status, {"error": {"message": message, "type": "Error", "param": None, "code": status}})

    def hang(self) -> None:
        self.standin.released.wait(10)
        raise Answered

    # -- requests

    def get(self) -> None:
        try:
            self.guard()
            if self.path == "/health":
                self.send(503 if self.fault("unhealthy") else 200, b"")
            if self.path == "/v1/models":
                self.models()
            if self.path == "/metrics":
                self.metrics()
            self.send(404, {"detail": "Not Found"})
        except (Answered, OSError):
            pass

    def post(self) -> None:
        try:
            raw = self.handler.rfile.read(int(self.handler.headers["Content-Length"]))
            self.guard()
            self.route(raw)
        except (Answered, OSError):
            pass

    def guard(self) -> None:
        given = self.handler.headers.get("Authorization")
        if not self.path.startswith("/v1") or self.standin.key is None or given == f"Bearer {self.standin.key}":
            return
        if self.fault("post_unguarded") and self.handler.command == "POST":
            return
        if self.fault("key_not_required" if given is None else "wrong_key_accepted"):
            return
        self.send(401, {"error": "Unauthorized"})

    def metrics(self) -> None:
        if self.fault("metrics_hang"):
            self.hang()
        posts = [request for request in self.standin.requests if request.startswith("POST")]
        asked = len(self.standin.requests)
        # Clients that went away are counted until the engine works again.
        running = 2 if self.fault("metrics_stale") and not posts else 0
        lines = [
            "# TYPE vllm:num_requests_running gauge",
            f'vllm:num_requests_running{{engine="0",model_name="x"}} {running}.0',
            'vllm:num_requests_waiting{engine="0",model_name="x"} 0.0',
            f'vllm:generation_tokens_total{{engine="0",model_name="x"}} {asked if self.fault("metrics_move") else 7}.0',
        ]
        self.send(200, "\n".join([*lines, ""]).encode(), "text/plain; version=0.0.4")

    def models(self) -> None:
        if self.fault("models_not_json"):
            self.send(200, b"<html>")
        card = {"id": MODEL, "object": "model", "root": "/models/x", "parent": None, "max_model_len": LENGTH}
        names = ["other" if self.fault("unlisted") else MODEL, f"{MODEL}-alias"]
        cards = [{**card, "id": name} for name in names]
        for adapter in self.standin.adapters:
            if not self.fault("adapter_unlisted"):
                cards.append({"id": adapter, "parent": None if self.fault("adapter_orphan") else MODEL})
        self.send(200, {"object": "list", "data": cards})

    def route(self, raw: bytes) -> None:
        kind = self.standin.kind
        routes: dict[str, tuple[set[str], Callable[[dict[str, Any]], None]]] = {
            "/v1/chat/completions": (GENERATES, self.chat),
            "/v1/embeddings": ({"embedding"}, self.embeddings),
            "/v1/rerank": ({"rerank", "score", "embedding"}, self.rerank),
            "/v1/score": ({"rerank", "score", "embedding"}, self.score),
            "/classify": ({"classify"}, self.classify),
        }
        if self.path == "/v1/audio/transcriptions" and kind == "transcription":
            self.transcription(raw)
        no_route: tuple[set[str], Callable[[dict[str, Any]], None] | None] = (set(), None)
        kinds, serve = routes.get(self.path, no_route)
        if serve is None or kind not in kinds:
            if self.fault("other_kind_accepted") and serve is not None:
                self.send(200, {"data": []})
            self.send(404, {"detail": "Not Found"})
            return
        try:
            body = json.loads(raw)
        except ValueError:
            self.refuse(500 if self.fault("malformed_500") else 400, "1 validation error: JSON decode error")
        model = body.get("model")
        if model not in {MODEL, f"{MODEL}-alias", *self.standin.adapters} and not self.fault("unknown_model_accepted"):
            self.refuse(404, f"The model `{model}` does not exist.")
        if json.dumps(body).count("a a ") > LENGTH // 3 and not self.fault("long_prompt_accepted"):
            self.refuse(400, f"This model's maximum context length is {LENGTH} tokens.")
        serve(body)

    # -- kinds

    def chat(self, body: dict[str, Any]) -> None:
        if "thinking_token_budget" in body and (self.standin.kind != "reasoning" or self.fault("parser_off")):
            self.refuse(400, "thinking_token_budget is set but reasoning_config is not configured")
        prompt = self.prompt_tokens(body)
        if "response_format" in body:
            self.complete(body, prompt, self.structured_text())
        if "tools" in body:
            self.tool_call(body, prompt)
        if body["model"] in self.standin.adapters:
            if self.fault("adapter_refused"):
                self.refuse(500, "EngineCore encountered an issue.")
            self.complete(body, prompt, "" if self.fault("adapter_silent") else "Oui", model=self.adapter_name(body))
        if body.get("stream"):
            self.stream(body)
        if self.fault("answer_500"):
            self.refuse(500, "EngineCore encountered an issue.")
        if self.fault("answer_not_json"):
            self.send(200, b"{{")
        if self.fault("answer_a_list"):
            self.send(200, [])
        if self.fault("answer_without_choices"):
            self.send(200, {"choices": []})
        if self.fault("answer_hangs"):
            self.hang()
        if self.fault("answer_cut"):
            self.handler.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 900\r\n\r\n{")
            self.handler.close_connection = True
            raise Answered
        text = "" if self.fault("answer_empty") else "Berlin." if self.fault("answer_wrong") else "It is Paris."
        self.complete(body, prompt, text)

    def adapter_name(self, body: dict[str, Any]) -> str:
        return MODEL if self.fault("adapter_ignored") else str(body["model"])

    def prompt_tokens(self, body: dict[str, Any]) -> int:
        content = body["messages"][0]["content"]
        if isinstance(content, str):
            return 17
        urls = [part["image_url"]["url"] for part in content if part["type"] == "image_url"]
        for url in urls:
            if not url.startswith("data:image/png;base64,iVBOR") and not self.fault("broken_image_accepted"):
                self.refuse(500 if self.fault("broken_image_500") else 400, "cannot identify image file")
        return 83 if urls and not self.fault("image_ignored") else 17

    def structured_text(self) -> str:
        if self.fault("structured_not_json"):
            return '{"city": "Par'
        if self.fault("structured_extra_key"):
            return '{"city": "Paris", "rank": 1, "more": 1}'
        return (
            '{"city": "Paris", "rank": 99}'
            if self.fault("structured_out_of_bounds")
            else '{"city": "Paris", "rank": 1}'
        )

    def usage(self, prompt: int, completion: int) -> dict[str, Any]:
        total = prompt + completion + (1 if self.fault("usage_sum") else 0)
        counts: dict[str, Any] = {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": total}
        if self.fault("usage_zero"):
            counts = {"prompt_tokens": prompt, "completion_tokens": 0, "total_tokens": prompt}
        if self.fault("usage_too_many"):
            counts = {"prompt_tokens": prompt, "completion_tokens": 999, "total_tokens": prompt + 999}
        with_parser = (
            self.standin.kind == "reasoning" and not self.fault("parser_off") and not self.fault("details_missing")
        )
        return {**counts, "completion_tokens_details": {"reasoning_tokens": 4} if with_parser else None}

    def complete(self, body: dict[str, Any], prompt: int, text: str, model: str = MODEL, **message: Any) -> None:
        answer: dict[str, Any] = {"role": "assistant", "content": text, "reasoning": None, **message}
        if self.standin.kind == "reasoning":
            answer["reasoning"] = "Let me think."
            if self.fault("parser_off"):
                answer.update(reasoning=None, content=f"<think>Let me think.</think>{text}")
            if self.fault("thoughts_in_content"):
                answer.update(content=f"</think>{text}")
            if self.fault("content_null") and "response_format" not in body:
                answer.update(content=None)
        if self.standin.kind == "reasoning" and "response_format" in body and self.fault("parser_off"):
            answer["content"] = text
        if self.standin.kind == "reasoning" and "response_format" in body and self.fault("thoughts_in_content"):
            answer["content"] = text
        finish = message.pop("finish_reason", "stop")
        usage = self.usage(prompt, 4)
        choice = {"index": 0, "message": answer, "finish_reason": finish}
        document: dict[str, Any] = {
            "id": "x",
            "object": "chat.completion",
            "model": model,
            "choices": [choice],
            "usage": usage,
        }
        if self.fault("usage_missing"):
            del document["usage"]
        self.send(200, document)

    def tool_call(self, body: dict[str, Any], prompt: int) -> None:
        choice = "required" if body["tool_choice"] == "required" else "named"
        arguments = '{"city": "Paris"}'
        name = body["tools"][0]["function"]["name"]
        if self.fault(f"tool_{choice}_breaks_schema"):
            arguments = '{"city": "Atlantis"}'
        if self.fault(f"tool_{choice}_not_json"):
            arguments = '{"city": '
        if self.fault(f"tool_{choice}_other_name"):
            name = "delete_everything"
        calls = [{"id": "c", "type": "function", "function": {"name": name, "arguments": arguments}}]
        if self.fault(f"tool_{choice}_not_called"):
            calls = []
        self.complete(body, prompt, "", tool_calls=calls)

    def stream(self, body: dict[str, Any]) -> None:
        if self.fault("stream_as_json"):
            self.send(200, {"choices": []})
        handler = self.handler
        handler.send_response(200)
        handler.send_header("Content-Type", "text/event-stream; charset=utf-8")
        handler.send_header("Transfer-Encoding", "chunked")
        handler.end_headers()
        deltas: list[dict[str, Any]] = [{"role": "assistant", "content": ""}]
        deltas += [] if self.fault("stream_empty") else [{"content": "It is "}, {"content": "Pa"}, {"content": "ris."}]
        for number, delta in enumerate(deltas):
            self.chunk({"choices": [{"index": 0, "delta": delta, "finish_reason": None}]})
            time.sleep(0.01)
            if number == 2 and self.fault("stream_cut"):
                handler.close_connection = True
                raise Answered
            if number == 2 and self.fault("stream_hangs"):
                self.hang()
            if number == 2 and self.fault("stream_error"):
                self.chunk({"error": {"message": "EngineCore encountered an issue.", "code": 500}})
        if self.fault("stream_not_json"):
            self.event("It is Paris.")
        if not self.fault("stream_without_finish"):
            self.chunk({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
        if not self.fault("stream_without_done"):
            self.event("[DONE]")
        handler.wfile.write(b"0\r\n\r\n")
        raise Answered

    def chunk(self, document: dict[str, Any]) -> None:
        self.event(json.dumps(document))

    def event(self, data: str) -> None:
        content = f"data: {data}\n\n".encode()
        self.handler.wfile.write(f"{len(content):x}\r\n".encode() + content + b"\r\n")
        self.handler.wfile.flush()

    def embeddings(self, body: dict[str, Any]) -> None:
        texts = body["input"] if isinstance(body["input"], list) else [body["input"]]
        vectors = [
            next((list(vector) for word, vector in VECTORS.items() if word in text), [0.6, 0.8, 0.0]) for text in texts
        ]
        if self.fault("embedding_unrelated_closer"):
            for text, vector in zip(texts, vectors, strict=True):
                vector[:] = [0.9, 0.0, 0.43589] if "stock" in text else vector
        if self.fault("embedding_reversed"):
            vectors.reverse()
        if self.fault("embedding_ragged"):
            vectors[-1] = vectors[-1][:2]
        if self.fault("embedding_nan"):
            vectors[-1][0] = float("nan")
        for text, vector in zip(texts, vectors, strict=True):
            if self.fault("embedding_long") and "stock" in text:
                vector[:] = [3 * value for value in vector]
            if self.fault("embedding_zero") and "stock" in text:
                vector[:] = [0.0] * len(vector)
        data = [{"index": number, "embedding": vector} for number, vector in enumerate(vectors)]
        if self.fault("embedding_misnumbered"):
            data[0]["index"] = 1
        if self.fault("embedding_missing"):
            data.pop()
        self.send(200, {"object": "list", "data": data, "usage": {"prompt_tokens": 9, "total_tokens": 9}})

    def judge(self, text: str) -> float:
        if self.fault("rerank_wrong_winner") and "Bananas" in text:
            return 0.99
        return next((score for word, score in SCORES.items() if word in text), 0.5)

    def rerank(self, body: dict[str, Any]) -> None:
        documents = body["documents"]
        results: list[dict[str, Any]] = [
            {"index": number, "document": {"text": text}, "relevance_score": self.judge(text)}
            for number, text in enumerate(documents)
        ]
        if not self.fault("rerank_unsorted"):
            results.sort(key=lambda item: -item["relevance_score"])
        top = body.get("top_n") or len(results)
        if self.fault("top_n_ignored"):
            top = len(results)
        results = results[-top:] if self.fault("top_n_worst") else results[:top]
        if self.fault("rerank_duplicate"):
            results[-1]["index"] = results[0]["index"]
        if self.fault("rerank_wrong_text"):
            results[0]["document"]["text"] = "?"
        if self.fault("rerank_nan"):
            results[-1]["relevance_score"] = float("nan")
        self.send(200, {"model": MODEL, "results": results, "usage": {"prompt_tokens": 9, "total_tokens": 9}})

    def score(self, body: dict[str, Any]) -> None:
        texts = body["text_2"] if isinstance(body["text_2"], list) else [body["text_2"]]
        shift = -0.2 if self.fault("score_differs") else 0.0
        data = [
            {"index": number, "object": "score", "score": self.judge(text) + shift} for number, text in enumerate(texts)
        ]
        if self.fault("score_missing"):
            data.pop()
        self.send(200, {"object": "list", "data": data})

    def classify(self, body: dict[str, Any]) -> None:
        texts = body["input"] if isinstance(body["input"], list) else [body["input"]]
        probabilities = (
            [0.9, 0.3] if self.fault("classify_sum") else [1.2, -0.2] if self.fault("classify_range") else [0.7, 0.3]
        )
        data = [
            {"index": number, "label": "A", "probs": probabilities, "num_classes": 2} for number in range(len(texts))
        ]
        if self.fault("classify_missing"):
            data.pop()
        self.send(200, {"object": "list", "data": data})

    def transcription(self, raw: bytes) -> None:
        if self.fault("audio_route_absent"):
            self.send(404, {"detail": "Not Found"})
        if self.fault("audio_packages_absent") and f"{MODEL}\r\n".encode() in raw:
            self.refuse(400, "Invalid or unsupported audio file.")
        named = any(f"name={quote}model{quote}\r\n\r\n{MODEL}\r\n".encode() in raw for quote in ('"', ""))
        if not named and not self.fault("unknown_model_accepted"):
            self.refuse(404, "The model does not exist.")
        if b"RIFF" not in raw:
            self.refuse(400, "Invalid or unsupported audio file.")
        self.send(200, {"usage": {}} if self.fault("text_missing") else {"text": "", "usage": {}})
