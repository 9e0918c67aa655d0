"""Is an image read, and a broken one refused?"""

from __future__ import annotations

from collections.abc import Iterator

from ansible_collections.baremetal.vllm.plugins.module_utils.endpoints.chat import request
from ansible_collections.baremetal.vllm.plugins.module_utils.endpoints.check import Check, expect, probe
from ansible_collections.baremetal.vllm.plugins.module_utils.endpoints.client import Client, pick
from ansible_collections.baremetal.vllm.plugins.module_utils.endpoints.kinds import CHAT
from ansible_collections.baremetal.vllm.plugins.module_utils.endpoints.media import data_url, png
from ansible_collections.baremetal.vllm.plugins.module_utils.endpoints.service import Service

QUESTION = "Which colour is this?"
SIDE = 224


def _request(service: Service, image: bytes | None) -> dict[str, object]:
    content: list[dict[str, object]] = [{"type": "text", "text": QUESTION}]
    if image is not None:
        content.append({"type": "image_url", "image_url": {"url": data_url(image)}})
    return request(service, content, 1)


@probe("image_read")
def image_read(client: Client, service: Service) -> Iterator[Check]:
    """The tokens of the prompt tell, whatever the model makes of the image: 83 with it and 17 without in 0.32.0.

    Raises Unexpected: for an answer of another shape, and for none.
    """
    without, with_image = (
        pick(client.ask(CHAT, _request(service, image)), "usage", "prompt_tokens") for image in (None, png(SIDE, SIDE))
    )
    yield expect(
        "image_read",
        with_image > without,
        f"{with_image} prompt tokens with an image, {without} without",
        "more prompt tokens with an image",
    )


@probe("broken_image_refused")
def broken_image(client: Client, service: Service) -> Iterator[Check]:
    """Bytes that are no image are refused as the client's fault (4xx), and do not end the engine.

    Raises NoAnswer: where none comes within the client's timeout.
    """
    reply = client.post(CHAT, _request(service, b"this is no image"))
    yield expect("broken_image_refused", 400 <= reply.status < 500, str(reply), "HTTP 400 for an unreadable image")
