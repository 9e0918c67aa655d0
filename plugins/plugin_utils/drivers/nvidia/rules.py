"""What makes CUDA's device nodes, what NVLink 5 switches want of the kernel, and rules for modprobe where a distribution renames
the modules.

Debian's own rules for its names (nvidia-current) come with the package of its OpenGL alternatives, which a compute host does not
have: seen with 535.309.01 on Debian 12. Source of their form: modprobe.d(5), "install"; udev(7), and the rule of Arch Linux'
nvidia-utils. No package of Debian makes the nodes of nvidia-uvm, nor those of any GPU but the first (without the persistence
daemon); none of Ubuntu's depends on nvidia-modprobe, which makes them. Numbers and modes of nodes: README of the driver;
open-gpu-kernel-modules, kernel-open/nvidia/nv-procfs.c, nv-caps.c and nv-caps-imex.c. NVLink 5: nvidia-fabricmanager-start.sh, as
public logs have its words (gpu-operator issue 2781, CanvOS pull request 700).
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from pathlib import Path, PurePosixPath

from ansible_collections.baremetal.vllm.plugins.module_utils.drivers.nvidia.model import DriverState
from ansible_collections.baremetal.vllm.plugins.module_utils.host.hostfile import HostFile
from ansible_collections.baremetal.vllm.plugins.plugin_utils.drivers.nvidia import hardware, repository

PATH, UDEV = "/etc/modprobe.d/nvidia-driver.conf", "/etc/udev/rules.d/70-nvidia-driver.rules"
NODES, NODES_UNIT = "/usr/local/libexec/nvidia-device-nodes", "/etc/systemd/system/nvidia-device-nodes.service"
# modules-load.d(5): loaded by systemd-modules-load.service before sysinit.target, which the fabric manager comes after.
NVLINK5 = "/etc/modules-load.d/nvidia-nvlink5.conf"
PATHS = (PATH, UDEV, NODES, NODES_UNIT, NVLINK5)


def files(
    state: DriverState, existing: Collection[str], templates: Path = repository.TEMPLATES
) -> tuple[HostFile, ...]:
    """What makes device nodes, modules to load at boot, and rules of modprobe that the host lacks, or has from us (`existing` are
    paths of ours that are there)."""
    imex = hardware.needs_imex(state.gpus, state.system.arch)
    found = [
        *(HostFile(path, (templates / path[1:]).read_text(encoding="utf-8"), 0o644) for path in (UDEV, NODES_UNIT)),
        replace(repository.printed(NODES, {"imex": imex}, templates), mode=0o755),
    ]
    if hardware.has_nvlink5(state.gpus, state.switches):
        found.append(HostFile(NVLINK5, (templates / NVLINK5[1:]).read_text(encoding="utf-8"), 0o644))
    names = {PurePosixPath(kernel.module.path).name.split(".")[0] for kernel in state.kernels if kernel.module}
    renamed = sorted(names - {"nvidia"})
    if not renamed or (state.rule == renamed[0] and PATH not in existing):
        return tuple(found)
    return (*found, repository.printed(PATH, {"module": renamed[0]}, templates))
