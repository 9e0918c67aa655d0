"""Is the server there, and does it list the model under every name that clients use?"""

from __future__ import annotations

from collections.abc import Iterator

from ansible_collections.baremetal.vllm.plugins.module_utils.endpoints.check import Check, expect, probe
from ansible_collections.baremetal.vllm.plugins.module_utils.endpoints.client import (
    Client,
    Unexpected,
    pick,
    require_object,
)
from ansible_collections.baremetal.vllm.plugins.module_utils.endpoints.service import Service

MODELS = "/v1/models"


def cards(client: Client) -> dict[str, dict[str, object]]:
    """What `/v1/models` says, by model name. Raises Unexpected: for an answer of another shape, and for none."""
    listed = pick(require_object(client.get(MODELS), MODELS), "data")
    return {str(pick(card, "id")): card for card in listed}


def max_model_len(client: Client, service: Service) -> int | None:
    """The longest prompt plus answer in tokens: as the engine says, else as planned."""
    try:
        length = cards(client).get(service.model, {}).get("max_model_len")
    except Unexpected:
        length = None
    return length if isinstance(length, int) else service.prove.max_model_len


@probe("healthy")
def healthy(client: Client, service: Service) -> Iterator[Check]:
    """`/health` says only that the server's process lives; the other checks say whether it can answer.

    Raises NoAnswer: where none comes within the client's timeout.
    """
    reply = client.get("/health")
    yield expect("healthy", reply.status == 200, str(reply), "HTTP 200 from /health")


@probe("listed")
def listed(client: Client, service: Service) -> Iterator[Check]:
    """All names under which clients ask are in /v1/models; further ones do no harm.

    Raises Unexpected: for an answer of another shape, and for none.
    """
    found = cards(client)
    names = ", ".join(service.served_names)
    present = all(name in found for name in service.served_names)
    yield expect("listed", present, f"models {', '.join(found) or 'none'}", f"{names} in {MODELS}")
