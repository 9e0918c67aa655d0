"""A bound on the time of an action, whatever it waits for: a host that fell silent, a tool that hangs there."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager


class OverdueError(BaseException):
    """The time was over. Nothing on the way may take it for an error of its own, as with Ansible's own timeouts of tasks."""


@contextmanager
def bounded(seconds: float) -> Iterator[None]:
    """End the block after so many seconds. Raises OverdueError: in the block, wherever it waits.

    Ansible runs a task in the main thread of a process of its own; elsewhere nothing is bounded, nor where the task has a
    `timeout`, which is made of the same signal.
    """
    if threading.current_thread() is not threading.main_thread() or signal.getitimer(signal.ITIMER_REAL)[0]:
        yield
        return
    before = signal.signal(signal.SIGALRM, _late)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def _late(*__: object) -> None:
    raise OverdueError
