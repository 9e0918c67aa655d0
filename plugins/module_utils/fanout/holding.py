"""What a member has of the run's content, shared by those that take chunks in and those that give them on."""

from __future__ import annotations

import threading
from typing import Callable

from ansible_collections.baremetal.vllm.plugins.module_utils.fanout.store import LACKING, Store


class Holding:
    """Nothing at first, then the manifest and a store whose chunks arrive one by one; whoever waits for one is woken."""

    def __init__(self, digest: str) -> None:
        self.digest = digest
        self.store: Store | None = None
        self._arrived = threading.Condition()
        self._over = False

    def begin(self, store: Store) -> None:
        """The manifest is there."""
        with self._arrived:
            self.store = store
            self._arrived.notify_all()

    def arrived(self) -> None:
        """A chunk is there."""
        with self._arrived:
            self._arrived.notify_all()

    def end(self) -> None:
        """Nobody shall wait any more."""
        with self._arrived:
            self._over = True
            self._arrived.notify_all()

    @property
    def count(self) -> int:
        """How many chunks are there."""
        return self.store.count if self.store else 0

    def has(self, index: int) -> bool:
        """Whether a chunk is there."""
        return self.store is not None and self.store.state(index) != LACKING

    def wait(self, there: Callable[[], bool], seconds: float) -> bool:
        """Wait until something is there, or for so many seconds; whether it is. At once where all is over."""
        with self._arrived:
            self._arrived.wait_for(lambda: self._over or there(), seconds)
            return there()
