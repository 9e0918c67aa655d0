"""Keeping the compile caches of a service that was proved: from its user's directory into root's store."""

from __future__ import annotations

import errno
import os
import re
import shutil
import stat
import tarfile
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Callable

from ansible_collections.baremetal.vllm.plugins.module_utils.engine.lock import sha256_of
from ansible_collections.baremetal.vllm.plugins.module_utils.host import folders
from ansible_collections.baremetal.vllm.plugins.module_utils.host.as_user import as_user
from ansible_collections.baremetal.vllm.plugins.module_utils.warm.cache import (
    ARCHIVE,
    CACHES,
    GRAPHS,
    LIMIT,
    MANIFEST,
    ROOT,
    SHARED,
    USER,
    CacheError,
    Manifest,
    is_ours,
    kept,
    manifest,
)
from ansible_collections.baremetal.vllm.plugins.module_utils.warm.key import Parts, digest

# What engines and tools leave behind while they write: another process's, and never read again.
_UNFINISHED = (".tmp", ".lock")
# A whole compiled model, as AOT compilation saves it. Without a GPU vLLM writes it and does not take it back: torch loads it, and
# then "'function' object has no attribute 'finalize_loading'" (tried with 0.32.0; `_try_load_aot_compiled_fn` in
# vllm/compilation/decorators.py takes what is of its own backend alone). The kernels beside it are found without it, and sooner.
_FUNCTION = re.compile(r"/torch_aot_compile/[0-9a-f]+/rank_\d+_\d+/model$")
# Caches that a host keeps of each model: what runs, what ran before, what is tried.
KEPT = 3
# Seconds after which a draft is nobody's any more.
_LONGEST = 24 * 60 * 60


def keep(
    parts: Parts,
    graphs: Sequence[str],
    made: str,
    model: str,
    host: str,
    caches: Path = CACHES,
    root: Path = ROOT,
    user: str = USER,
    limit: int = LIMIT,
) -> Manifest | None:
    """Keep the cache of a service: `graphs`, the directories that its log names, and the kernels that all services share.

    None where there is nothing. The store has it whole or not at all. Raises CacheError: where it is larger than `limit` bytes;
    OSError: where it cannot be read or written.
    """
    folders.make(root)
    key = digest(parts)
    with _drafted(root) as draft:
        left = _FUNCTION if parts.get("accelerator") == "cpu" else None
        count = _copy(draft / ARCHIVE, _wanted(graphs, caches), caches, user, limit, left)
        if not count:
            return None
        archive = draft / ARCHIVE
        told = Manifest(key, dict(parts), sha256_of(archive), archive.stat().st_size, count, made, model, host)
        _put(draft, told, root)
        return told


def take_in(told: Manifest, root: Path, bring: Callable[[Path], object]) -> None:
    """Have `bring` write the archive of a cache that was made elsewhere, and keep it.

    Raises CacheError: where the archive is not what its manifest says; what `bring` raises; OSError.
    """
    with _drafted(root) as draft:
        bring(draft / ARCHIVE)
        if sha256_of(draft / ARCHIVE) != told.digest:
            raise CacheError(
                f"cache {told.key}: what arrived is not what its manifest says (SHA-256 {told.digest[:12]})"
            )
        _put(draft, told, root)


@contextmanager
def _drafted(root: Path) -> Iterator[Path]:
    """A directory in a store, for what is not whole yet; what is left there goes. Raises OSError."""
    draft = Path(tempfile.mkdtemp(prefix=".new-", dir=root))
    try:
        yield draft
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def _put(draft: Path, told: Manifest, root: Path) -> None:
    """Write the manifest beside the archive, and put both in place of a cache that may be there."""
    (draft / MANIFEST).write_text(told.text(), encoding="utf-8")
    for name in (ARCHIVE, MANIFEST):
        (draft / name).chmod(0o644)
    draft.chmod(folders.PUBLIC)
    target = root / told.key
    if target.exists():
        # A directory that has files is not renamed over (rename(2)); for an instant there is none, and that is a cold start.
        shutil.rmtree(target)
    draft.rename(target)


def prune(root: Path = ROOT, most: int = KEPT, now: float | None = None) -> list[str]:
    """Drop caches of a model beyond the newest `most`, and drafts that a process left which was killed; the keys that went.

    A cache that is dropped costs its host one transfer, should it be needed again.
    """
    ended = (time.time() if now is None else now) - _LONGEST
    for draft in root.glob(".new-*"):
        if draft.lstat().st_mtime < ended:
            shutil.rmtree(draft, ignore_errors=True)
    by_model: dict[str, list[Manifest]] = {}
    for key in kept(root):
        try:
            found = manifest(root / key)
        except CacheError:
            # It would be refused whenever it is wanted.
            shutil.rmtree(root / key, ignore_errors=True)
            continue
        by_model.setdefault(found.model, []).append(found)
    gone = [each.key for same in by_model.values() for each in sorted(same, key=lambda m: m.made, reverse=True)[most:]]
    for key in gone:
        shutil.rmtree(root / key, ignore_errors=True)
    return gone


def _wanted(graphs: Sequence[str], caches: Path) -> list[str]:
    """The directories to keep, relative to the caches; what the log names elsewhere is none of ours."""
    ours = caches / GRAPHS
    named = [Path(path) for path in graphs]
    return [*(str(path.relative_to(caches)) for path in named if ours in path.parents), *SHARED]


def _copy(
    target: Path, wanted: Sequence[str], caches: Path, user: str, limit: int, left: re.Pattern[str] | None
) -> int:
    """Write the archive, without files whose names are `left` out; how many it has. The engines' user reads its own files, and
    root what that says."""
    count = 0

    def send(stream: BinaryIO) -> None:
        with tarfile.open(fileobj=stream, mode="w|", format=tarfile.PAX_FORMAT) as archive:
            for name in _files(caches, wanted):
                if left is None or not left.search(name):
                    _add(archive, caches, name)

    def take(stream: BinaryIO) -> None:
        nonlocal count
        size = 0
        with (
            tarfile.open(fileobj=stream, mode="r|") as told,
            tarfile.open(target, "w", format=tarfile.PAX_FORMAT) as ours,
        ):
            for member in told:
                size += member.size
                if not is_ours(member):
                    raise CacheError(f"{caches / member.name} is no file of a cache")
                if size > limit:
                    raise CacheError(f"the caches of this service have more than {limit >> 20} MiB")
                clean = tarfile.TarInfo(member.name)
                # FlashInfer's ninja takes a kernel for stale that is older than its source.
                clean.size, clean.mtime, clean.mode = member.size, member.mtime, 0o644 | member.mode & 0o111
                ours.addfile(clean, told.extractfile(member))
                count += 1
        stream.read()

    as_user(user, send, take)
    return count


def _files(caches: Path, wanted: Sequence[str]) -> Iterator[str]:
    """Regular files below the wanted directories, no link followed, relative to `caches`, in order."""
    for place in wanted:
        # os.walk follows none below its top.
        ways = [caches / place, *(caches / part for part in list(Path(place).parents)[:-1])]
        if any(way.is_symlink() for way in ways):
            continue
        for folder, names, files in os.walk(caches / place):
            names.sort()
            for name in sorted(files):
                path = Path(folder) / name
                if not name.endswith(_UNFINISHED) and stat.S_ISREG(path.lstat().st_mode):
                    yield str(path.relative_to(caches))


def _add(archive: tarfile.TarFile, caches: Path, name: str) -> None:
    """Add one file as it is now; one that an engine took away meanwhile is left out."""
    try:
        opened = os.open(caches / name, os.O_RDONLY | os.O_NOFOLLOW)
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ELOOP):
            return
        raise
    with open(opened, "rb") as stream:
        archive.addfile(archive.gettarinfo(arcname=name, fileobj=stream), stream)
