"""The stand-in engine's HTTP: asyncio, thousands of slow streams, and the ways in which vLLM 0.32.0 stops and dies."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from standin_answers import Answer, Served, get, post
from standin_http import LARGEST_HEAD, asked, body, chunk, header

DEAD = b'{"error":{"message":"EngineCore encountered an issue.","type":"InternalServerError","param":null,"code":500}}'
UNAUTHORIZED = b'{"error":"Unauthorized"}'
# Seen in 0.32.0: how long the server outlives its engine in seconds, with requests at work and without.
OUTLIVES_BUSY, OUTLIVES_IDLE = 0.5, 5.0


class Gone(Exception):
    """The client is no longer there."""


class Server:
    """One engine. `grace`: --shutdown-timeout in seconds; `slots`: how many requests run at once, others wait."""

    def __init__(self, served: Served, engine: subprocess.Popen[bytes], grace: int, slots: int) -> None:
        self.served, self.engine, self.grace = served, engine, grace
        self.slots = asyncio.Semaphore(slots)
        self.metrics = dict.fromkeys(
            ("num_requests_running", "num_requests_waiting", "prompt_tokens_total", "generation_tokens_total"), 0.0
        )
        self.ended = asyncio.Event()
        self.stopping: float | None = None
        self.dead = self.hung = False
        self.idle: set[asyncio.StreamWriter] = set()
        self.at_work: set[asyncio.Task[object]] = set()
        self.asked_in_vain = asyncio.Event()

    async def listen(self, host: str, port: int) -> None:
        self.listener = await asyncio.start_server(self.connection, host, port, limit=LARGEST_HEAD, backlog=4096)
        self.watch = asyncio.create_task(self.watch_engine())

    # -- how it ends

    def toggle_hang(self) -> None:
        self.hung = not self.hung

    def hangs(self) -> bool:
        """Whether tokens have ceased: ordered, or stopped for longer than `--shutdown-timeout`."""
        if self.stopping is not None and time.monotonic() > self.stopping + self.grace:
            return True
        return self.hung or self.served.fault("hangs_after")

    def stop(self) -> None:
        """SIGTERM: without a grace period the engine is gone at once and the server waits for its clients, for ever."""
        self.stopping = self.stopping or time.monotonic()
        if not self.at_work:
            self.ended.set()
        if not self.grace:
            self.listener.close()
            for writer in list(self.idle):
                writer.close()

    async def watch_engine(self) -> None:
        while self.engine.poll() is None:
            if self.served.fault("dies_after"):
                self.engine.kill()
            await asyncio.sleep(0.05)
        self.dead = True
        print("ERROR (APIServer pid=1) Engine core proc EngineCore died unexpectedly.", file=sys.stderr, flush=True)
        noticed = bool(self.at_work)
        for task in self.at_work:
            task.cancel()
        if not noticed:
            with suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self.asked_in_vain.wait(), OUTLIVES_IDLE)
        await asyncio.sleep(OUTLIVES_BUSY)
        self.ended.set()

    @asynccontextmanager
    async def slot(self) -> AsyncIterator[None]:
        """A request at work, as /metrics counts it; the last one ends a server that was told to stop."""
        task = asyncio.current_task()
        assert task is not None
        self.at_work.add(task)
        try:
            self.metrics["num_requests_waiting"] += 1
            try:
                await self.slots.acquire()
            finally:
                self.metrics["num_requests_waiting"] -= 1
            self.metrics["num_requests_running"] += 1
            try:
                yield
            finally:
                self.metrics["num_requests_running"] -= 1
                self.slots.release()
        finally:
            self.at_work.discard(task)
            if self.stopping is not None and not self.at_work:
                # The last bytes are still on their way.
                asyncio.get_running_loop().call_later(0.1, self.ended.set)

    async def pause(self, seconds: float, reader: asyncio.StreamReader) -> None:
        """Wait for the next token; as long as the client does where none comes any more."""
        await asyncio.sleep(seconds)
        while self.hangs() and not reader.at_eof():
            await asyncio.sleep(0.1)
        if reader.at_eof():
            raise Gone

    # -- HTTP

    async def connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while await self.exchange(reader, writer):
                pass
        except (Gone, OSError, asyncio.IncompleteReadError):
            pass
        except (ValueError, asyncio.LimitOverrunError):
            print("request: malformed", file=sys.stderr, flush=True)
            await self.send(writer, Answer(400, b"Invalid HTTP request received.", media="text/plain"), close=True)
        finally:
            self.idle.discard(writer)
            writer.close()

    async def exchange(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """One request and its answer; whether another may follow."""
        self.idle.add(writer)
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        self.idle.discard(writer)
        method, target, version = head[0].split(" ")
        headers = {
            name.strip().lower(): value.strip() for name, __, value in (line.partition(":") for line in head[1:])
        }
        if headers.get("expect", "").lower() == "100-continue":
            writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        raw = await body(reader, headers)
        path = target.partition("?")[0]
        model, mark = asked(raw, headers)
        print(f"request: {method} {path} model={model} bytes={len(raw)} mark={mark}", file=sys.stderr, flush=True)
        close = version == "HTTP/1.0" or headers.get("connection", "").lower() == "close"
        if self.served.guards(path, headers.get("authorization")):
            await self.send(writer, Answer(401, UNAUTHORIZED), close)
        elif method != "POST":
            await self.send(writer, get(self.served, path, self.metrics), close)
        elif self.dead or self.stopping is not None:
            self.asked_in_vain.set()
            await self.send(writer, Answer(500, DEAD), close)
        else:
            answer = post(self.served, path, raw, headers.get("content-type", ""))
            self.metrics["prompt_tokens_total"] += answer.prompt
            async with self.slot():
                await (self.stream if answer.stream else self.whole)(reader, writer, answer, close)
        return not close

    async def whole(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, answer: Answer, close: bool
    ) -> None:
        try:
            if answer.status == 200:
                await self.pause(self.served.first + max(0, answer.tokens - 1) / self.served.rate, reader)
        except asyncio.CancelledError:
            answer = Answer(500, DEAD)
        self.metrics["generation_tokens_total"] += answer.tokens
        await self.send(writer, answer, close)

    async def stream(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, answer: Answer, close: bool
    ) -> None:
        writer.write(header(200, answer.media, "Transfer-Encoding: chunked", close))
        # Where the engine dies, the stream ends as if it were complete, only without a finish_reason (seen in 0.32.0).
        with suppress(asyncio.CancelledError):
            await self.tokens(reader, writer, answer)
        writer.write(chunk(b"data: [DONE]\n\n") + b"0\r\n\r\n")
        await writer.drain()

    async def tokens(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, answer: Answer) -> None:
        chat = answer.stream == "chat.completion.chunk"
        base = {"id": f"chatcmpl-{id(writer):x}", "object": answer.stream, "created": int(time.time())}
        base["model"] = self.served.names[0]

        def event(finish: str | None, **text: str) -> bytes:
            part = {"delta": {k: v for k, v in text.items() if v or finish is None}} if chat else {"text": ""} | text
            choice = {"index": 0, **part, "finish_reason": finish}
            return chunk(b"data: %s\n\n" % json.dumps({**base, "choices": [choice]}).encode())

        text = "!" if self.served.fault("wrong_answer") else "" if self.served.fault("wrong_shape") else "Paris "
        key = "content" if chat else "text"
        piece = event(None, **{key: text})
        for number in range(answer.tokens):
            await self.pause(1 / self.served.rate if number else self.served.first, reader)
            if not number and chat:
                writer.write(event(None, role="assistant", content=""))
            if number == answer.tokens // 2 and self.served.fault("cuts_streams"):
                writer.transport.abort()
                raise Gone
            writer.write(piece)
            await writer.drain()
            self.metrics["generation_tokens_total"] += 1
        writer.write(event("length", **{key: ""}))
        if answer.with_usage:
            counts = {"prompt_tokens": answer.prompt, "completion_tokens": answer.tokens}
            usage = {**counts, "total_tokens": answer.prompt + answer.tokens}
            writer.write(chunk(b"data: %s\n\n" % json.dumps({**base, "choices": [], "usage": usage}).encode()))

    async def send(self, writer: asyncio.StreamWriter, answer: Answer, close: bool) -> None:
        writer.write(header(answer.status, answer.media, f"Content-Length: {len(answer.body)}", close) + answer.body)
        await writer.drain()
