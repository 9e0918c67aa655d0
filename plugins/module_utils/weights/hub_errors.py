"""What went wrong with a hub, in one line with its remedy.

Errors are told apart by class name and HTTP status: `huggingface_hub` changed its HTTP library between the releases
that engines bring, and this file must load without either.
"""

from __future__ import annotations

import errno
from dataclasses import dataclass

NETWORK = {
    "ConnectError", "ConnectTimeout", "ReadTimeout", "ReadError", "RemoteProtocolError", "TimeoutException",
    "ConnectionError", "ChunkedEncodingError", "ProxyError", "SSLError", "Timeout", "ConnectionResetError",
    "PoolTimeout", "WriteError", "ConsistencyError", "LocalEntryNotFoundError", "NetworkError",
}  # fmt: skip


@dataclass(frozen=True)
class HubError:
    """`kind` is denied, missing, network, space or other; only `network` is worth another try."""

    kind: str
    text: str


def _chain(error: BaseException | None) -> list[BaseException]:
    found: list[BaseException] = []
    while error is not None and error not in found:
        found.append(error)
        error = error.__cause__ or error.__context__
    return found


def _status(errors: list[BaseException]) -> int:
    for error in errors:
        status = getattr(getattr(error, "response", None), "status_code", None)
        if isinstance(status, int):
            return status
    return 0


def explain(error: BaseException, repo: str, revision: str, endpoint: str, has_token: bool) -> HubError:
    """Turn an exception of `huggingface_hub` (or of what it calls) into one line for the operator."""
    errors = _chain(error)
    names = {kind.__name__ for one in errors for kind in type(one).__mro__}
    status = _status(errors)
    where = f"{repo}@{revision[:12]} at {endpoint}"
    token = "the token in vllm_hf_token" if has_token else "no token is set in vllm_hf_token"
    if any(isinstance(one, OSError) and one.errno in (errno.ENOSPC, errno.EDQUOT) for one in errors):
        return HubError("space", f"{where}: the disk is full; make room and run again, what is there already is kept")
    if "GatedRepoError" in names:
        return HubError(
            "denied",
            f"{where}: access is gated ({status or 403}), {token}: accept the licence on the model's page with the "
            "account that the token belongs to, and set that token",
        )
    if "RevisionNotFoundError" in names:
        return HubError("missing", f"{where}: no such revision; pin one of the repository's 40-digit commits")
    if status in (401, 403):
        remedy = "it is refused" if has_token else "set one"
        return HubError(
            "denied",
            f"{where}: not authorised ({status}), or no such repository; {token}: {remedy} (or check the name)",
        )
    if "RepositoryNotFoundError" in names or status == 404:
        return HubError("missing", f"{where}: no such repository (404), check the model's name; {token}")
    if names & NETWORK or status >= 500 or status == 429 or "Consistency check" in str(error):
        detail = next((str(one).strip().splitlines()[0] for one in reversed(errors) if str(one).strip()), "no answer")
        return HubError(
            "network",
            f"{where}: cannot be reached or breaks off ({detail[:160]}); check network and proxy (vllm_proxy), set "
            "model_weights_endpoint to a mirror, or model_weights_offline and bring the files",
        )
    first = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
    return HubError("other", f"{where}: {type(error).__name__}: {first[:200]}")
