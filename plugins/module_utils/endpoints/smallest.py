"""The smallest request that makes an engine work, by kind."""

from __future__ import annotations

from ansible_collections.baremetal.vllm.plugins.module_utils.endpoints.client import Client, Reply
from ansible_collections.baremetal.vllm.plugins.module_utils.endpoints.kinds import KINDS
from ansible_collections.baremetal.vllm.plugins.module_utils.endpoints.media import wav
from ansible_collections.baremetal.vllm.plugins.module_utils.endpoints.service import Service


def ask_one(client: Client, service: Service) -> Reply:
    """Raises NoAnswer where none comes within the client's timeout."""
    kind = KINDS[service.kind]
    fields = {"model": service.model, **kind.smallest}
    return (
        client.upload(kind.path, {name: str(value) for name, value in fields.items()}, "tone.wav", wav())
        if kind.form
        else client.post(kind.path, fields)
    )
