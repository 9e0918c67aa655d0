"""One look at a host: everything about its NVIDIA driver, in one go and without changing anything."""

from __future__ import annotations

import platform
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from ansible_collections.baremetal.vllm.plugins.module_utils.drivers.nvidia import (
    kernel_log,
    look_boot,
    look_kernels,
    look_modules,
    look_packages,
    look_system,
)
from ansible_collections.baremetal.vllm.plugins.module_utils.drivers.nvidia.model import DriverState, Kernel, System
from ansible_collections.baremetal.vllm.plugins.module_utils.gpus import smi
from ansible_collections.baremetal.vllm.plugins.module_utils.gpus.model import Facts
from ansible_collections.baremetal.vllm.plugins.module_utils.host import command

_NOT_ASKED = "it was not asked: the nvidia module is not loaded, and asking would load it"
_NO_DRIVER = 9
# What the tools read and the look needs no more than a few of at a time.
_AT_ONCE = 8


def look(
    log_since: str = "boot",
    root: Path = Path("/"),
    run: command.Run = command.run,
    machine: str = "",
) -> DriverState:
    """See everything but the offers of repositories. Never raises for what it finds, or does not find.

    `log_since` is boot, or a time that journalctl takes. `root` is where the host's files lie, `run` starts its commands,
    `machine` is its architecture (default: this one's).
    """
    machine = machine or platform.machine()
    system = look_system.system(root, machine)
    gpus, switches = look_system.devices(root)
    nvidia = any(device.vendor == look_system.NVIDIA for device in gpus)
    current = look_kernels.running(root)
    loaded = look_modules.loaded(root)
    blocked, since = look_modules.nouveau_blocks(root)
    # Before nvidia-smi is asked: it opens the devices itself.
    users = look_modules.users(root)
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        facts = pool.submit(_facts, root, run, loaded is not None)
        log = pool.submit(kernel_log.read, run, log_since)
        packages = pool.submit(look_packages.packages, root, run, family(system))
        dkms = pool.submit(look_packages.dkms, root, run)
        kernels = pool.submit(look_kernels.kernels, root, run, current, since, nvidia and not blocked)
        following = pool.submit(look_boot.next_kernel, root, run)
        units = pool.submit(look_system.units, run)
        keys = pool.submit(look_system.trusted_keys, root, run)
        virtual = pool.submit(look_system.virtual, run)
        archives = pool.submit(look_packages.archives, root, run)
    libraries = look_packages.userspace(root, machine)
    return DriverState(
        system=system,
        gpus=gpus,
        switches=switches,
        secure_boot=look_system.secure_boot(root),
        keys=keys.result(),
        running=current,
        next_kernel=following.result(),
        kernels=kernels.result(),
        loaded=loaded,
        nouveau=look_modules.nouveau_loaded(root),
        nouveau_blocked=blocked or since is not None or _without_nouveau(root, kernels.result()),
        packages=packages.result().installed,
        held=packages.result().held,
        broken=packages.result().broken,
        userspace=libraries,
        firmware=look_packages.firmware(root),
        runfile=look_packages.runfile(root, packages.result().installed, libraries),
        dkms=dkms.result(),
        units=units.result(),
        xids=kernel_log.xids(log.result()),
        users=users,
        facts=facts.result(),
        virtual=virtual.result(),
        nodes=look_modules.nodes(root),
        rule=look_kernels.modprobe_rule(root),
        log=kernel_log.complaints(log.result()),
        archives=archives.result(),
        umad=look_modules.umad_loaded(root),
        imex_nodes=look_system.imex_nodes(root),
    )


def family(system: System) -> str:
    """Whose package manager the host has: debian or rhel."""
    return "debian" if {"debian", "ubuntu"} & {system.name, *system.like} else "rhel"


def _facts(root: Path, run: command.Run, loaded: bool) -> Facts | None:
    """What nvidia-smi says; it is asked only where the module is loaded, since it would load it."""
    if not any((root / place / smi.TOOL).exists() for place in ("usr/bin", "usr/local/bin", "usr/sbin")):
        return None
    if not loaded:
        return Facts(smi.TOOL, error=_NOT_ASKED, returncode=_NO_DRIVER)
    facts = smi.read(run, root)
    return None if facts.returncode is None else facts


def _without_nouveau(root: Path, kernels: Sequence[Kernel]) -> bool:
    if look_modules.nouveau_loaded(root):
        return False
    return bool(kernels) and not look_kernels.has_nouveau(root, [kernel.release for kernel in kernels])
