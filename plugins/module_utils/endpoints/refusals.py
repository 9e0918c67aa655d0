"""What must be refused: requests without the key, for another model, broken ones, and too long ones."""

from __future__ import annotations

from collections.abc import Iterator

from ansible_collections.baremetal.vllm.plugins.module_utils.endpoints.chat import request
from ansible_collections.baremetal.vllm.plugins.module_utils.endpoints.check import Check, expect, probe, skip
from ansible_collections.baremetal.vllm.plugins.module_utils.endpoints.client import Client, Reply
from ansible_collections.baremetal.vllm.plugins.module_utils.endpoints.kinds import CHAT, EMBEDDINGS, KINDS
from ansible_collections.baremetal.vllm.plugins.module_utils.endpoints.listing import MODELS, max_model_len
from ansible_collections.baremetal.vllm.plugins.module_utils.endpoints.service import Service
from ansible_collections.baremetal.vllm.plugins.module_utils.endpoints.smallest import send

UNKNOWN_MODEL = "no-such-model"


def post_text(client: Client, service: Service, model: str, text: str) -> Reply:
    """A request of the service's kind about `text`, addressed to `model`.

    Raises NoAnswer: where none comes within the client's timeout.
    """
    kind = KINDS[service.kind]
    return send(client, service, request(service, text, 1) if kind.chats else kind.about(text), model)


@probe("key_required", "wrong_key_refused")
def keys(client: Client, service: Service) -> Iterator[Check]:
    """Only /v1 is guarded (0.32.0): the listing stands for kinds whose route lies outside.

    Raises NoAnswer: where none comes within the client's timeout.
    """
    for name, key in (("key_required", None), ("wrong_key_refused", f"{client.key}-wrong")):
        if not service.prove.key:
            yield skip(name, "no API key is planned for this endpoint")
            continue
        stranger = client.with_key(key)
        replies = {MODELS: stranger.get(MODELS)}
        path = KINDS[service.kind].path
        if path.startswith("/v1/"):
            replies[path] = post_text(stranger, service, service.model, "Hello")
        yield expect(
            name,
            all(reply.status == 401 for reply in replies.values()),
            ", ".join(f"HTTP {reply.status} from {path}" for path, reply in replies.items()),
            "HTTP 401",
        )


@probe("unknown_model_refused")
def unknown_model(client: Client, service: Service) -> Iterator[Check]:
    """A model that nobody serves gets HTTP 404, and no answer from another model.

    Raises NoAnswer: where none comes within the client's timeout.
    """
    reply = post_text(client, service, UNKNOWN_MODEL, "Hello")
    yield expect("unknown_model_refused", reply.status == 404, str(reply), "HTTP 404 for a model that is not served")


@probe("malformed_refused")
def malformed(client: Client, service: Service) -> Iterator[Check]:
    """A body that is cut off gets HTTP 400; skipped for kinds that are asked with a form.

    Raises NoAnswer: where none comes within the client's timeout.
    """
    if KINDS[service.kind].form:
        yield skip("malformed_refused", "a transcription is asked for with a form, not with JSON")
        return
    reply = client.post(KINDS[service.kind].path, b'{"model": ')
    yield expect("malformed_refused", reply.status == 400, str(reply), "HTTP 400 for a body that is not JSON")


@probe("long_prompt_refused")
def long_prompt(client: Client, service: Service) -> Iterator[Check]:
    """A word more often than the context has tokens: no tokenizer makes fewer tokens than such words.

    Raises NoAnswer: where none comes within the client's timeout.
    """
    if KINDS[service.kind].form:
        yield skip("long_prompt_refused", "long audio is cut into pieces, not refused")
        return
    length = max_model_len(client, service)
    if length is None:
        yield skip("long_prompt_refused", "neither the engine nor the plan tells the length of the context")
        return
    reply = post_text(client, service, service.model, "a " * (length + 16))
    yield expect("long_prompt_refused", reply.status == 400, str(reply), f"HTTP 400 for more than {length} tokens")


@probe("other_kind_refused")
def other_kind(client: Client, service: Service) -> Iterator[Check]:
    """A model that also answers as another kind runs with other weights or another runner than planned.

    Raises NoAnswer: where none comes within the client's timeout.
    """
    if service.generates:
        path, body = EMBEDDINGS, {"model": service.model, **KINDS["embedding"].about("Hello")}
    else:
        path, body = CHAT, request(service, "Hello", 1)
    reply = client.post(path, body)
    yield expect("other_kind_refused", reply.status in (400, 404), f"{reply} from {path}", f"HTTP 404 from {path}")
