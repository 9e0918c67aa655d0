"""What a piece of content consists of: its files, and the SHA-256 of each chunk of their bytes laid end to end.

The SHA-256 of the manifest's own canonical text is the content's name: who knows the name can take the manifest, and then every
chunk, from anybody. Chunks go across files, so that ten thousand small files cost no more requests than one large file. Bytes
and paths count; owners, modes and times do not, and empty directories are not kept.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

VERSION = 1
FILE, DIRECTORY = "file", "directory"
# The path of content that is one file: what it is called on a host is not part of it.
ONLY = "content"
# A host passes a chunk on once it has all of it, so that each link of a chain begins one chunk later than the one before:
# small chunks. Each has a line in the manifest and a question of its own: few chunks. 1 MiB is 42 ms at 200 Mbit/s and 1 ms at
# 10 Gbit/s; from 64 GiB on they grow with the content, of which one is then never more than 1/32768.
SMALLEST, LARGEST = 1 << 20, 64 << 20
_MOST_CHUNKS = 65536
# Bytes of a manifest's text: 65536 chunks, and a directory of 100,000 files.
MOST_BYTES = 32 << 20
_PATH_BYTES, _NAME_BYTES = 4000, 255
_SHA256 = re.compile("[0-9a-f]{64}")


class ManifestError(ValueError):
    """A text that is no manifest, or content that can have none; says why."""


class ContentFile(NamedTuple):
    """One file: path relative to the content's directory with `/`, and size in bytes."""

    path: str
    size: int


class Span(NamedTuple):
    """A part of a chunk: `length` bytes of the file of that number, from `offset` on."""

    file: int
    offset: int
    length: int


@dataclass(frozen=True)
class Manifest:
    """`form` is FILE or DIRECTORY, `chunk` the bytes of every chunk but the last, `chunks` the SHA-256 of each in hexadecimal."""

    form: str
    chunk: int
    files: tuple[ContentFile, ...]
    chunks: tuple[str, ...]

    @cached_property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(file.size for file in self.files)

    @cached_property
    def text(self) -> bytes:
        """The canonical JSON form: one text for one content."""
        document = {
            "version": VERSION,
            "form": self.form,
            "chunk": self.chunk,
            "files": [list(file) for file in self.files],
            "chunks": list(self.chunks),
        }
        return json.dumps(document, sort_keys=True, separators=(",", ":")).encode("ascii")

    @cached_property
    def digest(self) -> str:
        """The content's name: SHA-256 of the canonical text, in hexadecimal."""
        return hashlib.sha256(self.text).hexdigest()

    def length(self, index: int) -> int:
        """Bytes of the chunk of that number."""
        return min(self.chunk, self.size - index * self.chunk)

    def spans(self, index: int) -> Iterator[Span]:
        """Where the bytes of a chunk lie, in their order."""
        at, left = index * self.chunk, self.length(index)
        number = bisect_right(self._begins, at) - 1
        while left:
            offset = at - self._begins[number]
            length = min(left, self.files[number].size - offset)
            if length:
                yield Span(number, offset, length)
            at, left, number = at + length, left - length, number + 1

    @cached_property
    def _begins(self) -> list[int]:
        begins, at = [], 0
        for file in self.files:
            begins.append(at)
            at += file.size
        return begins


def read(text: bytes, digest: str = "") -> Manifest:
    """The manifest of a text; `digest`, where given, is the name that it must have.

    Raises ManifestError: for another text than that of the name, another version, paths that leave the directory or are there
    twice, sizes and chunks that do not fit.
    """
    if digest and hashlib.sha256(text).hexdigest() != digest:
        raise ManifestError(f"it is the manifest of other content than {digest[:12]}")
    if len(text) > MOST_BYTES:
        raise ManifestError(f"a manifest of {len(text)} bytes; at most {MOST_BYTES} are read")
    try:
        document = json.loads(text)
        version = document["version"]
        if version != VERSION:
            raise ManifestError(f"it is of version {version!r}, and this collection reads {VERSION}")
        form, chunk = document["form"], document["chunk"]
        files = tuple(ContentFile(path, size) for path, size in document["files"])
        chunks = tuple(document["chunks"])
    except ManifestError:
        raise
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise ManifestError(f"it is no manifest ({type(error).__name__})") from None
    _judge(form, chunk, files, chunks)
    manifest = Manifest(form, chunk, files, chunks)
    if manifest.text != text:
        # Two texts of one content would be two names of it.
        raise ManifestError("it is not in its canonical form")
    return manifest


def _judge(form: object, chunk: object, files: tuple[ContentFile, ...], chunks: tuple[object, ...]) -> None:
    if form not in (FILE, DIRECTORY):
        raise ManifestError(f"its form is {form!r}, neither {FILE} nor {DIRECTORY}")
    for path, size in files:
        if not isinstance(path, str) or not isinstance(size, int) or isinstance(size, bool) or size < 0:
            raise ManifestError("it lists what is no path with a size")
        if not is_inside(path):
            raise ManifestError(f"it names a file outside of its directory, or none: {path!r}")
    paths = [path for path, __ in files]
    if paths != sorted(set(paths)):
        raise ManifestError("its paths are not in order, each once")
    folders = {path[:at] for path in paths for at, char in enumerate(path) if char == "/"}
    both = folders.intersection(paths)
    if both:
        raise ManifestError(f"it names a file that is a directory as well: {min(both)!r}")
    if form == FILE and paths != [ONLY]:
        raise ManifestError("content of one file has another number of them")
    total = sum(size for __, size in files)
    if type(chunk) is not int or chunk != chunk_size(total):
        raise ManifestError(f"its chunks have {chunk!r} bytes; for {total} bytes they have {chunk_size(total)}")
    if len(chunks) != -(-total // chunk):
        raise ManifestError(f"{len(chunks)} chunks of {chunk} bytes cannot be {total} bytes")
    if not all(isinstance(each, str) and _SHA256.fullmatch(each) for each in chunks):
        raise ManifestError("a chunk has no SHA-256")


def is_inside(path: str) -> bool:
    """Whether a relative path names something inside its directory, and can be the name of a file on Linux."""
    parts = path.split("/")
    if "\0" in path or any(part in ("", ".", "..") for part in parts):
        return False
    try:
        raw = path.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return len(raw) <= _PATH_BYTES and all(len(part) <= _NAME_BYTES for part in raw.split(b"/"))


def chunk_size(total: int) -> int:
    """Bytes of a chunk of content of `total` bytes: a power of two, as small as 65,536 chunks allow."""
    size = SMALLEST
    while size < LARGEST and total > size * _MOST_CHUNKS:
        size *= 2
    return size


def describe(path: Path) -> Manifest:
    """The manifest of a file or a directory, each byte read once. Links to files are followed, as engines follow them.

    Raises ManifestError: for links to directories, devices, names that are no UTF-8, and files that change meanwhile; OSError.
    """
    form = DIRECTORY if path.is_dir() else FILE
    found = list(_walk(path)) if form == DIRECTORY else [(ONLY, path)]
    files = tuple(ContentFile(name, place.stat().st_size) for name, place in found)
    chunk = chunk_size(sum(file.size for file in files))
    chunks, current, room = [], hashlib.sha256(), chunk
    for file, (__, place) in zip(files, found):
        left = file.size
        with place.open("rb", buffering=0) as stream:
            while left:
                piece = stream.read(min(left, room, SMALLEST))
                if not piece:
                    break
                current.update(piece)
                left, room = left - len(piece), room - len(piece)
                if not room:
                    chunks.append(current.hexdigest())
                    current, room = hashlib.sha256(), chunk
            if left or stream.read(1):
                raise ManifestError(f"{place} changed while it was read")
    if room != chunk:
        chunks.append(current.hexdigest())
    return Manifest(form, chunk, files, tuple(chunks))


def _walk(root: Path) -> list[tuple[str, Path]]:
    found = []
    for folder, names, files in os.walk(root):
        for name in names:
            if os.path.islink(os.path.join(folder, name)):
                raise ManifestError(
                    f"{os.path.join(folder, name)} is a link to a directory: put the directory in its place"
                )
        for name in files:
            place = Path(folder, name)
            relative = place.relative_to(root).as_posix()
            if not place.is_file():
                raise ManifestError(f"{place} is neither a file nor a directory")
            if not is_inside(relative):
                raise ManifestError(f"{place!r} has a name that no manifest can hold (no UTF-8, or too long)")
            found.append((relative, place))
    return sorted(found)
