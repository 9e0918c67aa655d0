"""One request of a service's kind, and the smallest that makes its engine work."""

from __future__ import annotations

from collections.abc import Mapping

from ansible_collections.baremetal.vllm.plugins.module_utils.endpoints.client import Client, Reply
from ansible_collections.baremetal.vllm.plugins.module_utils.endpoints.kinds import KINDS
from ansible_collections.baremetal.vllm.plugins.module_utils.endpoints.media import wav
from ansible_collections.baremetal.vllm.plugins.module_utils.endpoints.service import Service


def send(client: Client, service: Service, fields: Mapping[str, object], model: str) -> Reply:
    """Send `fields`, addressed to `model`; with a tone where the kind takes a form.

    Raises NoAnswer: where none comes within the client's timeout.
    """
    kind, body = KINDS[service.kind], {**fields, "model": model}
    return client.upload(kind.path, body, "tone.wav", wav()) if kind.form else client.post(kind.path, body)


def ask_one(client: Client, service: Service) -> Reply:
    """Raises NoAnswer where none comes within the client's timeout."""
    return send(client, service, KINDS[service.kind].smallest, service.model)
