"""A unit for the persistence daemon where the distribution's does not persist.

Ubuntu starts it with --no-persistence-mode from a unit without [Install] that stops when nothing needs it: seen in
`systemctl cat` of Ubuntu 22.04 and 24.04 hosts in public reports (nvidia-compute-utils).
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from ansible_collections.baremetal.vllm.plugins.module_utils.drivers.nvidia.model import DriverState, WantedDriver
from ansible_collections.baremetal.vllm.plugins.module_utils.host.hostfile import HostFile
from ansible_collections.baremetal.vllm.plugins.plugin_utils.drivers.nvidia import repository

PATH = "/etc/systemd/system/nvidia-persistenced.service"


def files(
    state: DriverState, texts: Mapping[str, str], wanted: WantedDriver, templates: Path = repository.TEMPLATES
) -> tuple[HostFile, ...]:
    """Our unit on Ubuntu, unless the operator has one there; `texts` are the files that exist, by path."""
    if state.system.name != "ubuntu" or not wanted.persistence or foreign(texts):
        return ()
    return (HostFile(PATH, (templates / PATH[1:]).read_text(encoding="utf-8"), 0o644),)


def foreign(texts: Mapping[str, str]) -> bool:
    """Whether the operator has written a unit of that name."""
    return PATH in texts and repository.MARK not in texts[PATH]
