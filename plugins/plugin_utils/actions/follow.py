"""Following what goes on on a host, with lines for the person at the terminal."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from ansible.utils.display import Display
from ansible_collections.baremetal.vllm.plugins.module_utils.text.words import printable

# Seconds. A line at least this often, even where nothing new happens: silence looks like a hang.
HEARTBEAT = 30.0
Seen = TypeVar("Seen")
display = Display()


def say(host: str, text: str, seconds: float | None = None, unit: str = "") -> None:
    """Show what happens on a host: of a unit where one is named, and after how many seconds where they count."""
    parts = [f"{host:<12}"]
    parts += [f"{unit.removeprefix('vllm-').removesuffix('.service'):<28}"] if unit else []
    parts += [f"{seconds:4.0f} s "] if seconds is not None else []
    display.display(printable(" ".join([*parts, text])))


def follow(looks: Iterable[Seen], show: Callable[[Seen, bool], bool]) -> Seen:
    """Go through all `looks`, of which there is at least one, and return the last.

    `show` prints what is new in a look, and in any case where it is told that nothing was printed for HEARTBEAT seconds; it
    returns whether it printed anything.
    """
    printed = time.monotonic()
    for seen in looks:
        if show(seen, time.monotonic() - printed >= HEARTBEAT):
            printed = time.monotonic()
    return seen


@contextmanager
def ticking(line: str) -> Iterator[None]:
    """Say at once what begins, and every HEARTBEAT seconds how long it has taken: around one call that takes long."""
    display.display(line)
    over = threading.Event()
    started = time.monotonic()

    def repeat() -> None:
        while not over.wait(HEARTBEAT):
            display.display(f"{line} ({time.monotonic() - started:.0f} s so far)")

    ticker = threading.Thread(target=repeat, daemon=True)
    ticker.start()
    try:
        yield
    finally:
        over.set()
        ticker.join()
