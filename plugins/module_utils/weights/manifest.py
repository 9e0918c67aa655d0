"""What a directory of weights consists of: paths, sizes and SHA-256, and the file `.manifest.json` that says so.

Names that start with a dot are not part of a model: they are metadata of tools (`.gitattributes`, `.cache`, the
manifest).
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, TypedDict

MANIFEST = ".manifest.json"
VERSION = 1
CHUNK = 4 << 20
# The engine's user, who is not the owner, reads the store.
FOLDER_MODE, FILE_MODE = 0o755, 0o644


@dataclass(frozen=True)
class FileEntry:
    """One file: path relative to the model's directory with `/`, size in bytes, SHA-256 in hexadecimal."""

    path: str
    size: int
    sha256: str

    def line(self) -> str:
        """The line that enters the digest; the path is quoted, so that no name can look like two lines."""
        return f"{self.sha256} {self.size} {json.dumps(self.path)}\n"


@dataclass(frozen=True)
class Manifest:
    """All files of a model, and where they came from (`source`, free-form)."""

    files: tuple[FileEntry, ...]
    source: str = ""

    @property
    def digest(self) -> str:
        """Content address: SHA-256 over the sorted lines; file times, owners and the source do not enter it."""
        whole = hashlib.sha256()
        for line in sorted(entry.line() for entry in self.files):
            whole.update(line.encode("ascii"))
        return whole.hexdigest()

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(entry.size for entry in self.files)


class FileData(TypedDict):
    """The JSON form of a FileEntry."""

    path: str
    size: int
    sha256: str


class ManifestData(TypedDict):
    """The JSON form of a Manifest, as `.manifest.json` has it."""

    version: int
    source: str
    digest: str
    files: list[FileData]


def is_safe(path: str) -> bool:
    """Whether a relative path stays inside its directory and is not hidden."""
    parts = path.split("/")
    return "\0" not in path and not any(part in ("", "..") or part.startswith(".") for part in parts)


def walk(root: str) -> Iterator[tuple[str, os.stat_result]]:
    """Yield (relative path, stat) of the model's files, links to files followed, sorted by path.

    Raises OSError for a link that leads nowhere, ValueError for what is neither file nor directory.
    """
    found = []
    for folder, names, files in os.walk(root):
        names[:] = [name for name in names if not name.startswith(".")]
        for name in files:
            if name.startswith("."):
                continue
            path = os.path.join(folder, name)
            state = os.stat(path)
            if not os.path.isfile(path):
                raise ValueError(f"{path} is neither a file nor a directory")
            found.append((os.path.relpath(path, root), state))
    yield from sorted(found)


def hash_file(path: str, sync: bool = False) -> tuple[str, str]:
    """Return (SHA-256, git blob SHA-1) of a file, read once. `sync` also brings it to the disk."""
    with open(path, "rb") as stream:
        sha256 = hashlib.sha256()
        blob = hashlib.sha1(b"blob %d\0" % os.fstat(stream.fileno()).st_size, usedforsecurity=False)
        while True:
            chunk = stream.read(CHUNK)
            if not chunk:
                break
            sha256.update(chunk)
            blob.update(chunk)
        if sync:
            os.fsync(stream.fileno())
    return sha256.hexdigest(), blob.hexdigest()


def to_data(manifest: Manifest) -> ManifestData:
    """The manifest as plain JSON data."""
    files: list[FileData] = [
        {"path": entry.path, "size": entry.size, "sha256": entry.sha256} for entry in manifest.files
    ]
    return {"version": VERSION, "source": manifest.source, "digest": manifest.digest, "files": files}


def from_data(data: Any) -> Manifest:
    """The inverse of `to_data`; raises ValueError where the data is not a manifest or contradicts its own digest."""
    try:
        files = tuple(FileEntry(str(f["path"]), int(f["size"]), str(f["sha256"])) for f in data["files"])
        manifest = Manifest(files, str(data.get("source", "")))
        stated = data["digest"]
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"not a manifest: {error!r}") from error
    unsafe = [entry.path for entry in files if not is_safe(entry.path)]
    if unsafe:
        raise ValueError(f"the manifest names files outside the model: {unsafe[0]!r}")
    if stated != manifest.digest:
        raise ValueError(f"the manifest says digest {stated}, its files make {manifest.digest}")
    return manifest


def read(directory: str) -> Manifest | None:
    """The manifest of a directory, or None where there is none that can be believed."""
    try:
        with open(os.path.join(directory, MANIFEST), encoding="utf-8") as stream:
            return from_data(json.load(stream))
    except (OSError, ValueError):
        return None


def write(directory: str, manifest: Manifest) -> None:
    """Write `.manifest.json` in one step, on disk when this returns."""
    target = os.path.join(directory, MANIFEST)
    with open(target + ".new", "w", encoding="utf-8") as stream:
        json.dump(to_data(manifest), stream, indent=1)
        stream.write("\n")
        stream.flush()
        os.fsync(stream.fileno())
    os.chmod(target + ".new", FILE_MODE)
    os.rename(target + ".new", target)


def faults(directory: str, entries: Iterable[FileEntry], content: bool = False) -> dict[str, str]:
    """{path: what is wrong} for files that are missing, have another size, or (with `content`) another SHA-256."""
    found = {}
    for entry in entries:
        path = os.path.join(directory, entry.path)
        try:
            size = os.stat(path).st_size
        except OSError:
            found[entry.path] = f"{entry.path}: missing"
            continue
        if size != entry.size:
            found[entry.path] = f"{entry.path}: {size} bytes, expected {entry.size}"
        elif content:
            sha256 = hash_file(path)[0]
            if sha256 != entry.sha256:
                found[entry.path] = f"{entry.path}: SHA-256 {sha256}, expected {entry.sha256}"
    return found
