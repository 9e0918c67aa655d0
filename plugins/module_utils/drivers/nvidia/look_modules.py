"""What is loaded in a host's kernel, who uses it, and what keeps nouveau out."""

from __future__ import annotations

import os
import re
from pathlib import Path

from ansible_collections.baremetal.vllm.plugins.module_utils.drivers.nvidia.look_files import (
    entries,
    modprobe_lines,
    text,
)
from ansible_collections.baremetal.vllm.plugins.module_utils.drivers.nvidia.model import Loaded, User

# "NVRM version: NVIDIA UNIX x86_64 Kernel Module  535.154.05  Thu Dec 28 …",
# "NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  555.58.02  Release Build  (…)".
_VERSION = re.compile(r"^NVRM version:.*? (\d{2,4}\.\d+(?:\.\d+)*)\b", re.MULTILINE)
_OPEN = "Open Kernel Module"
# https://docs.nvidia.com/multi-node-nvlink-systems/imex-guide/imexchannels.html
IMEX_CHANNEL = "nvidia-caps-imex-channels/channel0"
_NODE = re.compile(r"nvidia(\d+|ctl|-uvm)")
# kernel-command-line(7), modprobe(8), dracut.cmdline(7).
_BLACKLISTS = ("modprobe.blacklist", "rd.driver.blacklist", "module_blacklist")


def loaded(root: Path) -> Loaded | None:
    """The nvidia module in the kernel, None where there is none."""
    module, told = root / "sys/module/nvidia", text(root / "proc/driver/nvidia/version")
    match = _VERSION.search(told)
    version = text(module / "version") or (match[1] if match else "")
    if not version:
        return None
    count = text(module / "refcnt")
    users = int(count) - len(entries(module / "holders")) if count.isdecimal() else 0
    return Loaded(version, _OPEN in told, max(0, users))


def nodes(root: Path) -> tuple[str, ...]:
    """Names of the device files below /dev that CUDA opens: nvidia0, nvidiactl, nvidia-uvm, and IMEX_CHANNEL."""
    found = [entry.name for entry in entries(root / "dev") if _NODE.fullmatch(entry.name)]
    return (*found, *([IMEX_CHANNEL] if (root / "dev" / IMEX_CHANNEL).exists() else []))


def umad_loaded(root: Path) -> bool:
    """Whether the kernel has ib_umad; one that is built in has its directory there as well."""
    return (root / "sys/module/ib_umad").is_dir()


def users(root: Path) -> tuple[User, ...]:
    """Processes that have an NVIDIA device open, by process number."""
    found = []
    for process in entries(root / "proc"):
        if process.name.isdecimal() and _uses(process / "fd"):
            found.append(User(int(process.name), text(process / "comm"), unit(text(process / "cgroup"))))
    return tuple(sorted(found, key=lambda user: user.pid))


def _uses(descriptors: Path) -> bool:
    try:
        with os.scandir(descriptors) as opened:
            return any(os.readlink(entry.path).startswith("/dev/nvidia") for entry in opened)
    except OSError:
        # The process ended meanwhile.
        return False


def unit(cgroups: str) -> str:
    """The unit of the system manager in a process' /proc/PID/cgroup, "" outside of all.

    >>> unit("0::/system.slice/vllm-chat.service")
    'vllm-chat.service'
    """
    for line in cgroups.splitlines():
        number, controllers, path = [*line.split(":", 2), "", ""][:3]
        if (number == "0" and not controllers) or controllers == "name=systemd":
            for part in path.split("/"):
                if part.endswith((".service", ".scope")):
                    return part
    return ""


def nouveau_loaded(root: Path) -> bool:
    """Whether the running kernel has nouveau in it, as a module or built in; `root` is / on a host."""
    return (root / "sys/module/nouveau").is_dir()


def nouveau_blocks(root: Path) -> tuple[bool, float | None]:
    """Whether the kernel's command line keeps nouveau out, and since when a file of modprobe does (None: none does).

    The time is that of the file's inode: a package's files carry the date on which the package was built.
    """
    since = []
    for words, path in modprobe_lines(root):
        if words[:2] == ["blacklist", "nouveau"] or (words[:2] == ["install", "nouveau"] and _nothing(words[2:])):
            since.append(path.lstat().st_ctime)
    return _on_command_line(text(root / "proc/cmdline")), min(since) if since else None


def _nothing(command: list[str]) -> bool:
    return bool(command) and command[0].rpartition("/")[2] in ("true", "false", ":")


def _on_command_line(line: str) -> bool:
    options = [word.partition("=") for word in line.split()]
    return any(key in _BLACKLISTS and "nouveau" in value.split(",") for key, __, value in options)
