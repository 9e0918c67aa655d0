"""What a host has of one content, on its disk: chunks that were checked, chunks that are only said to be there, and the rest.

It grows in `.NAME.fanout` beside its place, which root alone may enter, and gets its name in one step when all is checked.
Content that lies at its place already is given to others from there; its chunks are checked when they are first asked for.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from ansible_collections.baremetal.vllm.plugins.module_utils.fanout import manifest as mf
from ansible_collections.baremetal.vllm.plugins.module_utils.host import folders
from ansible_collections.baremetal.vllm.plugins.module_utils.weights.space import shortage

# Of a chunk.
LACKING, SAID, CHECKED = 0, 1, 2
_FILE_MODE = 0o644


class StoreError(Exception):
    """Content that cannot be taken in on this host; says what is wrong and what to do."""


class Place(NamedTuple):
    """Where content goes, and what lies beside it on the way."""

    target: Path

    @property
    def staging(self) -> Path:
        """Where it grows."""
        return self.target.with_name(f".{self.target.name}.fanout")

    @property
    def growing(self) -> Path:
        """In there, the file or the directory itself."""
        return self.staging / mf.ONLY

    @property
    def chunks(self) -> Path:
        """In there, a byte for each chunk: 1 where it was checked and written. A hint: it is checked again after a restart."""
        return self.staging / "chunks"

    @property
    def draft(self) -> Path:
        """In there, the manifest of what grows."""
        return self.staging / "manifest.json"

    @property
    def manifest(self) -> Path:
        """The manifest of what is whole, kept for the next run that gives it away."""
        return self.target.with_name(f".{self.target.name}.manifest.json")

    @property
    def lock(self) -> Path:
        """Held by the one agent that works on this content."""
        return self.target.with_name(f".{self.target.name}.lock")


@contextlib.contextmanager
def alone(place: Place) -> Iterator[None]:
    """Hold the content's lock. Raises StoreError: where another agent has it."""
    folders.make(place.target.parent)
    while True:
        stream = os.open(place.lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(stream)
            raise StoreError(
                f"another run brings {place.target} to this host: wait for it, or end it (systemctl list-units 'vllm-fanout-*')"
            ) from None
        # Whoever held it may have removed the file between the two calls.
        with contextlib.suppress(FileNotFoundError):
            if os.stat(place.lock).st_ino == os.fstat(stream).st_ino:
                break
        os.close(stream)
    try:
        yield
    finally:
        place.lock.unlink()
        os.close(stream)


def known(place: Place, digest: str) -> mf.Manifest | None:
    """The manifest of the content that lies at its place, None where nothing lies there; where none is beside it, one is made,
    which reads every byte.

    Raises StoreError: for other content there; OSError.
    """
    if not os.path.lexists(place.target):
        return None
    with contextlib.suppress(OSError, mf.ManifestError):
        found = mf.read(place.manifest.read_bytes(), digest)
        if _fits(place.target, found):
            return found
    try:
        found = mf.describe(place.target)
    except mf.ManifestError as error:
        raise StoreError(f"{place.target} is no content that can be given away: {error}") from None
    if found.digest != digest:
        raise StoreError(
            f"{place.target} is there and is other content ({found.digest[:12]}, and {digest[:12]} is asked for): remove it, or"
            " give the content another name"
        )
    keep(place, found)
    return found


def described(place: Place) -> mf.Manifest:
    """The manifest of what lies at its place: the one that is kept beside it where files of its sizes are there, else a new one,
    kept from now on. A chunk that is not as the kept one says is found before it is given away.

    Raises ManifestError: for content that can have none; OSError.
    """
    with contextlib.suppress(OSError, mf.ManifestError):
        found = mf.read(place.manifest.read_bytes())
        if _fits(place.target, found):
            return found
    found = mf.describe(place.target)
    keep(place, found)
    return found


def keep(place: Place, manifest: mf.Manifest) -> None:
    """Keep the manifest beside the content. Raises OSError."""
    draft = place.manifest.with_name(f"{place.manifest.name}.new")
    with draft.open("wb") as stream:
        stream.write(manifest.text)
        os.fsync(stream.fileno())
    draft.chmod(_FILE_MODE)
    draft.replace(place.manifest)


def _fits(target: Path, manifest: mf.Manifest) -> bool:
    """Whether files of these sizes are there."""
    if (manifest.form == mf.DIRECTORY) != target.is_dir():
        return False
    paths = [target / file.path if manifest.form == mf.DIRECTORY else target for file in manifest.files]
    return all(path.is_file() and path.stat().st_size == file.size for path, file in zip(paths, manifest.files))


class Store:
    """The chunks of one content on this host; any thread may ask, and each chunk is written by one at a time.

    Raises StoreError: where the disk has no room for what is lacking; OSError.
    """

    def __init__(self, place: Place, manifest: mf.Manifest, whole: bool) -> None:
        self.place, self.manifest, self.whole = place, manifest, whole
        count = len(manifest.chunks)
        self._states = bytearray([SAID if whole else LACKING] * count)
        self._lock = threading.Lock()
        if not whole:
            self._prepare()
        root = place.target if whole else place.growing
        # Held open: what it leads to stays the same when the content gets its name.
        self._root = os.open(root, os.O_RDONLY if whole or manifest.form == mf.DIRECTORY else os.O_RDWR | os.O_NOFOLLOW)
        self._said = -1 if whole else os.open(place.chunks, os.O_RDWR)

    def state(self, index: int) -> int:
        """LACKING, SAID or CHECKED."""
        return self._states[index]

    @property
    def count(self) -> int:
        """How many chunks are there to be given away."""
        return len(self._states) - self._states.count(LACKING)

    @property
    def bytes(self) -> int:
        """Bytes of the chunks that are there."""
        last = len(self._states) - 1
        if last < 0:
            return 0
        short = self.manifest.chunk - self.manifest.length(last) if self._states[last] != LACKING else 0
        return self.count * self.manifest.chunk - short

    def load(self, index: int, room: memoryview) -> bool:
        """Read a chunk; whether it is there and right. One that turns out wrong counts as lacking from then on.

        Raises OSError: of the disk.
        """
        state = self._states[index]
        if state == LACKING:
            return False
        at = 0
        for span in self.manifest.spans(index):
            with self._file(span.file, os.O_RDONLY) as stream:
                got = 0
                while got < span.length:
                    piece = os.preadv(stream, [room[at + got : at + span.length]], span.offset + got)
                    if not piece:
                        break
                    got += piece
            at += span.length
        if state == SAID:
            right = self.is_right(index, room)
            with self._lock:
                self._states[index] = CHECKED if right else LACKING
            return right
        return True

    def is_right(self, index: int, room: memoryview) -> bool:
        """Whether these bytes are that chunk."""
        length = self.manifest.length(index)
        return hashlib.sha256(room[:length]).hexdigest() == self.manifest.chunks[index]

    def keep(self, index: int, room: memoryview) -> None:
        """Write a chunk that is right. Raises OSError: of a full disk too; the chunk is lacking then."""
        at = 0
        for span in self.manifest.spans(index):
            with self._file(span.file, os.O_RDWR) as stream:
                put = 0
                while put < span.length:
                    put += os.pwrite(stream, room[at + put : at + span.length], span.offset + put)
            at += span.length
        with self._lock:
            self._states[index] = CHECKED
        os.pwrite(self._said, b"\1", index)

    def finish(self) -> None:
        """Give the content its name, on disk when this returns. Raises OSError: where something else has got it meanwhile too."""
        place = self.place
        directory = self.manifest.form == mf.DIRECTORY
        for number in range(len(self.manifest.files)):
            with self._file(number, os.O_RDWR) as stream:
                os.fchmod(stream, _FILE_MODE)
                os.fsync(stream)
        for folder, __, ___ in os.walk(place.growing, topdown=False) if directory else ():
            os.chmod(folder, folders.PUBLIC)
            _sync(folder)
        keep(place, self.manifest)
        if not directory and os.path.lexists(place.target):
            raise FileExistsError(17, os.strerror(17), str(place.target))
        place.growing.rename(place.target)
        _sync(place.target.parent)
        shutil.rmtree(place.staging)
        self.whole = True

    def _prepare(self) -> None:
        """Make the files in their sizes, or take up what an earlier run left of the same content."""
        place, manifest = self.place, self.manifest
        if not self._left():
            shutil.rmtree(place.staging, ignore_errors=True)
            place.staging.mkdir(0o700)
            place.draft.write_bytes(manifest.text)
            place.chunks.write_bytes(bytes(len(manifest.chunks)))
        said = place.chunks.read_bytes()
        self._states = bytearray(SAID if each == 1 else LACKING for each in said)
        lacking = manifest.size - self.bytes
        wrong = shortage(str(place.target.parent), lacking, remedy=f"put {place.target.parent} on a larger file system")
        if wrong:
            raise StoreError(wrong)
        if manifest.form == mf.DIRECTORY:
            place.growing.mkdir(mode=0o700, exist_ok=True)
        for path, size in manifest.files:
            file = place.growing / path if manifest.form == mf.DIRECTORY else place.growing
            file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
            os.ftruncate(descriptor, size)
            os.close(descriptor)

    def _left(self) -> bool:
        """Whether an earlier run left a part of this very content."""
        place = self.place
        try:
            same = place.draft.read_bytes() == self.manifest.text
            return same and place.chunks.stat().st_size == len(self.manifest.chunks)
        except OSError:
            return False

    @contextlib.contextmanager
    def _file(self, number: int, flags: int) -> Iterator[int]:
        if self.manifest.form == mf.FILE:
            yield self._root
            return
        # Below the root nobody but root could put a link; content that lies at its place may have some.
        follow = 0 if self.whole else os.O_NOFOLLOW
        stream = os.open(self.manifest.files[number].path, flags | follow | os.O_CLOEXEC, dir_fd=self._root)
        try:
            yield stream
        finally:
            os.close(stream)


def _sync(folder: str | Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
