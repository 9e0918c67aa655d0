"""Locks: requirements files in which every distribution has one version and at least one SHA-256."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path

_PIN = re.compile(r"^(?P<name>[A-Za-z0-9][A-Za-z0-9._-]*)(?:\[[^\]]*\])?\s*==\s*(?P<version>[^\s;]+)")
_HASH = re.compile(r"--hash=sha256:([0-9a-f]{64})(?=\s|$)")


class LockError(ValueError):
    """A lock that cannot be used, with the line at fault."""


@dataclass(frozen=True)
class Pin:
    """One distribution of a lock: normalised name, exact version, the SHA-256 of every file allowed."""

    name: str
    version: str
    hashes: tuple[str, ...]


def normalise(name: str) -> str:
    """Return a distribution name as indexes compare them (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def parse_lock(text: str) -> tuple[Pin, ...]:
    """Read a requirements file with hashes; markers, extras, comments and options between pins are ignored.

    Raises LockError where a line is no exact pin, a pin has no SHA-256, or a name comes twice.
    """
    pins: dict[str, Pin] = {}
    for line in text.replace("\\\n", " ").splitlines():
        entry = line.strip()
        if not entry or entry.startswith(("#", "-")):
            continue
        found = _PIN.match(entry)
        if found is None:
            raise LockError(f"not an exact pin (name==version --hash=sha256:...): {entry[:80]}")
        hashes = tuple(_HASH.findall(entry))
        name = normalise(found["name"])
        if not hashes:
            raise LockError(f"{name} has no --hash=sha256: in the lock")
        if name in pins:
            raise LockError(f"{name} is in the lock twice")
        pins[name] = Pin(name, found["version"], hashes)
    if not pins:
        raise LockError("the lock names no distribution")
    return tuple(pins.values())


def render_lock(pins: tuple[Pin, ...]) -> str:
    """Write pins as a requirements file, sorted by name, so that the same pins give the same bytes."""
    lines: list[str] = []
    for pin in sorted(pins, key=lambda pin: pin.name):
        entry = [f"{pin.name}=={pin.version}", *(f"    --hash=sha256:{value}" for value in sorted(pin.hashes))]
        lines.append(" \\\n".join(entry))
    return "\n".join(lines) + "\n"


def digest(text: str) -> str:
    """Return the SHA-256 of what a lock pins, whatever its comments, order and line breaks.

    Raises LockError: as `parse_lock` does.
    """
    return hashlib.sha256(render_lock(parse_lock(text)).encode()).hexdigest()


def sha256_of(path: Path) -> str:
    """Return a file's SHA-256 in hexadecimal."""
    value = hashlib.sha256()
    with path.open("rb") as stream:
        for block in iter(lambda: stream.read(1 << 20), b""):
            value.update(block)
    return value.hexdigest()
