"""A line now and then for work that is counted in bytes."""

from __future__ import annotations

import time
from collections.abc import Callable

from ansible_collections.baremetal.vllm.plugins.module_utils.weights.selection import in_units
from ansible_collections.baremetal.vllm.plugins.plugin_utils.actions.follow import HEARTBEAT, display


class ByteCount:
    """Says at once what begins, and every HEARTBEAT seconds how many of `total` bytes are done; calling it adds some."""

    def __init__(
        self, what: str, total: int, say: Callable[[str], object] = display.display, every: float = HEARTBEAT
    ) -> None:
        self.done = 0
        self._what, self._total, self._say, self._every = what, total, say, every
        self._started = self._last = time.monotonic()
        say(f"{what} ({in_units(total)})")

    def __call__(self, size: int) -> None:
        """Count bytes that are done."""
        self.done += size
        now = time.monotonic()
        if now - self._last >= self._every:
            self._last = now
            elapsed = now - self._started
            self._say(f"{self._what}: {in_units(self.done)} of {in_units(self._total)} ({elapsed:.0f} s so far)")
