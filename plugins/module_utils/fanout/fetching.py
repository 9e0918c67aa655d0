"""Taking chunks from neighbours: in their order, over one kept connection, each checked before it counts.

One connection, with questions ahead of the answers: over several, chunks share the link and are all whole late, and each host of
a chain waits for whole chunks (five receivers at 200 Mbit/s: a chunk of 2 MiB took 230 ms over three connections, 90 over one).
"""

from __future__ import annotations

import contextlib
import errno
import socket
import threading
import time
from pathlib import Path

from ansible_collections.baremetal.vllm.plugins.module_utils.fanout import manifest as mf
from ansible_collections.baremetal.vllm.plugins.module_utils.fanout import wire
from ansible_collections.baremetal.vllm.plugins.module_utils.fanout.choice import Neighbour, Neighbours, Seen, is_slow
from ansible_collections.baremetal.vllm.plugins.module_utils.fanout.holding import Holding
from ansible_collections.baremetal.vllm.plugins.module_utils.fanout.order import Order
from ansible_collections.baremetal.vllm.plugins.module_utils.fanout.store import CHECKED, Place, Store, StoreError
from ansible_collections.baremetal.vllm.plugins.module_utils.fanout.tls import Credential

# Questions at a time: while one chunk is checked and written, the next is on its way, and the one after it is asked for already.
WORKERS = 3
# Seconds after which an unused connection is made anew: the other side closes it before long.
_STALE = 10.0
_CONNECT = 5.0


class LieError(Exception):
    """A neighbour sent what is not what was asked for."""


class LacksError(Exception):
    """A neighbour has not got it; its argument is how many chunks it has."""


class DamagedError(Exception):
    """A neighbour had it, and found it damaged."""


class BusyError(Exception):
    """A neighbour sends to as many as it may."""


class SlowError(Exception):
    """A chunk takes too long."""


class GoneError(Exception):
    """The connection ended while an answer was waited for; why is told to the one whose turn it was."""


class _OverError(Exception):
    """Nobody waits for a result any more."""


# What may be wrong with a neighbour; what is wrong with this host is told otherwise.
_FAULTS = (OSError, LieError, LacksError, DamagedError, BusyError, SlowError)


class Link:
    """A connection to a neighbour. Raises OSError: where there is none to be had, or it is no member of the run."""

    def __init__(self, neighbour: Neighbour, order: Order, credential: Credential) -> None:
        self.neighbour = neighbour
        timeout = min(_CONNECT, order.bounds.silence)
        plain = socket.create_connection((neighbour.address, neighbour.port), timeout=timeout)
        try:
            plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._connection = credential.connect(plain)
        except BaseException:
            plain.close()
            raise
        self._connection.settimeout(order.bounds.silence)
        self._turn = threading.Condition()
        self._asked, self._answered = 0, 0
        self._broken = self._closed = False
        self._used = time.monotonic()
        wire.greet(self._connection, wire.Greeting(order.content, order.name))

    def close(self) -> None:
        """End it; whoever waits for an answer in another thread is woken, and finds no fault with the neighbour."""
        self._closed = True
        with contextlib.suppress(OSError):
            self._connection.shutdown(socket.SHUT_RDWR)
        self._connection.close()

    def count(self) -> int:
        """How many chunks are there. Raises OSError, LieError."""
        wire.send(self._connection, wire.Frame(wire.COUNT))
        try:
            self._answer()
        except LacksError as told:
            return int(told.args[0])
        raise LieError("an answer to another question")

    def manifest(self) -> bytes:
        """The text of the manifest. Raises OSError, and the errors of `chunk`."""
        wire.send(self._connection, wire.Frame(wire.MANIFEST_NOW if self.neighbour.later else wire.MANIFEST))
        length = self._answer()
        if length > mf.MOST_BYTES:
            raise LieError(f"a manifest of {length} bytes")
        text = bytearray(length)
        wire.receive_into(self._connection, memoryview(text))
        return bytes(text)

    def chunk(self, index: int, room: memoryview, seconds: float) -> None:
        """Fill `room` with a chunk, in so many seconds from its first byte on; others may ask before the answer is there.

        Raises LacksError, BusyError, DamagedError: and goes on to serve. Raises OSError: for a dead connection; SlowError;
        LieError: for another length; and GoneError then for all that wait for an answer as well.
        """
        with self._turn:
            if self._broken:
                raise GoneError
            turn, self._asked = self._asked, self._asked + 1
            kind = wire.CHUNK_NOW if self.neighbour.later else wire.CHUNK
            # A few bytes, which the connection takes at once; answers come in the order of the questions.
            wire.send(self._connection, wire.Frame(kind, index))
            self._turn.wait_for(lambda: self._broken or self._answered == turn)
            if self._broken:
                raise GoneError
        try:
            self._take(room, seconds)
        except (LacksError, BusyError, DamagedError):
            raise
        except Exception:
            self._broken = True
            if self._closed:
                raise GoneError from None
            raise
        finally:
            with self._turn:
                self._answered += 1
                self._used = time.monotonic()
                self._turn.notify_all()

    @property
    def is_fresh(self) -> bool:
        """Whether it can be asked: somebody waits for an answer, or it was used a moment ago."""
        with self._turn:
            return not self._broken and (self._asked > self._answered or time.monotonic() - self._used < _STALE)

    def _take(self, room: memoryview, seconds: float) -> None:
        length = self._answer()
        if length != len(room):
            raise LieError(f"{length} bytes for a chunk of {len(room)}")
        try:
            wire.receive_into(self._connection, room, time.monotonic() + seconds)
        except TimeoutError as error:
            raise SlowError(str(error)) from None

    def _answer(self) -> int:
        """The number of bytes that follow."""
        while True:
            answer = wire.receive(self._connection)
            if answer.kind == wire.DATA:
                return answer.number
            if answer.kind == wire.BUSY:
                raise BusyError("sends to as many as it may")
            if answer.kind == wire.LACKS:
                raise LacksError(answer.number)
            if answer.kind == wire.DAMAGED:
                raise DamagedError("its copy is damaged")
            if answer.kind == wire.OTHER:
                raise ConnectionError("it serves other content")
            if answer.kind != wire.WAIT:
                raise LieError(f"an answer of kind {answer.kind}")


class Fetcher:
    """Brings what is lacking, until it is there or cannot be brought: `done` is set then, and `problem` says what was wrong."""

    def __init__(self, order: Order, credential: Credential, holding: Holding) -> None:
        self._order, self._bounds = order, order.bounds
        self._credential, self._holding = credential, holding
        self._neighbours = Neighbours()
        self._lock = threading.Condition()
        self._links: set[Link] = set()
        self._current: Link | None = None
        self._connecting = threading.Lock()
        self._taken: set[int] = set()
        self._from = 0
        self._over = False
        self._last = time.monotonic()
        self.problem = ""
        self.received = 0
        # By neighbour, what was wrong with it last.
        self.complaints: dict[str, str] = {}
        self.done = threading.Event()

    def start(self) -> None:
        """Begin; returns at once."""
        for work in (self._run, self._compare):
            threading.Thread(target=work, daemon=True).start()

    def stop(self) -> None:
        """Bring nothing any more."""
        with self._lock:
            self._over = True
            self._lock.notify_all()
            links = list(self._links)
        for link in links:
            link.close()

    def replace(self, neighbours: tuple[Neighbour, ...]) -> None:
        """Ask these from now on."""
        with self._lock:
            self._neighbours.replace(neighbours)
            self._last = time.monotonic()
            self._lock.notify_all()

    @property
    def neighbour(self) -> str:
        """Whom it asks at the moment."""
        current = self._neighbours.current
        return current.name if current else ""

    @property
    def liars(self) -> tuple[str, ...]:
        """Who sent wrong bytes."""
        with self._lock:
            return self._neighbours.liars

    def _run(self) -> None:
        try:
            if self._holding.store is None:
                self._holding.begin(Store(Place(Path(self._order.target)), self._manifest(), whole=False))
            store = self._holding.store
            workers = [threading.Thread(target=self._work, args=(store,), daemon=True) for __ in range(WORKERS)]
            for worker in workers:
                worker.start()
            for worker in workers:
                worker.join()
            # Its place at the neighbour is somebody else's now.
            self._drop(self._current)
            if store and not self._over:
                store.finish()
        except _OverError:
            pass
        except (StoreError, OSError) as error:
            self._fail(error)
        self.done.set()

    def _manifest(self) -> mf.Manifest:
        while True:
            neighbour = self._pick()
            link = None
            try:
                link = self._link(neighbour)
                text = link.manifest()
                return mf.read(text, self._order.content)
            except mf.ManifestError as error:
                self._blame(neighbour, LieError(str(error)))
            except _FAULTS as error:
                self._blame(neighbour, error)
            finally:
                self._drop(link)

    def _work(self, store: Store) -> None:
        room = memoryview(bytearray(min(store.manifest.chunk, store.manifest.size)))
        try:
            while (index := self._next(store)) is not None:
                try:
                    self._bring(store, index, room[: store.manifest.length(index)])
                finally:
                    with self._lock:
                        self._taken.discard(index)
                        self._lock.notify_all()
        except _OverError:
            pass
        except OSError as error:
            self._fail(error)

    def _next(self, store: Store) -> int | None:
        """The first chunk that nobody brings yet; waits where all that lack are on their way, None where none lacks."""
        total = len(store.manifest.chunks)
        with self._lock:
            while not self._over:
                while self._from < total and self._from not in self._taken and store.state(self._from) == CHECKED:
                    self._from += 1
                lacking = (n for n in range(self._from, total) if n not in self._taken and store.state(n) != CHECKED)
                index = next(lacking, None)
                if index is not None:
                    self._taken.add(index)
                    return index
                if not self._taken:
                    return None
                self._lock.wait()
        raise _OverError

    def _bring(self, store: Store, index: int, room: memoryview) -> None:
        """One chunk, from the disk where an earlier run left it, else from whoever has it."""
        if store.load(index, room):
            self._came()
            return
        while True:
            neighbour = self._pick()
            try:
                self._shared(neighbour).chunk(index, room, self._seconds(neighbour, len(room)))
                if not store.is_right(index, room):
                    raise LieError(f"wrong bytes for chunk {index}")
            except GoneError:
                continue
            except _FAULTS as error:
                self._blame(neighbour, error)
                continue
            store.keep(index, room)
            with self._lock:
                self.received += len(room)
                self._neighbours.came(neighbour)
            self._came()
            return

    def _shared(self, neighbour: Neighbour) -> Link:
        """The connection over which all ask, made where there is none to this neighbour that can be asked."""
        with self._connecting:
            if self._current and self._current.neighbour == neighbour and self._current.is_fresh:
                return self._current
            self._drop(self._current)
            self._current = None
            self._current = self._link(neighbour)
            return self._current

    def _came(self) -> None:
        self._last = time.monotonic()
        self._holding.arrived()

    def _seconds(self, neighbour: Neighbour, length: int) -> float:
        """How long a chunk of this neighbour may take."""
        with self._lock:
            patience = self._neighbours.patience(neighbour)
        return patience * (self._bounds.silence + length / self._bounds.floor)

    def _pick(self) -> Neighbour:
        """Whom to ask; waits while all are to be left alone. Raises _OverError: where that lasts too long, too."""
        with self._lock:
            while not self._over:
                now = time.monotonic()
                patience = self._bounds.give_up - (now - self._last)
                if self._neighbours.entries and patience <= 0:
                    told = "; ".join(f"{name}: {why}" for name, why in self.complaints.items()) or "all wait themselves"
                    self._give_up(f"no chunk came for {self._bounds.give_up:g} s ({told})")
                    break
                neighbour = self._neighbours.pick(now)
                if neighbour:
                    return neighbour
                pause = self._neighbours.pause(now)
                self._lock.wait(min(pause, max(patience, 0.01)) if self._neighbours.entries else None)
        raise _OverError

    def _link(self, neighbour: Neighbour) -> Link:
        link = Link(neighbour, self._order, self._credential)
        with self._lock:
            self._links.add(link)
            over = self._over
        if over:
            self._drop(link)
            raise _OverError
        return link

    def _drop(self, link: Link | None) -> None:
        if link:
            with self._lock:
                self._links.discard(link)
            link.close()

    def _blame(self, neighbour: Neighbour, error: Exception) -> None:
        """What follows from what a neighbour did."""
        now = time.monotonic()
        with self._lock:
            if self._over:
                return
            if isinstance(error, LieError):
                self._neighbours.lied(neighbour)
            elif isinstance(error, BusyError):
                self._neighbours.busy(neighbour, now)
            elif isinstance(error, DamagedError):
                self._neighbours.behind(neighbour, now)
            elif isinstance(error, LacksError):
                # Whoever was waited for waits as well, as all behind the same link do; others are compared with it.
                if neighbour.later:
                    self._neighbours.behind(neighbour, now)
                return
            elif isinstance(error, SlowError):
                self._neighbours.slow(neighbour, now)
            else:
                self._neighbours.failed(neighbour, now)
            self.complaints[neighbour.name] = str(error) or type(error).__name__

    def _compare(self) -> None:
        """Look every now and then whether the next neighbour would be the better one."""
        before: tuple[float, Neighbour, int, int] | None = None
        while not self.done.wait(self._bounds.window):
            now = time.monotonic()
            with self._lock:
                current, other = self._neighbours.current, self._neighbours.alternative(now)
            theirs = self._ask_count(other) if current and other else None
            # Who asks one that comes after it was sent away by those before it, as a slow one itself: it is not to come back.
            if current is None or current.later or other is None or theirs is None:
                before = None
                continue
            # Without a manifest this host has no chunk, and whoever has one is ahead.
            manifest = self._holding.store.manifest if self._holding.store else None
            own, total = self._holding.count, len(manifest.chunks) if manifest else -1
            if before and before[1] == other:
                floor = self._bounds.floor * (now - before[0]) / (manifest.chunk if manifest else mf.SMALLEST)
                if is_slow(Seen(before[2], own, total), Seen(before[3], theirs, total), floor):
                    self._blame(current, SlowError(f"slower than {other.name}"))
            before = (now, other, own, theirs)

    def _ask_count(self, neighbour: Neighbour) -> int | None:
        link = None
        try:
            link = self._link(neighbour)
            return link.count()
        except (*_FAULTS, _OverError):
            return None
        finally:
            self._drop(link)

    def _fail(self, error: Exception) -> None:
        full = isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)
        why = (
            f"the disk of {self._order.target} is full: make room, and run again; what came is kept"
            if full
            else str(error)
        )
        with self._lock:
            self._give_up(why)

    def _give_up(self, why: str) -> None:
        self.problem = self.problem or why
        self._over = True
        self._lock.notify_all()
