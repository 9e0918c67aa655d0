"""A host as recipes speak of it: by the name of its GPUs, their generation and their maker.

Recipes know hardware by ids (`h200`, `rtx_pro_6000_2x`, `mi355x`), generations (`hopper`, `blackwell`, `amd`, `cpu`), makers
(`nvidia`, `amd`) and architectures (`arch:sm90`); source: taxonomy.yaml of github.com/vllm-project/recipes. The nearest word
wins: the id, then the generation, then the maker, then `default`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeVar

from ansible_collections.baremetal.vllm.plugins.plugin_utils.fit.gpus import KnownGpu, find
from ansible_collections.baremetal.vllm.plugins.plugin_utils.plan.hosts import DeclaredHost

T = TypeVar("T")
# GPUs of data/gpus.yml whose id in recipes is not their name in small letters.
_IDS = {
    "H100-80GB": "h100",
    "H100-96GB": "h100",
    "H100-NVL-94GB": "h100",
    "RTX PRO 6000 Blackwell": "rtx_pro_6000",
    "GB10": "dgx_spark_gb10",
}
# A desktop with one GPU, and a tray with four: the same chip under two ids.
_STATION = "dgx_station_gb300"


@dataclass(frozen=True)
class Machine:
    """The GPUs of one kind that a host can give. `ids`: the narrowest first; `memory`: bytes of one as its driver states them,
    0 where there are none; `indices`: which they are, () for all of the host."""

    ids: tuple[str, ...]
    generation: str
    brand: str
    count: int
    memory: int
    gpu: str = ""
    indices: tuple[int, ...] = ()
    # Ids of smaller sets of the same GPUs, for which a recipe may have been tried.
    parts: tuple[str, ...] = ()

    @property
    def words(self) -> tuple[str, ...]:
        """Every word that a recipe may have for it, in the order in which they count."""
        return (*self.ids, *filter(None, (self.generation, self.brand)))

    def of(self, values: Mapping[str, T]) -> T | None:
        """The value for this machine from those by hardware."""
        return next((values[word] for word in (*self.words, "default") if word in values), None)

    def exact(self, values: Mapping[str, T]) -> T | None:
        """The value for its id alone."""
        return next((values[word] for word in self.ids if word in values), None)

    def broad(self, values: Mapping[str, T]) -> T | None:
        """The value for its generation, else its maker."""
        return next((values[word] for word in (self.generation, self.brand) if word in values), None)

    def refused(self, support: Mapping[str, object]) -> bool:
        """Whether a recipe says, by hardware, that it does not work on this machine; saying nothing is no refusal."""
        return self.of(support) == "unsupported"

    @property
    def gb(self) -> float:
        """Decimal gigabytes of all its GPUs, the unit of recipes."""
        return self.memory * self.count / 1e9

    def __str__(self) -> str:
        return f"{self.count}×{self.gpu}" if self.count else "its CPU"


def machines(host: DeclaredHost) -> list[Machine]:
    """What a host offers: the GPUs of each kind that no MIG cuts, the kind with most memory first. Empty where the memory of
    its GPUs was not declared."""
    if host.accelerator == "cpu":
        return [Machine(("xeon6",), "cpu", "", 0, 0)]
    whole = [index for index in range(host.gpu_count) if index not in host.unusable]
    kinds: dict[KnownGpu, list[int]] = {}
    for index in whole:
        gpu = host.kind(index)
        if gpu is not None:
            kinds.setdefault(gpu, []).append(index)
    brand = "amd" if host.accelerator == "rocm" else "nvidia"
    alike = len(kinds) == 1 and len(whole) == host.gpu_count
    found = [of_gpu(gpu, len(indices), brand, () if alike else tuple(indices)) for gpu, indices in kinds.items()]
    return sorted(found, key=lambda machine: -machine.gb)


def of_gpu(gpu: KnownGpu, count: int, brand: str, indices: tuple[int, ...] = ()) -> Machine:
    """So many GPUs of one kind."""
    name = _IDS.get(gpu.name, gpu.name.lower().replace(" ", "_")) if find(gpu.name) else ""
    ids = [f"{name}_{size}x" for size in (count,) if name and size > 1]
    ids += [_STATION] if name == "gb300" and count == 1 else []
    ids += [name] if name else []
    if gpu.capability:
        ids.append(f"arch:sm{gpu.capability[0]}{gpu.capability[1]}")
    if gpu.arch:
        ids.append(f"arch:{gpu.arch}")
    parts = tuple(f"{name}_{size}x" for size in (8, 4, 2) if name and size < count)
    return Machine(tuple(ids), _generation(gpu, brand), brand, count, gpu.memory, gpu.name, indices, parts)


def _generation(gpu: KnownGpu, brand: str) -> str:
    if brand == "amd":
        return "amd"
    major, minor = gpu.capability or (0, 0)
    if major >= 10:
        return "blackwell"
    return {(9, 0): "hopper", (8, 9): "ada"}.get((major, minor), "ampere" if major == 8 else "")
