"""Free space on a host, checked before anything is sent or fetched."""

from __future__ import annotations

import os
from collections.abc import Callable

from ansible_collections.baremetal.vllm.plugins.module_utils.weights.selection import in_units

# Left alone for logs, compile caches and the file system itself.
MARGIN = 256 << 20
REMEDY = "put model_weights_store on a larger file system"


def free_bytes(path: str) -> int:
    """Bytes that an ordinary process may still write where `path` is or will be."""
    while not os.path.exists(path):
        path = os.path.dirname(path)
    state = os.statvfs(path)
    return state.f_bavail * state.f_frsize


def shortage(
    path: str,
    needed: int,
    free: Callable[[str], int] = free_bytes,
    remedy: str = REMEDY,
) -> str | None:
    """One line when `needed` more bytes do not fit below `path`, else None; `remedy` is what helps beside making room."""
    there = free(path)
    if needed == 0 or needed + MARGIN <= there:
        return None
    return (
        f"the disk is too small: {in_units(needed)} still needed below {path}, {in_units(there)} free there "
        f"(and {in_units(MARGIN)} stay free); make room, or {remedy}"
    )


def held_bytes(directory: str) -> int:
    """Bytes of all files below a directory, unfinished downloads included; 0 where it does not exist."""
    total = 0
    for folder, _names, files in os.walk(directory):
        for name in files:
            try:
                total += os.lstat(os.path.join(folder, name)).st_size
            except OSError:
                continue
    return total
