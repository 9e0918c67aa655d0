"""The program of one member: takes what its host lacks, gives on what it has, tells how far it is, and ends by itself.

Started with the folder of the run (`order.RunFolder`). Exit status: 0 where the content is there in the end, 1 where it is not.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Callable

from ansible_collections.baremetal.vllm.plugins.module_utils.fanout.fetching import Fetcher
from ansible_collections.baremetal.vllm.plugins.module_utils.fanout.holding import Holding
from ansible_collections.baremetal.vllm.plugins.module_utils.fanout.order import (
    Order,
    OrderError,
    RunFolder,
    read_neighbours,
    read_order,
    replace,
)
from ansible_collections.baremetal.vllm.plugins.module_utils.fanout.sending import Sender
from ansible_collections.baremetal.vllm.plugins.module_utils.fanout.store import Place, Store, StoreError, alone, known
from ansible_collections.baremetal.vllm.plugins.module_utils.fanout.tls import Credential

# Seconds between two looks at the folder, and between two reports where nothing changed.
_TICK, _REPORT = 0.1, 1.0


@dataclass(frozen=True)
class Status:
    """What an agent tells.

    state: starting (it looks at what lies there), waiting (it has no neighbours yet), fetching, whole (it only gives on),
        ended, failed
    had, received, sent: bytes that were there before, that came, and that were given on, all of them content
    chunks, total, size: chunks that are there, of how many, and bytes of all; 0 before the manifest is known
    rate: bytes a second that came lately; seconds: since the start; whole_after: seconds after which it was whole, -1 before
    neighbour, receivers: whom it asks, and who asks it
    liars, damaged: members that sent wrong bytes; own chunks that turned out to be damaged
    complaints: by neighbour, what was wrong with it last; problem: why it failed
    """

    state: str
    pid: int
    port: int = 0
    had: int = 0
    received: int = 0
    sent: int = 0
    chunks: int = 0
    total: int = 0
    size: int = 0
    rate: float = 0.0
    seconds: float = 0.0
    whole_after: float = -1.0
    neighbour: str = ""
    receivers: tuple[str, ...] = ()
    liars: tuple[str, ...] = ()
    damaged: tuple[int, ...] = ()
    complaints: tuple[tuple[str, str], ...] = ()
    problem: str = ""


class Agent:
    """One member at work. `told` is set by whoever wants it to end."""

    def __init__(self, folder: RunFolder, order: Order, credential: Credential) -> None:
        self._folder, self._order, self._credential = folder, order, credential
        self.told = threading.Event()
        self._begun = time.monotonic()
        self._holding = Holding(order.content)
        self._whole_after = -1.0
        self._had = 0
        self._rate: tuple[float, int, float] = (self._begun, 0, 0.0)
        # The control node's word is a file whose time changes; how long ago that was is counted on this host's steady clock.
        # Bytes that come or go count as well: only members of this run get or send any.
        self._word, self._heard = (0, 0), self._begun
        self._moved: Callable[[], int] = int

    def run(self) -> str:
        """Work until the end; returns what was wrong, "" where the content is there.

        Raises StoreError: for other content at its place, another agent at work, or a disk without room; OSError: for an address
        where it cannot listen.
        """
        with alone(Place(Path(self._order.target))):
            self._report("starting")
            there = known(Place(Path(self._order.target)), self._order.content)
            if there:
                self._holding.begin(Store(Place(Path(self._order.target)), there, whole=True))
                self._had = there.size
            sender = Sender(self._order, self._credential, self._holding)
            fetcher = Fetcher(self._order, self._credential, self._holding)
            self._moved = lambda: sender.sent + fetcher.received
            if not there:
                fetcher.start()
            try:
                self._watch(sender, fetcher)
            finally:
                self._holding.end()
                fetcher.stop()
                sender.close()
                if not there:
                    fetcher.done.wait()
            problem = fetcher.problem or ("" if self._is_whole() else self._why())
            self._report("failed" if problem else "ended", sender, fetcher, problem)
            return problem

    def _watch(self, sender: Sender, fetcher: Fetcher) -> None:
        """Until it is told to end, the control node is gone, or the content cannot be brought."""
        seen, reported, state = 0, 0.0, ""
        while not (self.told.wait(_TICK) or self._folder.end.exists() or self._alone_for() > self._order.bounds.lease):
            if fetcher.problem:
                return
            changed = self._changed(self._folder.neighbours)
            if changed != seen:
                seen = changed
                fetcher.replace(read_neighbours(json.loads(self._folder.neighbours.read_text(encoding="utf-8"))))
            if self._is_whole() and self._whole_after < 0:
                self._whole_after = time.monotonic() - self._begun
            before, state = state, self._state(bool(seen))
            if state != before or time.monotonic() - reported > _REPORT:
                reported = time.monotonic()
                self._report(state, sender, fetcher)

    def _state(self, has_neighbours: bool) -> str:
        if self._is_whole():
            return "whole"
        return "fetching" if has_neighbours else "waiting"

    def _is_whole(self) -> bool:
        return self._holding.store is not None and self._holding.store.whole

    def _why(self) -> str:
        gone = self._alone_for() > self._order.bounds.lease
        return "the control node was not heard of for too long" if gone else "it was told to end before all was there"

    @staticmethod
    def _changed(path: Path) -> int:
        try:
            return path.stat().st_mtime_ns
        except FileNotFoundError:
            return 0

    def _alone_for(self) -> float:
        """Seconds since the control node was here, or since a byte came or went."""
        word = (self._changed(self._folder.lease), self._moved())
        if word != self._word:
            self._word, self._heard = word, time.monotonic()
        return time.monotonic() - self._heard

    def _report(
        self, state: str, sender: Sender | None = None, fetcher: Fetcher | None = None, problem: str = ""
    ) -> None:
        store, now = self._holding.store, time.monotonic()
        received = fetcher.received if fetcher else 0
        since, before, rate = self._rate
        if now - since >= _REPORT:
            rate = (received - before) / (now - since)
            self._rate = (now, received, rate)
        status = Status(
            state=state,
            pid=os.getpid(),
            port=sender.port if sender else 0,
            had=self._had if self._had else (store.bytes - received if store else 0),
            received=received,
            sent=sender.sent if sender else 0,
            chunks=store.count if store else 0,
            total=len(store.manifest.chunks) if store else 0,
            size=store.manifest.size if store else 0,
            rate=round(rate, 1),
            seconds=round(now - self._begun, 3),
            whole_after=round(self._whole_after, 3),
            neighbour=fetcher.neighbour if fetcher and state == "fetching" else "",
            receivers=tuple(sender.receivers) if sender else (),
            liars=fetcher.liars if fetcher else (),
            damaged=tuple(sorted(sender.damaged)) if sender else (),
            complaints=tuple(fetcher.complaints.items()) if fetcher else (),
            problem=problem,
        )
        replace(self._folder.status, json.dumps(asdict(status)))


def main(arguments: list[str]) -> int:
    """Run the agent of the folder that is the one argument."""
    folder = RunFolder(Path(arguments[0]))
    os.umask(0o077)
    try:
        order = read_order(json.loads(folder.order.read_text(encoding="utf-8")))
        credential = Credential(folder.credential)
        # From here on only this process has the key.
        folder.credential.unlink()
        agent = Agent(folder, order, credential)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *__: agent.told.set())
        problem = agent.run()
    except (StoreError, OrderError, OSError, ValueError) as error:
        problem = str(error)
        replace(folder.status, json.dumps(asdict(Status(state="failed", pid=os.getpid(), problem=problem))))
    if problem:
        print(problem, file=sys.stderr)
    return 1 if problem else 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
