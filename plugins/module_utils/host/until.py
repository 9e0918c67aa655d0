"""Waiting for something on a host, for so long as one module call may last."""

from __future__ import annotations

import time
from typing import Callable, TypeVar

Seen = TypeVar("Seen")


def until(look: Callable[[], Seen], enough: Callable[[Seen], bool], patience: float, pause: float) -> Seen:
    """What `look` saw once that is `enough`, or last after `patience` seconds; `pause` seconds lie between two looks."""
    deadline = time.monotonic() + patience
    while True:
        seen = look()
        if enough(seen) or time.monotonic() >= deadline:
            return seen
        time.sleep(pause)
