"""Which modules and branches a host's GPUs allow, from PCI device numbers or a declared GPU (`data/drivers.yml`)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

from ansible_collections.baremetal.vllm.plugins.module_utils.drivers.nvidia.model import Device
from ansible_collections.baremetal.vllm.plugins.plugin_utils.drivers.nvidia import systems

NVIDIA = "10de"
# Data-center Blackwell: its compute capability is the first with NVLink 5.
_NVLINK_5 = (10, 0)


@dataclass(frozen=True)
class GpuGeneration:
    """`open` says of the open modules: "no" they cannot drive it, "must" nothing else can, "yes" both can.

    Branches before `first` and after `last` do not know it; 0 where there is no such end.
    """

    name: str
    capability: tuple[int, int]
    open: str
    first: int = 0
    last: int = 0


# What is newer than the table is driven by the open modules only, as all since Blackwell.
UNKNOWN = GpuGeneration("a generation newer than data/drivers.yml knows", (99, 0), "must")


def generation(number: str) -> GpuGeneration:
    """Of a PCI device number of NVIDIA's ("2330"), UNKNOWN where the table ends before it.

    Older ones than the table has are not told apart from its oldest: no driver with an open module knows either.
    """
    value = int(number, 16)
    for first, last, found in _ranges():
        if first <= value <= last:
            must = number.lower() in systems.facts()["open_must"]
            return GpuGeneration(found.name, found.capability, "must", found.first, found.last) if must else found
    return UNKNOWN if value > _ranges()[-1][1] else _generations()[0]


def of_capability(capability: tuple[int, int]) -> GpuGeneration:
    """The generation of a CUDA compute capability, such as of a declared GPU."""
    return max((each for each in _generations() if each.capability <= capability), key=lambda each: each.capability)


def driven(gpus: Iterable[Device]) -> tuple[Device, ...]:
    """A host's NVIDIA GPUs, without an old one for the console beside newer ones ("NVRM: ignoring the legacy GPU …")."""
    own = tuple(gpu for gpu in gpus if gpu.vendor == NVIDIA)
    return tuple(gpu for gpu in own if generation(gpu.device) != _generations()[0]) or own


def generations(gpus: Iterable[Device]) -> tuple[GpuGeneration, ...]:
    """The different generations of a host's NVIDIA GPUs, oldest first."""
    found = {generation(gpu.device) for gpu in driven(gpus)}
    return tuple(sorted(found, key=lambda each: each.capability))


def needs_fabric_manager(gpus: Iterable[Device], switches: int) -> bool:
    """Whether the GPUs talk through NVSwitches, those of HGX boards included that are no PCI devices of NVIDIA's."""
    hidden = systems.facts()["hidden_switches"]
    boards = sum(1 for gpu in gpus if gpu.vendor == NVIDIA and gpu.device in hidden["devices"])
    return switches > 0 or boards >= hidden["count"]


def has_nvlink5(gpus: Iterable[Device], switches: int) -> bool:
    """Whether those NVSwitches are of NVLink 5 (Blackwell and newer), whose fabric manager wants a subnet manager beside it."""
    own = tuple(gpus)
    return needs_fabric_manager(own, switches) and any(each.capability >= _NVLINK_5 for each in generations(own))


def needs_imex(gpus: Iterable[Device], arch: str) -> bool:
    """Whether the GPUs' NVLink fabric spans hosts, which share memory over it through IMEX; `arch` is the host's (aarch64)."""
    known, boards = systems.facts()["imex"], systems.facts()["hidden_switches"]["devices"]
    spans = [tuple(int(end, 16) for end in text.split("-")) for text in known["devices"].split()]
    own = [int(gpu.device, 16) for gpu in gpus if gpu.vendor == NVIDIA and gpu.device not in boards]
    return bool(arch == known["arch"]) and sum(any(a <= n <= b for a, b in spans) for n in own) >= int(known["count"])


@lru_cache(maxsize=1)
def _generations() -> tuple[GpuGeneration, ...]:
    return tuple(
        GpuGeneration(
            entry["name"], _version(entry["capability"]), entry["open"], entry.get("first", 0), entry.get("last", 0)
        )
        for entry in systems.facts()["generations"]
    )


@lru_cache(maxsize=1)
def _ranges() -> tuple[tuple[int, int, GpuGeneration], ...]:
    """First and last device number with their generation, in the order of the numbers."""
    rows = []
    for entry, found in zip(systems.facts()["generations"], _generations()):
        for text in entry["devices"].split():
            first, last = text.split("-")
            rows.append((int(first, 16), int(last, 16), found))
    return tuple(sorted(rows, key=lambda row: row[0]))


def _version(text: str) -> tuple[int, int]:
    major, minor = text.split(".")
    return int(major), int(minor)
