"""The part of `make bench` about the gateway: what it adds to the first token, and how many streams it carries at once.

Raw sockets, because a client library's own time would hide a gateway's. Tokens are counted, not statuses.
"""

from __future__ import annotations

import asyncio
import json
import resource
import socket
import statistics
import sys
import time
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "molecule" / "shared"))
import testlab

INVENTORY = ROOT / "molecule" / "rollout" / "inventory"
MACHINES = ROOT / "molecule" / "gateway" / "inventory"
GROUPS = {"vllm_group": "fleet_a", "vllm_gateway_group": "gateways_a"}
HOSTS, GATEWAY = ("lab1", "lab2", "lab3"), "lab7"
# With the line end before it: a head may end with a zero, too.
_END = b"\r\n0\r\n\r\n"
_PATIENCE = 120.0


@dataclass(frozen=True)
class Door:
    """Where requests go: an engine itself, or a gateway."""

    host: str
    port: int
    key: str
    model: str

    def request(self, tokens: int) -> bytes:
        """A streamed chat request on a connection that stays open."""
        document = {
            "messages": [{"role": "user", "content": "What is the capital of France?"}],
            "model": self.model,
            "max_tokens": tokens,
            "stream": True,
        }
        body = json.dumps(document).encode()
        head = f"POST /v1/chat/completions HTTP/1.1\r\nHost: {self.host}:{self.port}\r\nAuthorization: Bearer {self.key}\r\n"
        return f"{head}Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body


def first_token(direct: Door, through: Door, runs: int = 300) -> tuple[float, float]:
    """Median seconds to the first token through the gateway and direct, asked in turn over two open connections."""
    taken: list[tuple[float, float]] = []
    with (
        socket.create_connection((through.host, through.port)) as door,
        socket.create_connection((direct.host, direct.port)) as engine,
    ):
        for connection in (door, engine):
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            connection.settimeout(_PATIENCE)
        for __ in range(runs):
            taken.append((_one(door, through.request(1)), _one(engine, direct.request(1))))
    return statistics.median(a for a, __ in taken), statistics.median(b for __, b in taken)


def _one(connection: socket.socket, request: bytes) -> float:
    """Seconds to the first content of one stream; the stream is read to its end, for the next one."""
    started = time.monotonic()
    connection.sendall(request)
    raw, first = b"", 0.0
    while not raw.endswith(_END):
        piece = connection.recv(65536)
        if not piece:
            raise ConnectionError(f"the stream ended early: {raw[:300]!r}")
        raw += piece
        if not first and _content(raw):
            first = time.monotonic() - started
    if not first:
        raise ValueError(f"no token came: {raw[:300]!r}")
    return first


def _content(raw: bytes) -> bool:
    """Whether a chunk with text has come; the first one names the role and holds an empty text."""
    return any(text[:1] not in (b"", b'"') for text in raw.split(b'"content": "')[1:])


@dataclass(frozen=True)
class Carried:
    """What became of many streams: how many were open at once at most, how many came whole, tokens in all,
    seconds, and up to five different complaints.
    """

    asked: int
    at_once: int
    whole: int
    tokens: int
    seconds: float
    complaints: tuple[str, ...]


def many_streams(door: Door, count: int = 2000, tokens: int = 20, opened_in: float = 5.0) -> Carried:
    """Open streams evenly over some seconds, which must last longer than that, and read every one to its end."""
    __, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    return asyncio.run(_many_streams(door, count, tokens, opened_in))


async def _many_streams(door: Door, count: int, tokens: int, opened_in: float) -> Carried:
    started = time.monotonic()
    open_now = at_once = 0
    complaints: list[str] = []

    async def one(number: int) -> int:
        nonlocal open_now, at_once
        await asyncio.sleep(opened_in * number / count)
        open_now += 1
        at_once = max(at_once, open_now)
        try:
            return await asyncio.wait_for(_stream(door, tokens), _PATIENCE)
        except (OSError, ValueError, asyncio.TimeoutError) as problem:
            complaints.append(f"{type(problem).__name__}: {problem}"[:300])
            return 0
        finally:
            open_now -= 1

    received = await asyncio.gather(*(one(number) for number in range(count)))
    seconds = time.monotonic() - started
    whole = sum(got == tokens for got in received)
    return Carried(count, at_once, whole, sum(received), seconds, tuple(sorted(set(complaints))[:5]))


async def _stream(door: Door, tokens: int) -> int:
    """The tokens of one stream that came to its proper end."""
    reader, writer = await asyncio.open_connection(door.host, door.port)
    try:
        writer.write(door.request(tokens))
        raw = bytearray()
        while not raw.endswith(_END):
            piece = await reader.read(65536)
            if not piece:
                raise ValueError(f"the stream ended early: {bytes(raw[:300])!r}")
            raw += piece
    finally:
        writer.close()
    return count_tokens(bytes(raw))


def count_tokens(raw: bytes) -> int:
    """The chunks with text in an HTTP answer that is a whole stream.

    Raises:
        ValueError: where it is no stream, or ended without a finish_reason and [DONE].
    """
    head, __, rest = raw.partition(b"\r\n\r\n")
    if b" 200 " not in head.split(b"\r\n", 1)[0]:
        raise ValueError(f"not a stream: {raw[:300]!r}")
    # A gateway may cut the chunks of the transfer elsewhere than the engine did.
    text = b""
    while rest and (size := int(rest.partition(b"\r\n")[0], 16)):
        start = rest.index(b"\r\n") + 2
        text, rest = text + rest[start : start + size], rest[start + size + 2 :]
    events = [line.removeprefix(b"data: ") for line in text.split(b"\n\n") if line]
    if events[-1:] != [b"[DONE]"]:
        raise ValueError(f"a stream without its end: {text[-300:]!r}")
    choices = [choice for event in events[:-1] for choice in json.loads(event)["choices"]]
    if not any(choice["finish_reason"] for choice in choices):
        raise ValueError("a stream without finish_reason: its engine died")
    return sum(bool(choice["delta"].get("content")) for choice in choices)


def fleet() -> tuple[Door, Door]:
    """Three replicas of one model on stand-in engines that take their time, behind the gateway; this computer may ask both."""
    booted = testlab.playbook("lab", quiet=True, inventories=[MACHINES], lab_names=[GATEWAY])
    if booted.rc != 0:
        sys.exit(f"{GATEWAY} does not boot:\n{booted.text}")
    for name in HOSTS:
        testlab.install_standin(name, first=0.01, rate=1)
    model = {"model": "/srv/stand-in", "kind": "chat", "hosts": ",".join(HOSTS), "port": 8101}
    own = testlab.address(GATEWAY).rpartition(".")[0] + ".1"
    run = testlab.playbook(
        "site", quiet=True, inventories=[INVENTORY], **GROUPS, vllm_models={"chat": model}, vllm_endpoint_sources=[own]
    )
    if run.rc != 0:
        sys.exit(f"site.yml failed:\n{run.text}")
    return (
        Door(testlab.address(HOSTS[0]), 8101, testlab.KEY, "chat"),
        Door(testlab.address(GATEWAY), 8080, "client-key-no-secret", "chat"),
    )


def measure() -> list[str]:
    """Both figures as lines of the benchmark's table."""
    print("The gateway: first token, and streams at once; stand-in engines")
    direct, through = fleet()
    lines = rows(first_token(direct, through), many_streams(through))
    # Without its gateway, the hosts of the other figures are open again.
    testlab.playbook("site", quiet=True, inventories=[INVENTORY], **GROUPS, vllm_models={}, gateway_state="absent")
    return lines


def rows(first: tuple[float, float], carried: Carried) -> list[str]:
    """Lines of the table: what, this, against, ratio, goal."""
    this, against = (1000 * seconds for seconds in first)
    name = "median time to first token through the gateway, against direct"
    lines = [
        f"{name:<66} {this:>5.2f} ms {against:>5.2f} ms {this / against:>6.2f}  at most 1 ms more: {this - against:.2f}"
    ]
    name = f"streams that came whole, {carried.at_once} at once for {carried.seconds:.0f} s, against asked"
    lines += [
        f"{name:<66} {carried.whole:>8} {carried.asked:>8} {carried.whole / carried.asked:>6.2f}  1 with 2000 at once"
    ]
    return [*lines, *(f"  {complaint}" for complaint in carried.complaints)]
