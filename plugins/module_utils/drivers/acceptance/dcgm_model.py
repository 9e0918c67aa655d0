"""What is seen of DCGM on a host; apart from what decides, which hosts need not be sent."""

from __future__ import annotations

from dataclasses import dataclass, field

from ansible_collections.baremetal.vllm.plugins.module_utils.drivers.nvidia.model import ServiceState

ENGINE, EXPORTER = "nvidia-dcgm.service", "nvidia-dcgm-exporter.service"


@dataclass(frozen=True)
class DcgmSeen:
    """`packages` are installed ones of DCGM with their versions, `driver` the loaded module's version, "" for none.

    `drop_in` is the text of the exporter's drop-in, "" without one; `family` debian, rhel, or "" for others.
    """

    packages: dict[str, str] = field(default_factory=dict)
    driver: str = ""
    units: dict[str, ServiceState] = field(default_factory=dict)
    drop_in: str = ""
    family: str = ""
