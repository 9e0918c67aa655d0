"""The smallest request that makes an engine work, by kind.

vllm-wait-ready and vllm-canary hold the same table: they run on hosts, alone.
"""

from __future__ import annotations

from typing import Any

from ansible_collections.baremetal.vllm.plugins.module_utils.endpoints.client import Client, Reply
from ansible_collections.baremetal.vllm.plugins.module_utils.endpoints.media import wav
from ansible_collections.baremetal.vllm.plugins.module_utils.endpoints.service import Service

CHAT: tuple[str, dict[str, Any]] = (
    "/v1/chat/completions",
    {"messages": [{"role": "user", "content": "ready?"}], "max_tokens": 1},
)
REQUESTS: dict[str, tuple[str, dict[str, Any]]] = {
    "embedding": ("/v1/embeddings", {"input": "ready"}),
    "rerank": ("/v1/rerank", {"query": "ready", "documents": ["ready"]}),
    "score": ("/v1/score", {"text_1": "ready", "text_2": "ready"}),
    "classify": ("/classify", {"input": "ready"}),
    "transcription": ("/v1/audio/transcriptions", {"temperature": "0"}),
}


def ask_one(client: Client, service: Service) -> Reply:
    """Raises NoAnswer where none comes within the client's timeout."""
    path, fields = REQUESTS.get(service.kind, CHAT)
    fields = {"model": service.model, **fields}
    return (
        client.upload(path, fields, "tone.wav", wav()) if service.kind == "transcription" else client.post(path, fields)
    )
