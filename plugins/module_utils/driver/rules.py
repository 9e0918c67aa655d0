"""The rule for udev that makes CUDA's device nodes at boot, and rules for modprobe where a distribution renames the modules.

Debian's own rules for its names (nvidia-current) come with the package of its OpenGL alternatives, which a compute host does not
have: seen with 535.309.01 on Debian 12. Source of their form: modprobe.d(5), "install"; udev(7), and the rule of Arch Linux'
nvidia-utils. No package of Debian makes the nodes of nvidia-uvm.
"""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path, PurePosixPath

from ansible_collections.baremetal.vllm.plugins.module_utils.driver import repository
from ansible_collections.baremetal.vllm.plugins.module_utils.driver.model import State
from ansible_collections.baremetal.vllm.plugins.module_utils.service.hostfile import HostFile

PATH, UDEV = "/etc/modprobe.d/nvidia-driver.conf", "/etc/udev/rules.d/70-nvidia-driver.rules"


def files(state: State, existing: Collection[str], templates: Path = repository.TEMPLATES) -> tuple[HostFile, ...]:
    """udev's rule, and those of modprobe that the host lacks, or has from us (`existing` are paths of ours that are there)."""
    udev = HostFile(UDEV, (templates / UDEV[1:]).read_text(encoding="utf-8"), 0o644)
    names = {PurePosixPath(kernel.module.path).name.split(".")[0] for kernel in state.kernels if kernel.module}
    renamed = sorted(names - {"nvidia"})
    if not renamed or (state.rule == renamed[0] and PATH not in existing):
        return (udev,)
    return (udev, repository.printed(PATH, {"module": renamed[0]}, templates))
