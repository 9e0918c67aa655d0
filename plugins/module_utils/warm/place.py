"""Bringing a kept cache to where engines look for it, as their own user: nothing that is there is replaced."""

from __future__ import annotations

import os
import pwd
import shutil
import tarfile
from functools import partial
from pathlib import Path
from typing import BinaryIO

from ansible_collections.baremetal.vllm.plugins.module_utils.host import folders
from ansible_collections.baremetal.vllm.plugins.module_utils.host.as_user import as_user
from ansible_collections.baremetal.vllm.plugins.module_utils.warm.cache import (
    ARCHIVE,
    CACHES,
    ROOT,
    USER,
    CacheError,
    Manifest,
    check,
    is_ours,
    read_manifest,
)
from ansible_collections.baremetal.vllm.plugins.module_utils.warm.keep import take_in


def adopt(archive: Path, text: str, key: str, root: Path = ROOT) -> Manifest:
    """Take an archive that arrived, with its manifest's text, into the store.

    Raises CacheError: where either is not the cache of `key`; OSError: where the store cannot be written.
    """
    told = read_manifest(text, key)
    folders.make(root)
    # A copy of root's own first: what lies where it arrived, its owner may still change.
    take_in(told, root, partial(shutil.copyfile, archive))
    return told


def place(key: str, caches: Path = CACHES, root: Path = ROOT, user: str = USER) -> int:
    """Copy a kept cache to the engines' directory; how many files were not there yet.

    Raises CacheError: where it is not root's, or not whole; OSError: where it cannot be written, with what fits left there.
    """
    owner = os.geteuid()
    check(root / key, owner)
    _make(caches, user)
    placed = b""

    def send(stream: BinaryIO) -> None:
        count = 0
        with tarfile.open(root / key / ARCHIVE) as archive:
            for member in archive:
                if not is_ours(member):
                    raise CacheError(f"cache {key}: {member.name!r} is no file of a cache")
                count += _extract(archive, member, caches)
        stream.write(b"%d" % count)

    def take(stream: BinaryIO) -> None:
        nonlocal placed
        placed = stream.read()

    as_user(user, send, take)
    return int(placed)


def is_placed(key: str, caches: Path = CACHES, root: Path = ROOT) -> bool:
    """Whether an engine would find every file of a kept cache."""
    try:
        with tarfile.open(root / key / ARCHIVE) as archive:
            return all((caches / member.name).is_file() for member in archive if is_ours(member))
    except (OSError, tarfile.TarError):
        return False


def _make(caches: Path, user: str) -> None:
    """The directory, as systemd makes a unit's CacheDirectory= before its first start (systemd.exec(5))."""
    if not caches.exists():
        try:
            entry = pwd.getpwnam(user)
        except KeyError:
            raise CacheError(f"this host has no user {user} yet") from None
        folders.make(caches)
        os.chown(caches, entry.pw_uid, entry.pw_gid)


def _extract(archive: tarfile.TarFile, member: tarfile.TarInfo, caches: Path) -> bool:
    """Write one file, whole or not at all; whether it was not there."""
    target = caches / member.name
    if os.path.lexists(target):
        return False
    target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    draft = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    content = archive.extractfile(member)
    assert content is not None, member.name
    try:
        with open(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600), "wb") as stream:
            shutil.copyfileobj(content, stream)
        draft.chmod(0o600 | member.mode & 0o100)
        os.utime(draft, (member.mtime, member.mtime))
        os.replace(draft, target)
    except OSError:
        draft.unlink(missing_ok=True)
        raise
    return True
