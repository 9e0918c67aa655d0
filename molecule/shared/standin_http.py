"""HTTP/1.1 as the stand-in engine needs it: reading a body, writing a head and chunks."""

from __future__ import annotations

import asyncio
import json
import re

LARGEST_HEAD = 64 * 1024
REASONS = {200: "OK", 400: "Bad Request", 401: "Unauthorized", 404: "Not Found", 500: "Internal Server Error"}


def header(status: int, media: str, length: str, close: bool) -> bytes:
    connection = "\r\nConnection: close" if close else ""
    reason = REASONS.get(status, "Service Unavailable")
    return f"HTTP/1.1 {status} {reason}\r\nServer: uvicorn\r\nContent-Type: {media}\r\n{length}{connection}\r\n\r\n".encode()


def chunk(data: bytes) -> bytes:
    return f"{len(data):x}\r\n".encode() + data + b"\r\n"


async def body(reader: asyncio.StreamReader, headers: dict[str, str]) -> bytes:
    if "chunked" not in headers.get("transfer-encoding", ""):
        return await reader.readexactly(int(headers.get("content-length", 0)))
    raw = b""
    while size := int((await reader.readuntil(b"\r\n")).split(b";")[0], 16):
        raw += await reader.readexactly(size)
        await reader.readexactly(2)
    while await reader.readuntil(b"\r\n") != b"\r\n":
        pass
    return raw


def asked(raw: bytes, headers: dict[str, str]) -> tuple[str, str]:
    """The model named in a body and the mark by which a test knows the request, for the log; `-` where there is none.

    The mark is the body's `user`, which every gateway lets through, else the header X-Mark.
    """
    mark = headers.get("x-mark", "-")
    if form := re.search(rb'name="?model"?\r\n\r\n([^\r]*)', raw[:4096]):
        return form[1].decode(errors="replace"), mark
    try:
        document = json.loads(raw)
    except ValueError:
        return "-", mark
    return (
        (str(document.get("model", "-")), str(document.get("user", mark)))
        if isinstance(document, dict)
        else ("-", mark)
    )
