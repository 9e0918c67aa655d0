"""What of a host and its engines compiled code depends on, read from files alone."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import re
from pathlib import Path

from ansible_collections.baremetal.vllm.plugins.module_utils.engine.installed import read_marker
from ansible_collections.baremetal.vllm.plugins.module_utils.warm.key import EngineFacts, HostFacts

# Of /proc/cpuinfo (proc(5)): which CPU it is and what it can execute, on x86 and on ARM.
_CPU = {
    "vendor_id",
    "cpu family",
    "model",
    "flags",
    "CPU implementer",
    "CPU architecture",
    "CPU variant",
    "CPU part",
    "Features",
}
# NVIDIA's driver README, "Using the /proc File System Interface to the NVIDIA Driver".
_NVIDIA = "proc/driver/nvidia"
_BRANCH = re.compile(r"(?:Kernel Module\D*?|for \S+\s+)(\d+)\.\d+")


def host_facts(accelerator: str, root: Path = Path("/")) -> HostFacts:
    """The facts of this host, for engines of an accelerator (cuda, rocm, cpu)."""
    gpus, driver = {"cuda": _nvidia, "rocm": _amd}.get(accelerator, _none)(root)
    return HostFacts(
        machine=platform.machine(),
        libc=" ".join(platform.libc_ver()),
        cpu=_cpu(_read(root / "proc/cpuinfo")),
        # Inductor splits a CPU kernel's loops for their number (`decide_parallel_depth` in torch/_inductor/codegen/cpp.py).
        threads=len(os.sched_getaffinity(0)) if accelerator == "cpu" else 0,
        gpus=gpus,
        driver=driver,
    )


def engine_facts(path: Path) -> EngineFacts | None:
    """What the engine in a directory was installed from; None where there is none."""
    marker = read_marker(path)
    if not marker:
        return None
    kernels = json.dumps(marker["kernels"], sort_keys=True) if marker.get("kernels") else ""
    return EngineFacts(marker["lock_sha256"], marker["python"], _short(kernels) if kernels else "")


def _cpu(text: str) -> str:
    """A digest of the first CPU's model and instructions, whatever their order."""
    found = {}
    for line in text.partition("\n\n")[0].splitlines():
        name, __, value = line.partition(":")
        if name.strip() in _CPU:
            found[name.strip()] = sorted(value.split())
    return _short(json.dumps(found, sort_keys=True))


def _nvidia(root: Path) -> tuple[tuple[str, ...], str]:
    names = set()
    for path in (root / _NVIDIA / "gpus").glob("*/information"):
        told = dict(line.partition(":")[::2] for line in _read(path).splitlines())
        names.add(told.get("Model", "").strip())
    # A slice of a GPU has fewer processors than the whole.
    slices = len(list((root / _NVIDIA / "capabilities").glob("gpu*/mig/gi*")))
    names = {f"{name} (MIG, {slices} slices)" for name in names} if slices else names
    branch = _BRANCH.search(_read(root / _NVIDIA / "version"))
    return tuple(sorted(names)), branch[1] if branch else ""


def _amd(root: Path) -> tuple[tuple[str, ...], str]:
    # Linux's drivers/gpu/drm/amd/amdkfd/kfd_topology.c: a CPU's node has the version 0.
    targets = set()
    for path in (root / "sys/class/kfd/kfd/topology/nodes").glob("*/properties"):
        told = dict(line.partition(" ")[::2] for line in _read(path).splitlines())
        if told.get("gfx_target_version", "0") != "0":
            targets.add(f"gfx target {told['gfx_target_version']}")
    version = _read(root / "sys/module/amdgpu/version").strip()
    return tuple(sorted(targets)), ".".join(version.split(".")[:2])


def _none(root: Path) -> tuple[tuple[str, ...], str]:
    return (), ""


def _short(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
