"""What the tools and the kernel of a machine say of its GPUs, word for word."""

from __future__ import annotations

import os
import platform
import re
from pathlib import Path
from typing import Any

from .steps import MOST, command

_COLUMNS = (
    *("index", "name", "pci.bus_id", "uuid", "driver_version", "compute_cap", "compute_mode", "persistence_mode"),
    *("memory.total", "memory.reserved", "memory.used", "memory.free", "mig.mode.current", "ecc.mode.current"),
    *("pstate", "temperature.gpu", "power.draw", "power.limit", "clocks.sm", "clocks.max.sm"),
)
SMI = "nvidia-smi"
# By name: what each is for stands in docs/dev/gpu.md.
COMMANDS = {
    "nvidia-smi": [SMI],
    "nvidia-smi-xml": [SMI, "-q", "-x"],
    "nvidia-smi-csv": [SMI, f"--query-gpu={','.join(_COLUMNS)}", "--format=csv"],
    "nvidia-smi-apps": [SMI, "--query-compute-apps=gpu_uuid,pid,process_name,used_memory", "--format=csv"],
    "nvidia-smi-list": [SMI, "-L"],
    "nvidia-smi-topo": [SMI, "topo", "-m"],
    "nvidia-smi-nvlink": [SMI, "nvlink", "-s"],
    "nvidia-smi-mig": [SMI, "mig", "-lgip"],
    "amd-smi-static": ["amd-smi", "static", "--json"],
    "amd-smi-metric": ["amd-smi", "metric", "--json"],
    "amd-smi-process": ["amd-smi", "process", "--json"],
}
_FILES = (
    *("proc/driver/nvidia/version", "proc/driver/nvidia/params", "proc/self/cgroup", "proc/meminfo", "etc/os-release"),
    *("sys/module/nvidia/version", "proc/sys/kernel/osrelease"),
)
_GLOBS = ("proc/driver/nvidia/gpus/*/information", "proc/driver/nvidia/capabilities/mig/config")
# A card is told from another by these, and a recording that is published should not.
_UUID = re.compile(r"\b((?:GPU|MIG)-)([0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12})\b")
_SERIAL = re.compile(r"(<(?:serial|board_serial|chassis_serial(?:_number)?|platform_guid|gpu_guid)>)([^<]*)(</)")
# Some releases print whole command lines, and others' keys may stand there.
_ARGUMENTS = re.compile(r"(<process_name>[^\s<]*)[^<]*")
_SECRET = re.compile(r"(--?[\w-]*(?:key|token|secret|password))[= ]+[^\s,<]+", re.IGNORECASE)


def machine(root: Path = Path("/")) -> dict[str, Any]:
    """Python, kernel, processors and memory (bytes) of the machine; nothing that names it."""
    return {
        "python": platform.python_version(),
        "machine": platform.machine(),
        "kernel": platform.release(),
        "processors": len(os.sched_getaffinity(0)),
        "memory": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        "root": os.geteuid() == 0,
        "systemd": (root / "run/systemd/system").is_dir(),
        "container": any((root / path).exists() for path in (".dockerenv", "run/.containerenv")),
    }


def tool(name: str, seconds: float) -> dict[str, Any]:
    """One of COMMANDS, with identities replaced."""
    return anonymous(command(COMMANDS[name], seconds))


def files(root: Path = Path("/")) -> dict[str, str]:
    """Text of the files in which the kernel and the driver tell of themselves, by path; of /dev/nvidia* the numbers."""
    found = [root / name for name in _FILES] + [path for glob in _GLOBS for path in sorted(root.glob(glob))]
    told = {}
    for path in found:
        try:
            told[f"/{path.relative_to(root)}"] = path.read_text(errors="replace")[:MOST]
        except OSError:
            continue
    nodes = [
        *sorted(root.glob("dev/nvidia*")),
        *sorted(root.glob("dev/nvidia-caps/*")),
        *sorted(root.glob("dev/infiniband/*")),
    ]
    for node in nodes:
        status = node.stat()
        told[f"/{node.relative_to(root)}"] = f"{status.st_mode:o} {os.major(status.st_rdev)}:{os.minor(status.st_rdev)}"
    return {path: anonymous(text) for path, text in told.items()}


def anonymous(value: Any) -> Any:
    """The same with UUIDs numbered through, serial numbers blanked and arguments of processes cut, in every text of it."""
    if isinstance(value, dict):
        return {key: "" if key == "serial" else anonymous(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [anonymous(item) for item in value]
    if not isinstance(value, str):
        return value
    cut = _ARGUMENTS.sub(r"\1", _SECRET.sub(r"\1 …", value))
    return _SERIAL.sub(lambda match: f"{match[1]}0{match[3]}", _UUID.sub(_numbered, cut))


_seen: dict[str, int] = {}


def _numbered(match: re.Match[str]) -> str:
    number = _seen.setdefault(match[2], len(_seen))
    return f"{match[1]}00000000-0000-0000-0000-{number:012d}"
