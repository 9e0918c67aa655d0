"""Which checks a kind must pass, and how the services of a host are checked side by side."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

from ansible_collections.baremetal.vllm.plugins.module_utils.endpoints.adapters import adapters
from ansible_collections.baremetal.vllm.plugins.module_utils.endpoints.chat import answer
from ansible_collections.baremetal.vllm.plugins.module_utils.endpoints.check import Check, Probe, run_probe, skip
from ansible_collections.baremetal.vllm.plugins.module_utils.endpoints.classify import classify
from ansible_collections.baremetal.vllm.plugins.module_utils.endpoints.client import Client
from ansible_collections.baremetal.vllm.plugins.module_utils.endpoints.embedding import embedding
from ansible_collections.baremetal.vllm.plugins.module_utils.endpoints.listing import healthy, listed
from ansible_collections.baremetal.vllm.plugins.module_utils.endpoints.reasoning import reasoning
from ansible_collections.baremetal.vllm.plugins.module_utils.endpoints.refusals import (
    keys,
    long_prompt,
    malformed,
    other_kind,
    unknown_model,
)
from ansible_collections.baremetal.vllm.plugins.module_utils.endpoints.rerank import rerank, score
from ansible_collections.baremetal.vllm.plugins.module_utils.endpoints.secret import key_hidden
from ansible_collections.baremetal.vllm.plugins.module_utils.endpoints.service import Service
from ansible_collections.baremetal.vllm.plugins.module_utils.endpoints.sockets import only_its_port
from ansible_collections.baremetal.vllm.plugins.module_utils.endpoints.stream import stream
from ansible_collections.baremetal.vllm.plugins.module_utils.endpoints.structured import structured
from ansible_collections.baremetal.vllm.plugins.module_utils.endpoints.tools import tools
from ansible_collections.baremetal.vllm.plugins.module_utils.endpoints.transcription import transcription
from ansible_collections.baremetal.vllm.plugins.module_utils.endpoints.vision import broken_image, image_read

_CHAT = (answer, stream, structured)
_BY_KIND: dict[str, tuple[Probe, ...]] = {
    "chat": _CHAT,
    "reasoning": _CHAT,
    "vision": (*_CHAT, image_read, broken_image),
    "embedding": (embedding,),
    "rerank": (rerank, score),
    "score": (rerank, score),
    "classify": (classify,),
    "transcription": (transcription,),
}
_REFUSALS = (keys, unknown_model, malformed, long_prompt, other_kind, key_hidden, only_its_port)
# Requests that hang are tried for this many timeouts in all, not for one timeout each.
_PATIENCE = 2


@dataclass(frozen=True)
class Result:
    """What one endpoint has shown; times in seconds."""

    service: Service
    checks: tuple[Check, ...]
    seconds: float

    @property
    def passed(self) -> bool:
        """Whether a check was kept and none failed: an endpoint of which all is skipped has proved nothing."""
        return any(check.passed for check in self.checks) and not any(check.failed for check in self.checks)

    @property
    def first_token_seconds(self) -> float | None:
        """Seconds from a request to its first token, of the first check that streamed; None where none did."""
        return next((check.first_token_seconds for check in self.checks if check.first_token_seconds is not None), None)

    def as_dict(self) -> dict[str, object]:
        """Its JSON form, as module endpoint_check returns it for each service; times in seconds."""
        return {
            "model": self.service.name,
            "kind": self.service.kind,
            "unit": self.service.unit,
            "url": self.service.url,
            "passed": self.passed,
            "checks": [check.as_dict() for check in self.checks],
            "first_token_seconds": self.first_token_seconds,
            "seconds": self.seconds,
        }


def probes(service: Service, quick: bool = False) -> Iterator[Probe]:
    """The probes that this service must pass, in the order of their running; `quick`: only what its kind does first."""
    yield listed
    if quick:
        yield _BY_KIND[service.kind][0]
        return
    if service.generates and service.prove.reasoning:
        yield reasoning
    yield from _BY_KIND[service.kind]
    if service.generates and service.prove.tools:
        yield tools
    if service.generates and service.prove.adapters:
        yield adapters
    yield from _REFUSALS


def check_service(service: Service, key: str | None, timeout: float, quick: bool = False) -> Result:
    """Run every check of one service (`quick`: that it answers as its kind does); none of them raises."""
    client = Client(service.host, service.port, key, timeout)
    started = time.monotonic()
    checks = run_probe(healthy, client, service)
    reason = "the endpoint does not answer" if checks[0].failed else ""
    asked, lost = service, 0.0
    for probe in probes(service, quick):
        if not reason and lost >= _PATIENCE * timeout:
            reason = f"checks that failed took {lost:.1f} s already"
        seen = [skip(name, reason) for name in probe.names] if reason else run_probe(probe, client, asked)
        checks += seen
        lost += sum(check.seconds for check in seen) if any(check.failed for check in seen) else 0.0
        if probe is reasoning and seen[0].failed:
            # Told once: without its parser the engine refuses the thinking budget that all other requests would carry.
            asked = replace(service, prove=replace(service.prove, reasoning=False, meaning=False))
    return Result(service, tuple(checks), round(time.monotonic() - started, 3))


def check_services(
    services: Sequence[Service], key: str | None, timeout: float, concurrency: int, quick: bool = False
) -> list[Result]:
    """Check services side by side, at most `concurrency` at once; results in the order of the services."""
    with ThreadPoolExecutor(max_workers=max(1, concurrency)) as pool:
        return list(pool.map(lambda service: check_service(service, key, timeout, quick), services))
