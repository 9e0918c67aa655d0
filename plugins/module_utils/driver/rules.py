"""Rules for modprobe where a distribution calls the modules by names of its own and brings no rules with them.

Debian's rules (nvidia-current) come with the package of its OpenGL alternatives, which a compute host does not have: seen with
535.309.01 on Debian 12. Source of their form: modprobe.d(5), "install".
"""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path, PurePosixPath

from ansible_collections.baremetal.vllm.plugins.module_utils.driver import repository
from ansible_collections.baremetal.vllm.plugins.module_utils.driver.model import State
from ansible_collections.baremetal.vllm.plugins.module_utils.service.hostfile import HostFile

PATH = "/etc/modprobe.d/nvidia-driver.conf"


def files(state: State, existing: Collection[str], templates: Path = repository.TEMPLATES) -> tuple[HostFile, ...]:
    """The rules that the host lacks, or has from us (`existing` are paths of ours that are there); () where it needs none."""
    names = {PurePosixPath(kernel.module.path).name.split(".")[0] for kernel in state.kernels if kernel.module}
    renamed = sorted(names - {"nvidia"})
    if not renamed or (state.rule == renamed[0] and PATH not in existing):
        return ()
    return (repository.printed(PATH, {"module": renamed[0]}, templates),)
