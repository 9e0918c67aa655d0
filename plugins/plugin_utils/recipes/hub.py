"""What a model hub says of a model: its newest commit, its configuration, its size. Runs on the control node.

The interface is that of huggingface.co, as HfApi.model_info of huggingface_hub asks it (`GET /api/models/ORG/NAME?blobs=true`, or
`…/revision/REVISION`) and hf_hub_url names files (`GET /ORG/NAME/resolve/COMMIT/FILE`); mirrors have the same.
Proxies are taken from the environment (https_proxy, no_proxy), where `vllm_proxy` is put; a request ends after a bounded time.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.client import HTTPException
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.parse import quote, urlsplit
from urllib.request import Request, build_opener

from ansible_collections.baremetal.vllm.plugins.module_utils.text.values import Values

ENDPOINT = "https://huggingface.co"
# Seconds for one file, connection and all: this is a look-up, and no download.
PATIENCE = 20.0
_MOST = 50_000_000
_COMMIT = re.compile(r"[0-9a-f]{40}")
_MODEL = re.compile(r"[A-Za-z0-9][\w.-]*(/[A-Za-z0-9][\w.-]*)?")


class HubFailure(Exception):
    """Why the hub said nothing. `kind`: "missing", "denied", "network" or "other"; the text is one sentence with its remedy."""

    def __init__(self, kind: str, text: str) -> None:
        super().__init__(text)
        self.kind = kind


@dataclass(frozen=True)
class HubModel:
    """`model`: the hub's own spelling; `revision`: the 40-digit commit of what was asked for; `modified`: its date or "";
    `task`: the hub's pipeline tag; `config`: architectures, model_type and the like; `files`: name to bytes, 0 where not said."""

    model: str
    revision: str
    modified: str
    task: str
    gated: bool
    config: Values
    files: Mapping[str, int] = field(default_factory=dict)

    @property
    def weights(self) -> int:
        """Bytes of the weights that an engine loads: safetensors, else PyTorch's own."""
        for pattern in (r"(?!consolidated).*\.safetensors", r".*\.bin"):
            sizes = [size for name, size in self.files.items() if re.fullmatch(pattern, name) and "/" not in name]
            if sizes:
                return sum(sizes)
        return 0


class Hub:
    """One hub. `token`: for gated models, sent to `endpoint` alone, where a redirect leads elsewhere not."""

    def __init__(self, endpoint: str = "", token: str = "", patience: float = PATIENCE) -> None:
        self.endpoint = (endpoint or ENDPOINT).rstrip("/")
        self._token, self._patience = token, patience
        # Reads the proxies of the environment now: urlopen keeps those of its first call.
        self._opener = build_opener()

    def look(self, model: str, revision: str = "main") -> HubModel:
        """What the hub says of a model at a branch, a tag or a commit. Raises HubFailure."""
        if not _MODEL.fullmatch(model):
            raise HubFailure("missing", f"model: {model!r} is no hub id: write ORG/NAME")
        if urlsplit(self.endpoint).scheme not in ("http", "https"):
            raise HubFailure("other", f"{self.endpoint} is no address of a hub: write https://… (HF_ENDPOINT)")
        # The commit of `main` is what the bare address answers with, which more mirrors have.
        at = "" if revision == "main" else f"/revision/{quote(revision, safe='')}"
        said = self._get(f"/api/models/{model}{at}?blobs=true", model)
        try:
            document = json.loads(said)
            commit = document["sha"]
        except (ValueError, KeyError, TypeError, RecursionError):
            raise HubFailure("other", f"{self._where(model)} answers with something that is no model: {_odd}") from None
        if not isinstance(commit, str) or not _COMMIT.fullmatch(commit):
            raise HubFailure(
                "other", f"{self._where(model)} names the commit {str(commit)[:60]!r}, which is none: {_odd}"
            )
        siblings = document.get("siblings")
        files = {
            str(one["rfilename"]): one["size"] if isinstance(one.get("size"), int) else 0
            for one in (siblings if isinstance(siblings, list) else ())
            if isinstance(one, Mapping) and "rfilename" in one
        }
        config = document.get("config")
        own = document.get("id")
        return HubModel(
            model=own if isinstance(own, str) and _MODEL.fullmatch(own) else model,
            revision=commit,
            modified=str(document.get("lastModified") or "")[:10],
            task=str(document.get("pipeline_tag") or ""),
            gated=bool(document.get("gated")),
            config=config if isinstance(config, Mapping) else {},
            files=files,
        )

    def file(self, found: HubModel, name: str) -> bytes:
        """One small file of the model at its commit. Raises HubFailure."""
        return self._get(f"/{found.model}/resolve/{found.revision}/{quote(name)}", found.model)

    def _get(self, path: str, model: str) -> bytes:
        request = Request(self.endpoint + path, headers={"User-Agent": "baremetal-vllm"})  # noqa: S310 (look: http or https)
        if self._token:
            # Unlike a plain header it does not follow a redirect to another host.
            request.add_unredirected_header("Authorization", f"Bearer {self._token}")
        end = time.monotonic() + self._patience
        try:
            with self._opener.open(request, timeout=self._patience) as answer:
                return self._read(answer, model, end)
        except HTTPError as error:
            raise self._refused(error.code, model) from None
        except (OSError, HTTPException, ValueError) as error:
            reason = error.reason if isinstance(error, URLError) else error
            raise self._unreachable(model, str(reason) or type(reason).__name__) from None

    def _read(self, answer: Any, model: str, end: float) -> bytes:
        read = b""
        while True:
            piece = answer.read1(1 << 16)
            if not piece:
                return read
            read += piece
            if len(read) > _MOST:
                raise HubFailure("other", f"{self._where(model)} sends more than {_MOST // 10**6} MB: {_odd}")
            if time.monotonic() > end:
                raise self._unreachable(model, f"not done after {self._patience:g} seconds")

    def _refused(self, status: int, model: str) -> HubFailure:
        token = "the token is refused" if self._token else "no token was sent"
        if status in (401, 403):
            remedy = (
                "accept its licence on the hub, and set vllm_hf_token (from a vault) or HF_TOKEN, or check the name"
            )
            return HubFailure(
                "denied", f"{self._where(model)}: no such model, or gated or private ({status}), and {token}: {remedy}"
            )
        if status == 404:
            return HubFailure("missing", f"{self._where(model)}: no such model or revision (404): check the name")
        if status == 429 or status >= 500:
            return self._unreachable(model, f"status {status}")
        return HubFailure("other", f"{self._where(model)} answers with status {status}: {_odd}")

    def _unreachable(self, model: str, detail: str) -> HubFailure:
        return HubFailure(
            "network",
            f"{self._where(model)} cannot be reached ({detail[:160]}): check network and proxy (vllm_proxy, or https_proxy of "
            "your shell), or name a mirror with HF_ENDPOINT or model_weights_endpoint",
        )

    def _where(self, model: str) -> str:
        return f"{model} at {self.endpoint}"


_odd = "is it a hub? (HF_ENDPOINT, model_weights_endpoint)"


def by_hand(model: str, endpoint: str = ENDPOINT) -> str:
    """How to find a commit where this computer cannot ask: on one that can."""
    return (
        f"`git ls-remote {endpoint.rstrip('/')}/{model} HEAD` on a computer that reaches the hub prints the commit, and so does "
        f'`{endpoint.rstrip("/")}/api/models/{model}` in a browser ("sha")'
    )
