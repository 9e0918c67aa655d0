"""How a person asks an endpoint: one request per kind, and the `curl` that sends it."""

from __future__ import annotations

import json
import shlex

from ansible_collections.baremetal.vllm.plugins.module_utils.endpoints.kinds import KINDS
from ansible_collections.baremetal.vllm.plugins.plugin_utils.planned.service import Service

QUESTION = "What is the capital of France?"


def request(service: Service, question: str = QUESTION) -> tuple[str, dict[str, object]]:
    """The path and the JSON body of a first request to a service."""
    kind = KINDS[service.kind]
    return kind.path, {"model": service.name, **kind.example(question)}


def curl(service: Service, url: str, question: str = QUESTION, *, keyed: bool = True, direct: bool = False) -> str:
    """A `curl` command to paste; the key comes from the reader's environment, never from here.

    `url` is what comes before the path; `keyed`: whether a key must be sent; `direct`: past the proxy of the environment.
    """
    lines = ["  --noproxy '*'"] if direct else []
    if keyed:
        lines.append('  -H "Authorization: Bearer $VLLM_API_KEY"')
    if KINDS[service.kind].form:
        lines += ["  -F file=@speech.wav", f"  -F model={shlex.quote(service.name)}"]
        return " \\\n".join([f"curl {url}{KINDS[service.kind].path}", *lines])
    path, body = request(service, question)
    lines += ["  -H 'Content-Type: application/json'", f"  -d {shlex.quote(json.dumps(body, ensure_ascii=False))}"]
    return " \\\n".join([f"curl {url}{path}", *lines])
