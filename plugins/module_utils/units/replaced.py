"""Programs and libraries that an update replaced under a running unit: it goes on with the old ones until it is restarted.

The kernel keeps a removed file for as long as a process maps it, and says so in `/proc/PID/maps` (proc_pid_maps(5)): a path
with ` (deleted)`. dpkg and rpm replace files by renaming new ones over them.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from pathlib import Path

from ansible_collections.baremetal.vllm.plugins.module_utils.text.words import few

PROC = Path("/proc")
CGROUPS = Path("/sys/fs/cgroup")
MODULE = Path("/sys/module/nvidia/version")
# Where packages and engines put what runs. All else that is mapped and gone was never a library: shared memory, code that
# was made at run time, a temporary file.
_PLACES = ("/usr/", "/lib", "/bin/", "/sbin/", "/opt/")
# What dpkg and rpm may have renamed an old file to before they removed it.
_ASIDE = re.compile(r"(\.dpkg-(tmp|old)|;[0-9a-f]{8})$")
# A library of NVIDIA's driver, which has the driver's version in its name and serves the kernel's module of that version only
# (https://docs.nvidia.com/deploy/cuda-compatibility/). The container toolkit's libraries have versions of their own, below 100.
_DRIVER = re.compile(r"(lib(?:cuda|cudadebugger|nvcuvid|nvoptix|nvidia-[\w-]+|\w+_nvidia)\.so)\.\d{3,}\.\d+(?:\.\d+)?")
# Packages of CUDA's forward compatibility: a libcuda that is made for an earlier module.
_COMPAT = "/compat/"
# Kept in the JSON in full; beyond these a line only counts them.
SHOWN = 3


def replaced_in(maps: str) -> set[str]:
    """Paths of executable mappings whose file is gone, from the text of `/proc/PID/maps`."""
    found = set()
    for line in maps.splitlines():
        fields = line.split(None, 5)
        if len(fields) < 6 or "x" not in fields[1] or not fields[5].endswith(" (deleted)"):
            continue
        path = _ASIDE.sub("", fields[5][: -len(" (deleted)")])
        if path.startswith(_PLACES):
            found.add(path)
    return found


def replaced(pids: Iterable[int]) -> list[str]:
    """The same of several processes, sorted; one that is gone, or that this user may not read, adds nothing."""
    found: set[str] = set()
    for pid in pids:
        try:
            found |= replaced_in((PROC / str(pid) / "maps").read_text(errors="surrogateescape"))
        except OSError:
            continue
    return sorted(found)


def loaded_driver() -> str:
    """The version of the NVIDIA module in the kernel, such as 535.154.05; "" where there is none."""
    try:
        return MODULE.read_text().strip()
    except OSError:
        return ""


def driver_ahead(paths: Iterable[str], loaded: str) -> list[str]:
    """Of replaced paths those of NVIDIA's driver in whose place there is none of the version `loaded` in the kernel.

    A process that starts now finds libraries of another driver, or none, and CUDA fails in it: the one that goes on with the
    removed files is the last one until the module is exchanged.
    """
    found = []
    for path in paths:
        folder, __, name = path.rpartition("/")
        library = _DRIVER.fullmatch(name)
        if library and _COMPAT not in path and not (loaded and os.path.exists(f"{folder}/{library[1]}.{loaded}")):
            found.append(path)
    return found


def processes(control_group: str, main: int) -> list[int]:
    """Processes of a unit by its control group as systemd names it; its main process alone where that cannot be read.

    An engine has one process for each GPU, and libraries of the driver are mapped in those only.
    """
    if not main:
        return []
    for root in (CGROUPS, CGROUPS / "unified", CGROUPS / "systemd"):
        path = root / control_group.lstrip("/") / "cgroup.procs"
        try:
            found = [int(line) for line in path.read_text().split()]
        except (OSError, ValueError):
            continue
        if control_group.strip("/") and found:
            return found
    return [main]


def told(paths: Iterable[str]) -> str:
    """A few names of files in words: `libc.so.6, libm.so.6, libz.so.1 and 4 more`."""
    return few(sorted({path.rpartition("/")[2] for path in paths}), SHOWN)
