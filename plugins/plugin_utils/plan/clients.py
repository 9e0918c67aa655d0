"""How a person asks an endpoint: one request per kind, and the `curl` that sends it."""

from __future__ import annotations

import json
import shlex

from ansible_collections.baremetal.vllm.plugins.plugin_utils.planned.service import Service

# A red square (endpoint.media.png(64, 64)) stands in for the reader's own picture: engines may fetch none (docs/sandbox.md).
PICTURE = (
    "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAEAAAABACAIAAAAlC+aJAAAAeUlEQVR4nO3PQQkAMAzAwCqpfymTNR"
    "F7HINABFzm7H7dcEEDWtCAFjSgBQ1oQQNa0IAWNKAFDWhBA1rQgBY0oAUNaEEDWtCAFjSgBQ1oQQNa0IAWNKAFDWhBA1rQgBY0oAUNaEEDWtCAFjSgBQ1oQQNa0IAWNKAFj13Kp0DxHeM4GQAAAABJRU5ErkJggg=="
)
QUESTION = "What is the capital of France?"


def request(service: Service, question: str = QUESTION) -> tuple[str, dict[str, object]]:
    """The path and the JSON body of a first request to a service."""
    model = service.name
    documents = ["Berlin is the capital of Germany.", "Paris is the capital of France."]
    chat: list[dict[str, object]] = [{"role": "user", "content": question}]
    if service.kind == "vision":
        picture = {"type": "image_url", "image_url": {"url": PICTURE}}
        chat = [{"role": "user", "content": [picture, {"type": "text", "text": "Which colour is this picture?"}]}]
    bodies: dict[str, tuple[str, dict[str, object]]] = {
        "embedding": ("/v1/embeddings", {"model": model, "input": ["How do I reset my password?"]}),
        "rerank": ("/v1/rerank", {"model": model, "query": question, "documents": documents}),
        "score": ("/v1/score", {"model": model, "text_1": question, "text_2": documents}),
        "classify": ("/classify", {"model": model, "input": ["This product is great."]}),
    }
    return bodies.get(
        service.kind,
        ("/v1/chat/completions", {"model": model, "messages": chat, "max_tokens": 64, "temperature": 0}),
    )


def curl(service: Service, url: str, question: str = QUESTION, *, keyed: bool = True, direct: bool = False) -> str:
    """A `curl` command to paste; the key comes from the reader's environment, never from here.

    `url` is what comes before the path; `keyed`: whether a key must be sent; `direct`: past the proxy of the environment.
    """
    lines = ["  --noproxy '*'"] if direct else []
    if keyed:
        lines.append('  -H "Authorization: Bearer $VLLM_API_KEY"')
    if service.kind == "transcription":
        lines += ["  -F file=@speech.wav", f"  -F model={shlex.quote(service.name)}"]
        return " \\\n".join([f"curl {url}/v1/audio/transcriptions", *lines])
    path, body = request(service, question)
    lines += ["  -H 'Content-Type: application/json'", f"  -d {shlex.quote(json.dumps(body, ensure_ascii=False))}"]
    return " \\\n".join([f"curl {url}{path}", *lines])
