"""Giving chunks to other members: over TLS, to few at once, each chunk checked before."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from typing import Callable

from ansible_collections.baremetal.vllm.plugins.module_utils.fanout import wire
from ansible_collections.baremetal.vllm.plugins.module_utils.fanout.holding import Holding
from ansible_collections.baremetal.vllm.plugins.module_utils.fanout.order import Order
from ansible_collections.baremetal.vllm.plugins.module_utils.fanout.tls import Credential

# Handshakes at a time, and connections that have ended theirs: the first are anybody's who reaches the port, the others members'.
_HANDSHAKES, _CONNECTIONS = 16, 64
# Connections of one receiver: the one before may not have ended yet.
_EACH = 3
# Seconds for a handshake; between two questions (a receiver that waits elsewhere is asked nothing); between two WAIT.
_SHAKEN, _IDLE, _SIGN = 10.0, 30.0, 1.0
_PIECE = 256 << 10


class Pace:
    """No more than `rate` bytes a second, all receivers together; 0 is no bound."""

    def __init__(self, rate: int) -> None:
        self.rate = rate
        self._free = time.monotonic()
        self._lock = threading.Lock()

    def turn(self, length: int) -> float:
        """How many seconds to wait before so many bytes are sent."""
        if not self.rate:
            return 0.0
        with self._lock:
            now = time.monotonic()
            begin = max(now, self._free)
            self._free = begin + length / self.rate
            return begin - now


class _Receiver:
    """One member that takes chunks from here; `sending` is how many are on their way to it at the moment."""

    def __init__(self) -> None:
        self.sending = 0
        self.connections: set[socket.socket] = set()
        self.since, self.taken = time.monotonic(), 0

    def is_slow(self, now: float, window: float, floor: int) -> bool:
        """Whether it took less than `floor` bytes a second since the last look, which is `window` seconds ago at least."""
        seconds = now - self.since
        if seconds < window:
            return False
        slow = self.taken < floor * seconds
        self.since, self.taken = now, 0
        return slow


class Sender:
    """Listens from the moment it is made. Raises OSError: where it cannot listen there."""

    def __init__(self, order: Order, credential: Credential, holding: Holding) -> None:
        self._order, self._bounds = order, order.bounds
        self._credential, self._holding = credential, holding
        family = socket.AF_INET6 if ":" in order.listen else socket.AF_INET
        self._listener = socket.create_server((order.listen, order.port), family=family, backlog=64)
        self.port: int = self._listener.getsockname()[1]
        self.sent = 0
        self.damaged: set[int] = set()
        self._receivers: dict[str, _Receiver] = {}
        self._connections: set[socket.socket] = set()
        self._lock = threading.Lock()
        self._handshakes = threading.BoundedSemaphore(_HANDSHAKES)
        self._pace = Pace(order.bounds.rate)
        self._over = False
        threading.Thread(target=self._accept, name="accept", daemon=True).start()

    @property
    def receivers(self) -> list[str]:
        """Who takes chunks from here at the moment."""
        with self._lock:
            return sorted(self._receivers)

    def close(self) -> None:
        """Listen no more and end every connection."""
        self._over = True
        _end(self._listener)
        with self._lock:
            for connection in self._connections:
                _end(connection)

    def _accept(self) -> None:
        while not self._over:
            try:
                connection, __ = self._listener.accept()
            except OSError:
                # Out of file descriptors, or the end.
                time.sleep(0.05)
                continue
            if not self._handshakes.acquire(blocking=False):
                connection.close()
                continue
            threading.Thread(target=self._meet, args=(connection,), daemon=True).start()

    def _meet(self, plain: socket.socket) -> None:
        """Whoever is no member of this run costs a handshake, and gets nothing."""
        try:
            plain.settimeout(_SHAKEN)
            plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            connection = self._credential.accept(plain)
        except (OSError, ValueError):
            plain.close()
            return
        finally:
            self._handshakes.release()
        with self._lock:
            welcome = not self._over and len(self._connections) < _CONNECTIONS
            if welcome:
                self._connections.add(connection)
        try:
            # Whatever goes wrong with one connection ends that one; whoever asked goes elsewhere.
            with contextlib.suppress(OSError):
                if welcome:
                    self._serve(connection)
        finally:
            with self._lock:
                self._connections.discard(connection)
            connection.close()

    def _serve(self, connection: socket.socket) -> None:
        greeting = wire.greeted(connection)
        if greeting.digest != self._holding.digest:
            wire.send(connection, wire.Frame(wire.OTHER))
            return
        try:
            while True:
                connection.settimeout(_IDLE)
                question = wire.receive(connection)
                connection.settimeout(self._bounds.silence)
                if question.kind == wire.COUNT:
                    wire.send(connection, wire.Frame(wire.LACKS, self._holding.count))
                    continue
                receiver = self._admit(greeting.name, connection)
                if receiver is None:
                    wire.send(connection, wire.Frame(wire.BUSY))
                elif question.kind in (wire.MANIFEST, wire.MANIFEST_NOW):
                    self._give_manifest(connection, question)
                elif question.kind in (wire.CHUNK, wire.CHUNK_NOW):
                    self._give(connection, question, receiver)
                else:
                    raise wire.WireError(f"a question of kind {question.kind}")
        finally:
            with self._lock:
                self._dismiss(greeting.name, connection)

    def _admit(self, name: str, connection: socket.socket) -> _Receiver | None:
        """Who asks for chunks takes one of few places, and keeps it while it has a connection; None where there is none left."""
        with self._lock:
            if name not in self._receivers and len(self._receivers) >= self._bounds.receivers:
                self._make_room()
            if name not in self._receivers and len(self._receivers) >= self._bounds.receivers:
                return None
            receiver = self._receivers.setdefault(name, _Receiver())
            receiver.connections.add(connection)
            return receiver if len(receiver.connections) <= _EACH else None

    def _make_room(self) -> None:
        """Whoever hardly takes anything loses its place to one that asks: a slow first receiver would hold up a whole chain."""
        now = time.monotonic()
        for name, receiver in list(self._receivers.items()):
            if receiver.sending and receiver.is_slow(now, self._bounds.window, self._bounds.floor):
                for connection in receiver.connections:
                    _end(connection)
                del self._receivers[name]
                return

    def _dismiss(self, name: str, connection: socket.socket) -> None:
        receiver = self._receivers.get(name)
        if receiver and connection in receiver.connections:
            receiver.connections.discard(connection)
            if not receiver.connections:
                del self._receivers[name]

    def _give_manifest(self, connection: socket.socket, question: wire.Frame) -> None:
        if question.kind == wire.MANIFEST:
            self._wait(connection, lambda: self._holding.store is not None)
        if self._holding.store:
            text = self._holding.store.manifest.text
            wire.send(connection, wire.Frame(wire.DATA, len(text)))
            self._send(connection, memoryview(text))
        else:
            wire.send(connection, wire.Frame(wire.LACKS))

    def _give(self, connection: socket.socket, question: wire.Frame, receiver: _Receiver) -> None:
        store, index = self._holding.store, question.number
        if store and index >= len(store.manifest.chunks):
            raise wire.WireError(f"a question for chunk {index} of {len(store.manifest.chunks)}")
        there = self._holding.has(index)
        if not there and question.kind == wire.CHUNK:
            there = self._wait(connection, lambda: self._holding.has(index))
        if not there or not self._holding.store:
            wire.send(connection, wire.Frame(wire.LACKS, self._holding.count))
            return
        store = self._holding.store
        room = memoryview(bytearray(store.manifest.length(index)))
        if not store.load(index, room):
            self.damaged.add(index)
            wire.send(connection, wire.Frame(wire.DAMAGED))
            return
        with self._lock:
            receiver.sending += 1
        try:
            wire.send(connection, wire.Frame(wire.DATA, len(room)))
            self._send(connection, room, receiver)
        finally:
            with self._lock:
                receiver.sending -= 1

    def _wait(self, connection: socket.socket, there: Callable[[], bool]) -> bool:
        """Wait for something for as long as a question may last, with a sign of life each second."""
        deadline = time.monotonic() + self._bounds.wait
        while not self._holding.wait(there, min(_SIGN, self._bounds.wait)):
            if self._over or time.monotonic() >= deadline:
                return False
            wire.send(connection, wire.Frame(wire.WAIT, self._holding.count))
        return True

    def _send(self, connection: socket.socket, data: memoryview, receiver: _Receiver | None = None) -> None:
        for begin in range(0, len(data), _PIECE):
            piece = data[begin : begin + _PIECE]
            time.sleep(self._pace.turn(len(piece)))
            connection.sendall(piece)
            with self._lock:
                self.sent += len(piece)
                if receiver:
                    receiver.taken += len(piece)


def _end(connection: socket.socket) -> None:
    """Whoever waits for it in another thread is woken; close() alone would not."""
    with contextlib.suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)
