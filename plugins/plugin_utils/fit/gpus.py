"""GPUs by name: what `gpu_name` of a host says about memory and compute capability (`data/gpus.yml`, with its sources)."""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from ansible_collections.baremetal.vllm.plugins.module_utils.text.problems import Problems
from ansible_collections.baremetal.vllm.plugins.plugin_utils.places import DATA, read_yaml

FILE = DATA / "gpus.yml"
# Words that vendors, drivers and shops add to a name without meaning another memory or another chip.
_NOISE = re.compile(
    r"nvidia|amd|geforce|tesla|instinct|radeon|gpu|graphics|accelerator|tensor|core|card|generation|edition|pcie|oam|ac|"
    r"sxm\d?|hbm\d?e?|gddr\d?x?"
)
# What NVIDIA's driver keeps of every GPU, beside a part of it.
_KEPT = 3 * 2**30 // 10
_VENDOR = re.compile(r"\b(nvidia|amd|geforce|tesla|instinct|radeon)\b")


@dataclass(frozen=True)
class KnownGpu:
    """One device: `memory` in bytes as its driver states it (`nominal`: of the product sheet, a driver states less), CUDA
    compute `capability` as (major, minor) or None, AMD `arch` (gfx942) or "", `counted`: bytes that CUDA was seen to
    count, 0 where nobody looked, `shared`: with the system."""

    name: str
    memory: int
    nominal: bool
    capability: tuple[int, int] | None
    arch: str = ""
    counted: int = 0
    shared: bool = False

    @property
    def cuda(self) -> int:
        """Bytes that CUDA counts in all (`cudaMemGetInfo`), of which vLLM takes its share: less than nvidia-smi states.

        Where no log shows it, NVIDIA's driver is taken to keep 0.3 GiB and 0.2 % (0.44 of 24 GiB, 0.46 of 80, 0.6 of 140,
        0.7 of 179 in `data/gpus.yml`), and the kernel 5 % of memory that is the system's (GB10: 121.7 of 128 GiB).
        """
        if self.counted:
            return self.counted
        if self.shared:
            return self.memory * 95 // 100
        return self.memory if self.arch else max(0, self.memory - _KEPT - self.memory // 500)


def find(name: str) -> KnownGpu | None:
    """The GPU of that name however it is spelled; None where no entry, or more than one, answers to it.

    >>> find("NVIDIA H100 80GB HBM3").name
    'H100-80GB'
    """
    found = candidates(name)
    return found[0] if len(found) == 1 else None


def candidates(name: str) -> tuple[KnownGpu, ...]:
    """All GPUs that the name may mean: one, several ("A100" comes with 40 and with 80 GB), or none."""
    whole, words = _squashed(name), _words(name)
    exact = [gpu for gpu, spellings, __ in _table() if whole in spellings]
    if exact or not words:
        return tuple(exact)
    return tuple(gpu for gpu, __, known in _table() if words <= known)


def read_gpu(at: str, name: Any, problems: Problems) -> KnownGpu | None:
    """The declared GPU; a problem that names the candidates where it is unknown or ambiguous."""
    found = candidates(name) if isinstance(name, str) else ()
    if len(found) == 1:
        return found[0]
    if found:
        problems.add(
            at,
            f"{name!r} may be any of {len(found)} GPUs",
            f"Write which: {', '.join(gpu.name for gpu in found)}",
        )
    else:
        known = {_squashed(gpu.name): gpu.name for gpu, __, __ in _table()}
        near = difflib.get_close_matches(_squashed(str(name)), known, n=1, cutoff=0.6)
        guess = f'Did you mean "{known[near[0]]}"' if near else "The known ones are in data/gpus.yml"
        problems.add(
            at, f"{name!r} is not a GPU known here", f"{guess}; or leave gpu_name out and declare gpu_memory_gib"
        )
    return None


@lru_cache(maxsize=1)
def _table() -> tuple[tuple[KnownGpu, frozenset[str], frozenset[str]], ...]:
    """Each GPU, its whole spellings, and every word that may stand in one of them."""
    rows = []
    for entry in read_yaml(FILE)["gpus"]:
        names = [entry["name"], *entry.get("also", [])]
        capability = entry.get("compute")
        gpu = KnownGpu(
            name=entry["name"],
            memory=entry["memory"] * 2**20 if "memory" in entry else entry["nominal"] * 2**30,
            nominal="memory" not in entry,
            capability=_version(capability) if capability else None,
            arch=entry.get("arch", ""),
            counted=entry.get("cuda", 0) * 2**20,
            shared=entry.get("shared", False),
        )
        rows.append((gpu, frozenset(map(_squashed, names)), frozenset().union(*map(_words, names))))
    return tuple(rows)


def _version(text: str) -> tuple[int, int]:
    major, minor = text.split(".")
    return int(major), int(minor)


def _squashed(name: str) -> str:
    """`NVIDIA GeForce RTX 4090` and `rtx4090` as one text."""
    return re.sub(r"[^a-z0-9]", "", re.sub(r"(\d)\s*gi?b\b", r"\1g", _VENDOR.sub("", name.lower())))


def _words(name: str) -> frozenset[str]:
    joined = re.sub(r"(\d)\s*gi?b?\b", r"\1g", name.lower())
    return frozenset(word for word in re.findall(r"[a-z0-9]+", joined) if not _NOISE.fullmatch(word))
