"""What members say to each other over a connection: frames of fixed size, so that nothing has to be parsed or bounded twice.

    greeting   the one that asks: four bytes, SHA-256 of the content, and its own name
    question   what it wants (one byte) and the number of a chunk
    answer     what it gets (one byte) and a number: bytes that follow, or how many chunks are there

Many WAIT may come before another answer: whoever lives says so each second, so that the silent are known to be dead.
"""

from __future__ import annotations

import socket
import struct
import time
from typing import NamedTuple

# Of questions: how many chunks are there; the manifest, and a chunk, both waited for; the same if they are there now.
COUNT, MANIFEST, CHUNK, MANIFEST_NOW, CHUNK_NOW = 1, 2, 3, 4, 5
# Of answers: bytes follow; it will come; it is not there; others are served; other content; it was there and is damaged.
DATA, WAIT, LACKS, BUSY, OTHER, DAMAGED = 1, 2, 3, 4, 5, 6

_MAGIC = b"BVF1"
_GREETING = struct.Struct(">4s32sB")
_FRAME = struct.Struct(">BI")
# Longer than any name of a host.
_NAME = 255


class WireError(OSError):
    """The other side said what nobody says here."""


class Frame(NamedTuple):
    """A question or an answer."""

    kind: int
    number: int = 0


class Greeting(NamedTuple):
    """Which content a connection is for, in hexadecimal, and who asks."""

    digest: str
    name: str


def send(connection: socket.socket, frame: Frame) -> None:
    """Send one frame. Raises OSError."""
    connection.sendall(_FRAME.pack(*frame))


def receive(connection: socket.socket) -> Frame:
    """The next frame. Raises OSError: for an end of the connection too, and for silence longer than its timeout."""
    head = bytearray(_FRAME.size)
    receive_into(connection, memoryview(head))
    return Frame(*_FRAME.unpack(head))


def receive_into(connection: socket.socket, room: memoryview, deadline: float = float("inf")) -> None:
    """Fill `room`. Raises OSError: as `receive`, and TimeoutError where `deadline` (time.monotonic()) is over before."""
    while room:
        got = connection.recv_into(room)
        if not got:
            raise ConnectionError("the other side closed the connection")
        room = room[got:]
        if room and time.monotonic() > deadline:
            raise TimeoutError("it takes too long")


def greet(connection: socket.socket, greeting: Greeting) -> None:
    """Say which content is wanted and by whom. Raises OSError."""
    name = greeting.name.encode()[:_NAME]
    connection.sendall(_GREETING.pack(_MAGIC, bytes.fromhex(greeting.digest), len(name)) + name)


def greeted(connection: socket.socket) -> Greeting:
    """What the other side says first. Raises OSError."""
    head = bytearray(_GREETING.size)
    receive_into(connection, memoryview(head))
    magic, digest, length = _GREETING.unpack(head)
    if magic != _MAGIC:
        raise WireError("a greeting of something else")
    name = bytearray(length)
    receive_into(connection, memoryview(name))
    return Greeting(digest.hex(), name.decode("utf-8", "replace"))
