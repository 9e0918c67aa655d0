"""What the gateway itself answers when it refuses or has nobody to ask, in the shape of OpenAI's API.

Shape and codes: platform.openai.com/docs/guides/error-codes; clients of OpenAI read `error.message`, `error.code` and
`Retry-After`.
"""

from __future__ import annotations

import json
from dataclasses import dataclass

INVALID = "invalid_request_error"
# Seconds after which a client may try again.
SOON, LATER = 2, 5


@dataclass(frozen=True)
class Answer:
    """An error as HAProxy's `http-request return` prints it. `headers`: name and value; `text`: the body, one line of JSON.

    `text` may hold HAProxy's `%[…]` where `formatted` is true. Neither apostrophe nor backslash is in it: the template
    puts it between apostrophes.
    """

    status: int
    text: str
    headers: tuple[tuple[str, str], ...] = ()
    formatted: bool = False


def _answer(
    status: int,
    message: str,
    code: str,
    param: str | None = None,
    kind: str = INVALID,
    retry_after: int = 0,
    headers: tuple[tuple[str, str], ...] = (),
    formatted: bool = False,
) -> Answer:
    error: dict[str, object] = {"message": message, "type": kind, "param": param, "code": code}
    retry = (("Retry-After", str(retry_after)),) if retry_after else ()
    return Answer(status, json.dumps({"error": error}), (*headers, *retry), formatted)


# The model's name is the client's text: only HAProxy's json converter may put it into an answer.
_NAMED = "The model %[var(txn.model),json(utf8s)] does not exist or this key may not use it. GET /v1/models lists the models."
ANSWERS = {
    "path": _answer(404, "This path is not served here.", "unknown_url"),
    "not_post": _answer(405, "This path takes POST requests only.", "method_not_allowed", headers=(("Allow", "POST"),)),
    "not_get": _answer(
        405, "This path takes GET requests only.", "method_not_allowed", headers=(("Allow", "GET, HEAD"),)
    ),
    "key": _answer(
        401,
        "No API key that this gateway knows. Send it as: Authorization: Bearer <key>",
        "invalid_api_key",
        headers=(("WWW-Authenticate", "Bearer"),),
    ),
    "rate": _answer(
        429, "This key has used up its requests per minute.", "rate_limit_exceeded", None, "requests", LATER
    ),
    "concurrent": _answer(
        429, "This key has as many requests under way as it may have.", "rate_limit_exceeded", None, "requests", SOON
    ),
    "model": _answer(404, _NAMED, "model_not_found", "model", formatted=True),
    "card": _answer(404, "This model does not exist. GET /v1/models lists the models.", "model_not_found", "model"),
    # Last rule of the door: a body that was neither accepted nor refused goes nowhere.
    "unread": _answer(400, "The body could not be read.", "invalid_request"),
    "engine_key": _answer(
        502, "The engine refuses the key of the gateway.", "engine_key_refused", None, "server_error", LATER
    ),
}
# What route.lua may find wrong with a body, by the code in var(txn.refusal).
REFUSALS = {
    "media_type": _answer(
        415,
        "The body must be application/json, or multipart/form-data where a file is sent.",
        "unsupported_media_type",
    ),
    "encoding": _answer(415, "A body with a Content-Encoding is not taken.", "unsupported_content_encoding"),
    "too_large": _answer(413, "The body is larger than this gateway takes.", "request_too_large"),
    "not_json": _answer(400, "The body is not one whole JSON object in UTF-8.", "invalid_json"),
    "too_complex": _answer(400, "The body is nested too deeply, or has too many parts.", "invalid_json"),
    "bad_form": _answer(400, "The body is not a whole form as multipart/form-data.", "invalid_form"),
    "no_model": _answer(400, "The body names no model.", "missing_required_parameter", "model"),
    "two_models": _answer(400, "The body names model more than once.", "duplicate_parameter", "model"),
    "model_not_text": _answer(400, "The model is not a name as text.", "invalid_type", "model"),
}
# What HAProxy itself says, by status.
_SERVER = "server_error"
_STATUSES = (
    _answer(400, "This is not a request that HTTP allows.", "bad_request"),
    _answer(403, "This request is not allowed.", "forbidden"),
    _answer(408, "The request did not arrive in time.", "request_timeout"),
    _answer(413, "The body is larger than this gateway takes.", "request_too_large"),
    _answer(422, "This transfer encoding is not taken.", "unsupported_transfer_encoding"),
    _answer(429, "Too many requests.", "rate_limit_exceeded", None, "requests", LATER),
    _answer(500, "The gateway failed to handle this request.", "internal_error", None, _SERVER),
    _answer(501, "This is not implemented.", "not_implemented"),
    _answer(502, "The engine ended without a whole answer.", "engine_lost", None, _SERVER, LATER),
    _answer(503, "No engine can take requests for this model now.", "no_replica", None, _SERVER, LATER),
    _answer(504, "The engine was silent for too long.", "engine_timeout", None, _SERVER),
)
STATUSES = {answer.status: answer for answer in _STATUSES}
