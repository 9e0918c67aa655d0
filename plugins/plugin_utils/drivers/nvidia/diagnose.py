"""What is wrong with a host's driver: every fault by its own name, from one look. Pure; the table is the list of faults."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Callable

from ansible_collections.baremetal.vllm.plugins.module_utils.drivers.nvidia.model import (
    DriverState,
    Resolution,
    WantedDriver,
)
from ansible_collections.baremetal.vllm.plugins.plugin_utils.drivers.nvidia import (
    diagnose_boot,
    diagnose_devices,
    diagnose_modules,
    diagnose_nvlink,
    diagnose_packages,
    diagnose_services,
    diagnose_system,
    diagnose_xids,
)
from ansible_collections.baremetal.vllm.plugins.plugin_utils.drivers.nvidia.diagnose_case import Case
from ansible_collections.baremetal.vllm.plugins.plugin_utils.gpus.finding import Finding

Check = Callable[[Case], Iterable[Finding]]

# In the order in which they are told: what stands in the way of everything else first.
CHECKS: tuple[Check, ...] = (
    diagnose_system.engine,
    diagnose_packages.runfile,
    diagnose_packages.virtual_gpu,
    diagnose_devices.fewer_on_the_bus,
    diagnose_devices.unsupported,
    diagnose_packages.broken,
    diagnose_packages.not_installed,
    diagnose_packages.missing,
    diagnose_packages.other_version,
    diagnose_packages.mixed,
    diagnose_packages.firmware,
    diagnose_boot.secure_boot,
    diagnose_boot.nouveau_loaded,
    diagnose_boot.nouveau_not_blocked,
    diagnose_boot.nouveau_in_initramfs,
    diagnose_boot.no_rule,
    diagnose_modules.headers,
    diagnose_modules.dkms,
    diagnose_modules.without_module,
    diagnose_modules.other_version,
    diagnose_modules.other_kind,
    diagnose_modules.mismatch,
    diagnose_modules.not_loaded,
    diagnose_devices.nodes,
    diagnose_devices.fell_off,
    diagnose_devices.health,
    diagnose_xids.xids,
    diagnose_nvlink.subnet_manager,
    diagnose_nvlink.umad,
    diagnose_services.fabric_manager,
    diagnose_services.switches,
    diagnose_nvlink.imex,
    diagnose_nvlink.channel,
    diagnose_services.persistence,
    diagnose_packages.not_held,
    diagnose_packages.files,
)


def diagnose(
    state: DriverState, wanted: WantedDriver, resolution: Resolution | None, declared: int = 0
) -> list[Finding]:
    """All faults, fatal ones first. `declared` is the inventory's gpu_count, 0 where it says nothing.

    Without a resolution (the driver is not ours to manage) the installed version is what everything is held against.
    A host without an NVIDIA GPU has that one fault.
    """
    case = Case(state, wanted, resolution, declared)
    none = diagnose_devices.no_gpu(case)
    found = [none] if none else [finding for check in CHECKS for finding in check(case)]
    return sorted(found, key=lambda finding: not finding.fatal)
