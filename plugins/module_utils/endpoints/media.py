"""Small images and sounds made on the spot, so that the checks carry no files."""

from __future__ import annotations

import base64
import io
import math
import struct
import wave
import zlib


def png(width: int, height: int, colour: tuple[int, int, int] = (200, 30, 30)) -> bytes:
    """A PNG of one colour, 8-bit RGB (RFC 2083)."""
    row = b"\x00" + bytes(colour) * width
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(row * height)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data)) for name, data in chunks
    )


def data_url(content: bytes, media: str = "image/png") -> str:
    """The content written into a URL (RFC 2397)."""
    return f"data:{media};base64,{base64.b64encode(content).decode()}"


def wav(seconds: float = 1.0, hertz: float = 440.0, rate: int = 16000) -> bytes:
    """A pure tone, mono, 16 bit."""
    step = 2 * math.pi * hertz / rate
    samples = (int(8000 * math.sin(step * number)) for number in range(int(seconds * rate)))
    target = io.BytesIO()
    with wave.open(target, "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(2)
        sound.setframerate(rate)
        sound.writeframes(b"".join(struct.pack("<h", sample) for sample in samples))
    return target.getvalue()
