"""What endpoints have proved, as module endpoint_check returns it."""

from __future__ import annotations

from typing import NotRequired, TypedDict


class Check(TypedDict):
    """One check; `skipped`: why it was not tried, "" where it was. Times are seconds."""

    name: str
    passed: bool
    observed: str
    expected: str
    skipped: str
    seconds: float
    first_token_seconds: float | None


class Compile(TypedDict):
    """What an engine's start did: how many times it `compiled`, in how many `seconds` (0 where its log does not tell), graphs
    `loaded` from a cache, why a cache was `refused`, "" where none was, and how many `kernels` it has compiled, None where that
    is not known."""

    compiled: int
    seconds: float
    loaded: int
    refused: str
    kernels: NotRequired[int | None]


class Endpoint(TypedDict):
    """All checks of one service; `first_token_seconds`: None for kinds that do not stream.

    `proof`: full or short; `proved`: when it was last proved in full, ISO 8601, "" where it was not; `unproved`: why no full
    proof counts; `compile`: None where the engine's log does not say, as of an eager one.
    """

    model: str
    kind: str
    unit: str
    url: str
    passed: bool
    first_token_seconds: float | None
    seconds: float
    checks: list[Check]
    proof: NotRequired[str]
    proved: NotRequired[str]
    unproved: NotRequired[str]
    compile: NotRequired[Compile | None]


class HostEndpoint(Endpoint):
    """The same with the host that it runs on."""

    host: str


def failed(endpoint: Endpoint) -> list[Check]:
    """Its checks that were tried and did not pass."""
    return [check for check in endpoint["checks"] if not check["passed"] and not check["skipped"]]


def explained(check: Check) -> str:
    """A check that failed, in one line."""
    return f"{check['name']}: observed {check['observed']}, expected {check['expected']}"
