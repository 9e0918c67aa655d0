"""A small HTTP client for OpenAI-shaped endpoints: whole answers, event streams, one deadline per request."""

from __future__ import annotations

import http.client
import json
import socket
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from typing import Any

from ansible_collections.baremetal.vllm.plugins.module_utils.endpoints.sse import EventParser

Json = Any
_BOUNDARY = "baremetal-vllm-endpoint-check"
# An answer to these small requests is far below this; a server that never stops talking is cut off.
_LARGEST_ANSWER = 64 * 1024 * 1024


class Unexpected(Exception):
    """An answer, or the lack of one, that ends a check."""

    def __init__(self, observed: str, expected: str) -> None:
        super().__init__(observed)
        self.observed = observed
        self.expected = expected


class NoAnswer(Unexpected):
    """The endpoint could not be talked to: refused, timed out, cut off."""


@dataclass(frozen=True)
class Reply:
    """One whole HTTP answer."""

    status: int
    body: bytes

    def json(self) -> Json:
        """The body as JSON, whatever the status. Raises Unexpected: where it is none."""
        try:
            return json.loads(self.body)
        except ValueError:
            raise Unexpected(f"HTTP {self.status} with a body that is not JSON: {self.text!r}", "JSON") from None

    @property
    def text(self) -> str:
        """The first 200 bytes of the body, for messages; what is not UTF-8 is replaced."""
        return self.body[:200].decode("utf-8", "replace")

    def __str__(self) -> str:
        """Status and the server's own message, for the person who reads why a check failed."""
        try:
            error = json.loads(self.body)
        except ValueError:
            return f"HTTP {self.status}: {self.text}" if self.body else f"HTTP {self.status}"
        if isinstance(error, dict):
            error = error.get("error", error.get("detail", ""))
        if isinstance(error, dict):
            error = error.get("message", "")
        return f"HTTP {self.status}: {error}" if error and self.status >= 400 else f"HTTP {self.status}"


@dataclass(frozen=True)
class Event:
    """The data of one event of a stream, and the seconds from the request to its arrival."""

    data: str
    seconds: float


@dataclass(frozen=True)
class Client:
    """One endpoint. `timeout` (seconds) bounds each request from the connection to the last byte."""

    host: str
    port: int
    key: str | None = None
    timeout: float = 60.0

    def with_key(self, key: str | None) -> Client:
        """The same endpoint asked with another key, or with none."""
        return replace(self, key=key)

    def get(self, path: str) -> Reply:
        """Ask for a path; any status is an answer. Raises NoAnswer: where none comes within the timeout, in seconds."""
        return self._whole("GET", path, None, None)

    def post(self, path: str, body: Json | bytes) -> Reply:
        """Send a JSON document, or bytes as they are under the name of JSON.

        Raises NoAnswer: where none comes within the client's timeout.
        """
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        return self._whole("POST", path, content, "application/json")

    def ask(self, path: str, body: Json) -> dict[str, object]:
        """Send a JSON document; the answer must be HTTP 200 with a JSON object.

        Raises:
            Unexpected: for any other answer, and for none.
        """
        return require_object(self.post(path, body), path)

    def upload(self, path: str, fields: Mapping[str, object], name: str, content: bytes) -> Reply:
        """Send a form with one file named `file`. Raises NoAnswer: where none comes within the client's timeout."""
        parts = [
            f'--{_BOUNDARY}\r\nContent-Disposition: form-data; name="{field}"\r\n\r\n{value}\r\n'.encode()
            for field, value in fields.items()
        ]
        head = f'--{_BOUNDARY}\r\nContent-Disposition: form-data; name="file"; filename="{name}"\r\n'
        parts.append(head.encode() + b"Content-Type: application/octet-stream\r\n\r\n" + content + b"\r\n")
        body = b"".join(parts) + f"--{_BOUNDARY}--\r\n".encode()
        return self._whole("POST", path, body, f"multipart/form-data; boundary={_BOUNDARY}")

    def stream(self, path: str, body: Json) -> Iterator[Event]:
        """Send a JSON document and yield the events of the answer as they arrive; ends where the server ends.

        Raises:
            Unexpected: when the answer is not an event stream, stalls, or breaks off.
        """
        started = time.monotonic()
        parser = EventParser()
        with self._exchange("POST", path, json.dumps(body).encode(), "application/json") as answer:
            if answer.status != 200:
                raise Unexpected(str(Reply(answer.status, answer.read())), f"HTTP 200 from {path}")
            media = answer.response.headers.get_content_type()
            if media != "text/event-stream":
                raise Unexpected(f"an answer of type {media}", "a stream of type text/event-stream")
            for chunk in answer.chunks():
                for data in parser.feed(chunk):
                    yield Event(data, time.monotonic() - started)

    def _whole(self, method: str, path: str, body: bytes | None, media: str | None) -> Reply:
        with self._exchange(method, path, body, media) as answer:
            return Reply(answer.status, answer.read())

    @contextmanager
    def _exchange(self, method: str, path: str, body: bytes | None, media: str | None) -> Iterator[_Answer]:
        """One request on a connection of its own, whatever goes wrong with it told as `NoAnswer`."""
        deadline = time.monotonic() + self.timeout
        headers = {"Accept": "application/json, text/event-stream", "Connection": "close"}
        if media:
            headers["Content-Type"] = media
        if self.key is not None:
            headers["Authorization"] = f"Bearer {self.key}"
        where, expected = f"{method} {path}", "an answer"
        connection = http.client.HTTPConnection(self.host, self.port, timeout=self.timeout)
        try:
            connection.connect()
            # The connection forgets its socket once it has read the answer's header; the deadline still needs it.
            transport = connection.sock
            # A server may answer and close before it has read a long body: its answer is still to be read.
            with suppress(BrokenPipeError, ConnectionResetError):
                connection.request(method, path, body, headers)
            with connection.getresponse() as response:
                yield _Answer(response, transport, deadline)
        except (socket.timeout, TimeoutError):
            raise NoAnswer(f"no answer to {where} within {self.timeout:g} s", expected) from None
        except ConnectionRefusedError:
            raise NoAnswer(f"connection to {self.host} port {self.port} refused", expected) from None
        except (OSError, http.client.HTTPException) as problem:
            raise NoAnswer(f"{where} broke off ({type(problem).__name__}: {problem})", expected) from None
        finally:
            connection.close()


class _Answer:
    """The body of an answer in pieces, under the deadline of its request."""

    def __init__(self, response: http.client.HTTPResponse, transport: socket.socket, deadline: float) -> None:
        self.response = response
        self.status = response.status
        self._transport = transport
        self._deadline = deadline

    def chunks(self) -> Iterator[bytes]:
        while True:
            left = self._deadline - time.monotonic()
            if left <= 0:
                raise socket.timeout
            self._transport.settimeout(left)
            chunk = self.response.read1(65536)
            if not chunk:
                return
            yield chunk

    def read(self) -> bytes:
        body = b""
        for chunk in self.chunks():
            body += chunk
            if len(body) > _LARGEST_ANSWER:
                raise Unexpected(f"an answer of more than {_LARGEST_ANSWER >> 20} MiB", "a small answer")
        if self.response.length:
            raise http.client.IncompleteRead(body, self.response.length)
        return body


def require_object(reply: Reply, path: str) -> dict[str, object]:
    """The JSON object of an answer with HTTP 200. Raises Unexpected: for anything else."""
    if reply.status != 200:
        raise Unexpected(str(reply), f"HTTP 200 from {path}")
    document = reply.json()
    if not isinstance(document, dict):
        raise Unexpected(f"{reply.text!r}", "a JSON object")
    return document


def pick(document: Json, *path: str | int) -> Json:
    """Walk into an answer, naming the place that is missing. Raises Unexpected: where the answer has no such place."""
    place, here = "", document
    for step in path:
        place += f"[{step}]" if isinstance(step, int) else f".{step}" if place else str(step)
        try:
            here = here[step]
        except (LookupError, TypeError):
            shown = json.dumps(document, ensure_ascii=False, default=str)
            raise Unexpected(f"no {place} in {shown[:200]}", f"an answer with {place}") from None
    return here
