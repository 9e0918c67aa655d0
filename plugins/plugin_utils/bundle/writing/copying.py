"""Files into a bundle: copied beside their place, read while they are copied, and renamed when they are what was listed."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from ansible_collections.baremetal.vllm.plugins.module_utils.weights.manifest import FileEntry
from ansible_collections.baremetal.vllm.plugins.plugin_utils.bundle.manifest import BundleError, read_through
from ansible_collections.baremetal.vllm.plugins.plugin_utils.bundle.writing.difference import COPYING


def copy(source: Path, target: Path, entry: FileEntry, seen: Callable[[int], None]) -> None:
    """Copy one file, whose size and digest were read before; it is on the disk when this returns, or nothing is in its place.

    Raises BundleError where the file is another one by now; OSError.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    draft = target.with_name(f"{COPYING}{target.name}"[:255])
    try:
        with draft.open("wb") as stream:
            found = read_through(source, seen, stream)
            stream.flush()
            os.fsync(stream.fileno())
        if found != (entry.sha256, entry.size):
            raise BundleError(f"{source} has changed while the bundle was written: run again")
        draft.replace(target)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise


def remove(directory: Path, path: str) -> None:
    """Remove a file of a bundle, and folders that are empty then. Raises OSError."""
    target = directory / path
    target.unlink(missing_ok=True)
    for folder in target.parents:
        if folder == directory:
            return
        try:
            folder.rmdir()
        except OSError:
            return
