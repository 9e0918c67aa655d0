"""The result of one check, and how checks are declared and run so that no failure becomes a traceback."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from typing import Callable

from ansible_collections.baremetal.vllm.plugins.module_utils.endpoints.client import Client, Unexpected
from ansible_collections.baremetal.vllm.plugins.module_utils.endpoints.service import Service

_LONGEST_TEXT = 300


@dataclass(frozen=True)
class Check:
    """One promise and what was seen of it.

    `skipped` gives the reason why it was not tried, and is empty otherwise; a skipped check is neither a success nor a
    failure. `seconds` is what the check cost; `first_token_seconds` only a stream knows.
    """

    name: str
    passed: bool
    observed: str
    expected: str
    skipped: str = ""
    seconds: float = 0.0
    first_token_seconds: float | None = None

    @property
    def failed(self) -> bool:
        """Whether it was tried and not kept: a skipped check has not failed."""
        return not self.passed and not self.skipped

    def as_dict(self) -> dict[str, object]:
        """Its JSON form: every field under its own name."""
        return asdict(self)


def expect(name: str, passed: bool, observed: str, expected: str) -> Check:
    """A check that was tried."""
    return Check(name, passed, shorten(observed), expected)


def skip(name: str, reason: str) -> Check:
    """A check that could not be tried, and why."""
    return Check(name, False, "", "", skipped=reason)


def shorten(text: str, longest: int = _LONGEST_TEXT) -> str:
    """One printable line of at most `longest` characters."""
    line = " ".join(text.split())
    return line if len(line) <= longest else line[: longest - 1] + "…"


Run = Callable[[Client, Service], Iterator[Check]]


@dataclass(frozen=True)
class Probe:
    """A function that yields the checks `names`, in this order, from one or a few requests."""

    names: tuple[str, ...]
    run: Run


def probe(*names: str) -> Callable[[Run], Probe]:
    """Declare a function to yield the checks `names`."""
    return lambda run: Probe(names, run)


def run_probe(probe: Probe, client: Client, service: Service) -> list[Check]:
    """Run one probe; what goes wrong fails the check that was due, and the ones after it count as not tried.

    The time of a check is the time since the one before it, so that the times of a service add up.
    """
    done: list[Check] = []
    started = time.monotonic()
    failure: Check | None = None
    try:
        for check in probe.run(client, service):
            now = time.monotonic()
            done.append(replace(check, seconds=round(now - started, 3)))
            started = now
    except Unexpected as problem:
        failure = expect("", False, problem.observed, problem.expected)
    except (LookupError, TypeError, ValueError, ArithmeticError) as problem:
        # An answer of a shape that no check foresaw: the engine's fault, shown as such.
        failure = expect("", False, f"an answer of unexpected shape ({type(problem).__name__}: {problem})", "an answer")
    due = [name for name in probe.names if name not in {check.name for check in done}]
    if failure is not None and due:
        done.append(replace(failure, name=due.pop(0), seconds=round(time.monotonic() - started, 3)))
    cause = next((check.name for check in reversed(done) if check.failed), "the one before it")
    return done + [skip(name, f"not tried, because {cause} failed") for name in due]
