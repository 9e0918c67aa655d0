"""Fingerprints of OpenPGP keys, so that a key fetched over the network is trusted only when it is the expected one.

A bare host has no gpg. Only the public-key packet is read (RFC 4880, 4.2 and 12.2: a version 4 fingerprint is the SHA-1
of 0x99, the packet's length in two bytes, and the packet).
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re

PUBLIC_KEY = 6
_ARMOR = re.compile(rb"-----BEGIN PGP PUBLIC KEY BLOCK-----(.*?)-----END PGP PUBLIC KEY BLOCK-----", re.S)


def fingerprints(key: bytes) -> list[str]:
    """Fingerprints (40 capital hexadecimal digits) of the primary keys in a key file, armored or not; [] where it holds none."""
    found = []
    for block in [_unarmored(text) for text in _ARMOR.findall(key)] or [key]:
        found += [_fingerprint(body) for tag, body in _packets(block) if tag == PUBLIC_KEY and body[:1] == b"\x04"]
    return found


def _unarmored(text: bytes) -> bytes:
    # Headers end at the first empty line; the last line, after "=", is a checksum.
    body = text.replace(b"\r", b"").partition(b"\n\n")[2]
    try:
        return base64.b64decode(b"".join(line for line in body.split(b"\n") if not line.startswith(b"=")))
    except binascii.Error:
        return b""


def _fingerprint(body: bytes) -> str:
    return hashlib.sha1(b"\x99" + len(body).to_bytes(2, "big") + body).hexdigest().upper()  # noqa: S324 (the format's own)


def _packets(data: bytes) -> list[tuple[int, bytes]]:
    """(tag, body) of each packet, up to the first that is no packet."""
    packets, at = [], 0
    while at < len(data) and data[at] & 0x80:
        head = data[at]
        if head & 0x40:
            tag, length, at = head & 0x3F, *_new_length(data, at + 1)
        else:
            tag, size = (head >> 2) & 0x0F, 1 << (head & 3)
            length, at = int.from_bytes(data[at + 1 : at + 1 + size], "big"), at + 1 + size
            if size == 8:
                break
        if length < 0 or at + length > len(data):
            break
        packets.append((tag, data[at : at + length]))
        at += length
    return packets


def _new_length(data: bytes, at: int) -> tuple[int, int]:
    """Length of a packet in the new format and where its body begins; -1 for partial lengths, which keys do not have."""
    first = data[at] if at < len(data) else 224
    if first < 192:
        return first, at + 1
    if first < 224:
        return ((first - 192) << 8) + int.from_bytes(data[at + 1 : at + 2], "big") + 192, at + 2
    return (int.from_bytes(data[at + 1 : at + 5], "big"), at + 5) if first == 255 else (-1, at)
