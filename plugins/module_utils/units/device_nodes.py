"""Device nodes of a host's GPUs. A plan knows GPUs by index, as nvidia-smi and amd-smi count them along the PCI bus; a node
is named by the number that the driver gave a GPU when it found it, and only the host knows that one.

Sources: NVIDIA, open-gpu-kernel-modules, kernel-open/nvidia/nv-procfs.c (`/proc/driver/nvidia/gpus/<address>/information`:
"Device Minor", "GPU Excluded", of older drivers "Blacklisted"); NVIDIA/nvidia-docker issue 1432 (index and minor number);
Linux, drivers/gpu/drm/amd/amdkfd/kfd_topology.c (`properties` of a node: domain, location_id, drm_render_minor).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from ansible_collections.baremetal.vllm.plugins.module_utils.units.planned import PlannedUnit
from ansible_collections.baremetal.vllm.plugins.module_utils.units.unitdiff import gpus_of
from ansible_collections.baremetal.vllm.plugins.module_utils.units.unitfile import (
    edited,
    read_unit,
    with_digest,
)

NVIDIA = "nvidia"
AMD = "dri/renderD"
GPUS = {NVIDIA: "proc/driver/nvidia/gpus", AMD: "sys/class/kfd/kfd/topology/nodes"}
MAKER = {NVIDIA: "NVIDIA", AMD: "AMD"}
# What a plan writes for GPU 0 (plugins/plugin_utils/plan/unit.py).
FIRST = {NVIDIA: 0, AMD: 128}
_ALLOWED = re.compile(rf"^DeviceAllow=/dev/({NVIDIA}|{AMD})([0-9]+) rw$", re.MULTILINE)
_ADDRESS = re.compile(r"([0-9a-f]+):([0-9a-f]+):([0-9a-f]+)\.([0-9a-f]+)", re.IGNORECASE)
_MINOR = re.compile(r"^Device Minor:\s*([0-9]+)\s*$", re.MULTILINE)
_EXCLUDED = re.compile(r"^(GPU Excluded|Blacklisted):\s*Yes\s*$", re.MULTILINE)
_PROPERTY = re.compile(r"^(\w+) ([0-9]+)$", re.MULTILINE)


def numbers(kind: str, root: Path = Path("/")) -> list[int]:
    """Numbers of the nodes by index of the GPU: [2, 3, 0, 1] where GPU 0 is `/dev/nvidia2`. Empty without a driver."""
    read = _nvidia if kind == NVIDIA else _amd
    found = sorted(filter(None, (read(path) for path in (root / GPUS[kind]).glob("*"))))
    return [number for __, number in found]


def _nvidia(path: Path) -> tuple[tuple[int, ...], int] | None:
    """Place on the bus and number; None for what is no GPU, or one that the driver was told to leave alone."""
    address, text = _ADDRESS.fullmatch(path.name), _text(path / "information")
    minor = _MINOR.search(text)
    if address is None or minor is None or _EXCLUDED.search(text):
        return None
    return tuple(int(part, 16) for part in address.groups()), int(minor[1])


def _amd(path: Path) -> tuple[tuple[int, ...], int] | None:
    """The same of a compute node. The upper four bits of its location tell the partitions of one GPU apart."""
    told = {key: int(value) for key, value in _PROPERTY.findall(_text(path / "properties"))}
    number, location = told.get("drm_render_minor", 0), told.get("location_id", 0)
    if not number or not told.get("simd_count"):
        return None
    return (told.get("domain", 0), location & 0x0FFFFFFF, location >> 28), number


def _text(path: Path) -> str:
    try:
        return path.read_text(errors="replace")
    except OSError:
        return ""


def resolve(
    units: Sequence[PlannedUnit], installed: Mapping[str, str], root: Path = Path("/")
) -> tuple[list[PlannedUnit], list[str]]:
    """Planned units with the nodes of this host, and what could not be told, in words.

    Where the driver does not tell, a unit keeps the nodes of its installed file if that was written for the same GPUs;
    without one it stays as planned, and is among what could not be told. A host whose numbers are the indices gets
    every text and digest as planned.
    """
    known: dict[str, list[int]] = {}
    resolved, doubts = [], []
    for unit in units:
        planned = _ALLOWED.findall(unit.text)
        if not planned:
            resolved.append(unit)
            continue
        kind = planned[0][0]
        if kind not in known:
            known[kind] = numbers(kind, root)
        indices = [int(number) - FIRST[kind] for __, number in planned]
        nodes = _kept(kind, unit.text, installed.get(unit.unit, ""))
        if max(indices) < len(known[kind]):
            nodes = [known[kind][index] for index in indices]
        elif not nodes:
            doubts.append(_doubt(unit.unit, kind, indices, known[kind]))
        resolved.append(unit.changed_to(_with_nodes(unit.text, nodes)) if nodes else unit)
    return resolved, doubts


def _kept(kind: str, planned: str, installed: str) -> list[int]:
    if edited(installed) or gpus_of(read_unit(installed)) != gpus_of(read_unit(planned)):
        return []
    return [int(number) for found, number in _ALLOWED.findall(installed) if found == kind]


def by_index(text: str) -> str:
    """A unit as a plan would have it, from one that has the nodes of a host: its GPUs by index, with the digest of that."""
    allowed = _ALLOWED.findall(text)
    indices = sorted(int(index) for index in gpus_of(read_unit(text)).split(",") if index.isdecimal())
    if len(allowed) != len(indices):
        return text
    planned = [FIRST[kind] + index for (kind, __), index in zip(allowed, indices)]
    return _with_nodes(text, planned)


def _with_nodes(text: str, nodes: Sequence[int]) -> str:
    """A unit's text with these nodes and the digest of that."""
    if {int(number) for __, number in _ALLOWED.findall(text)} == set(nodes):
        return text
    # In the order of their numbers: a unit that has all GPUs of a host has the same text whatever order they are in.
    left = iter(sorted(nodes))
    return with_digest(_ALLOWED.sub(lambda line: f"DeviceAllow=/dev/{line[1]}{next(left)} rw", text))


def _doubt(unit: str, kind: str, indices: Sequence[int], known: Sequence[int]) -> str:
    wanted = ", ".join(map(str, indices))
    there = f"{len(known)} GPU{'' if len(known) == 1 else 's'} (0 to {len(known) - 1})" if known else "no GPU"
    remedy = "correct gpu_count, or see that all cards are seated and powered" if known else "load its driver"
    return (
        f"{unit} is to have GPU {wanted}, and {MAKER[kind]}'s driver lists {there} in /{GPUS[kind]}, so it cannot be told "
        f"which device node is whose: {remedy} (ansible-playbook baremetal.vllm.driver)"
    )
