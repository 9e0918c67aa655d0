"""Which kernels a start has compiled: files of machine code that are younger than it."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from ansible_collections.baremetal.vllm.plugins.module_utils.warm.cache import CACHES

# Shared objects, and what NVIDIA's and AMD's GPUs execute (CompiledKernel's `binary_ext` in triton/backends).
_CODE = (".so", ".cubin", ".hsaco")
_SHARED = ("triton", "torchinductor", ".cache/flashinfer")


def new_kernels(graphs: Sequence[str], since: float, caches: Path = CACHES) -> int:
    """How many files of machine code below `graphs`, and below what all services share, were written `since` an epoch time.

    What was brought keeps the time at which it was compiled. Where several engines start at once, each may count those of others.
    """
    count = 0
    for place in (*graphs, *(str(caches / shared) for shared in _SHARED)):
        for folder, __, files in os.walk(place):
            count += sum(name.endswith(_CODE) and _written(Path(folder, name)) >= since for name in files)
    return count


def _written(path: Path) -> float:
    try:
        return path.lstat().st_mtime
    except OSError:
        return 0
