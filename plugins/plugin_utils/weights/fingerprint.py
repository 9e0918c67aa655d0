"""The content address of a directory on the control node: `fingerprint(directory) -> (digest, manifest)`.

SHA-256 of a file is read from a cache where its path, size and modification time (nanoseconds) are those it was
computed for; so a second plan of the same fleet does not read hundreds of gigabytes again. Control node only.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from ansible_collections.baremetal.vllm.plugins.module_utils.weights.manifest import (
    FileEntry,
    Manifest,
    hash_file,
    walk,
)

READERS = 4


def cache_file() -> Path:
    """Where SHA-256 values are kept: `$XDG_CACHE_HOME/baremetal-vllm/sha256.json` (default `~/.cache`)."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "baremetal-vllm" / "sha256.json"


def _load(path: Path) -> dict[str, object]:
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return data if isinstance(data, dict) else {}


def _store(path: Path, fresh: dict[str, object]) -> None:
    """Add to what the file says now (another run may have written meanwhile) and replace it in one step."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile("w", dir=path.parent, delete=False, encoding="utf-8") as stream:
            json.dump({**_load(path), **fresh}, stream)
        os.replace(stream.name, path)
    except OSError:
        # Without a place for the cache the answer is the same, only slower the next time.
        return


def fingerprint(directory: str) -> tuple[str, Manifest]:
    """Return (digest, manifest) of the model in `directory`; the digest is 64 hexadecimal digits.

    Raises ValueError with one line for the operator where the directory is missing, empty or unreadable.
    """
    root = os.path.realpath(os.path.expanduser(directory))
    if not os.path.isdir(root):
        raise ValueError(f"{directory} is not a directory on the control node")
    try:
        files = _entries(root, walk(root))
    except OSError as error:
        raise ValueError(f"cannot read {error.filename or directory}: {error.strerror}") from error
    if not files:
        raise ValueError(f"{directory} holds no files")
    manifest = Manifest(files, source=f"pushed:{os.path.basename(root)}")
    return manifest.digest, manifest


def entries(directory: str, names: Iterable[str]) -> tuple[FileEntry, ...]:
    """The named files of a directory with sizes and SHA-256, from the same cache. Raises OSError."""
    root = os.path.realpath(directory)
    return _entries(root, ((name, os.stat(os.path.join(root, name))) for name in names))


def _entries(root: str, found: Iterable[tuple[str, os.stat_result]]) -> tuple[FileEntry, ...]:
    cache_path = cache_file()
    cache = _load(cache_path)
    fresh: dict[str, object] = {}

    def entry(one: tuple[str, os.stat_result]) -> FileEntry:
        relative, state = one
        path = os.path.join(root, relative)
        key = [state.st_size, state.st_mtime_ns]
        known = cache.get(path)
        if not (isinstance(known, list) and len(known) == 3 and known[:2] == key):
            known = [*key, hash_file(path)[0]]
            fresh[path] = known
        return FileEntry(relative, state.st_size, str(known[2]))

    with ThreadPoolExecutor(READERS) as pool:
        files = tuple(pool.map(entry, found))
    if fresh:
        _store(cache_path, fresh)
    return files
