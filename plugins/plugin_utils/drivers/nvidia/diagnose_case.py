"""What the checks of `diagnose` judge: a state with what is asked of the host, and words that they share."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

from ansible_collections.baremetal.vllm.plugins.module_utils.drivers.nvidia import versions
from ansible_collections.baremetal.vllm.plugins.module_utils.drivers.nvidia.model import (
    Device,
    DriverState,
    Kernel,
    Resolution,
    ServiceState,
    WantedDriver,
)
from ansible_collections.baremetal.vllm.plugins.module_utils.text.words import few
from ansible_collections.baremetal.vllm.plugins.plugin_utils.drivers.nvidia import hardware

# What systemd-detect-virt(1) calls containers.
_CONTAINERS = ("systemd-nspawn", "docker", "podman", "lxc", "lxc-libvirt", "openvz", "rkt", "wsl", "proot", "pouch")
_MOST = 4
REBOOT = "the host reboots for it only with nvidia_driver_reboot: true"


@dataclass(frozen=True)
class Case:
    """`declared` is the inventory's gpu_count, 0 where it says nothing."""

    state: DriverState
    wanted: WantedDriver
    resolution: Resolution | None
    declared: int = 0

    @cached_property
    def gpus(self) -> tuple[Device, ...]:
        """NVIDIA's GPUs on the PCI bus, seen by a driver or not; without an old console GPU beside newer ones."""
        return hardware.driven(self.state.gpus)

    @cached_property
    def installed(self) -> str:
        """The version on the disk: of the libraries, else of the newest kernel's module; "" where there is neither."""
        modules = [kernel.module.version for kernel in self.state.kernels if kernel.module]
        return self.state.userspace or (modules[-1] if modules else "")

    @property
    def version(self) -> str:
        """The version that everything is to have."""
        return self.resolution.version if self.resolution else self.installed

    @property
    def moving(self) -> bool:
        """Whether packages change the version anyway, and what depends on it is judged afterwards."""
        return self.resolution is not None and self.installed not in ("", self.resolution.version)

    @property
    def pending(self) -> bool:
        """Whether packages are still to be exchanged, or it is not known yet which: what is installed may be on its way out."""
        if self.resolution is None:
            return True
        installed = self.state.packages
        # A package without a version has it in its name.
        return any(
            name not in installed or version not in ("", installed[name])
            for name, version in self.resolution.packages.items()
        )

    @property
    def dkms(self) -> bool:
        """Whether modules are built on the host: as resolved, else as what is installed shows."""
        return self.resolution.build == "dkms" if self.resolution else bool(self.state.dkms)

    @cached_property
    def running(self) -> Kernel | None:
        """The running kernel among the installed ones; None where its modules are gone."""
        return next((kernel for kernel in self.state.kernels if kernel.release == self.state.running), None)

    @cached_property
    def next(self) -> tuple[Kernel, ...]:
        """The kernel that boots next; every one that may where the host does not tell."""
        known = tuple(kernel for kernel in self.state.kernels if kernel.release == self.state.next_kernel)
        return known or self.state.kernels

    @property
    def consistent(self) -> bool:
        """Whether the loaded module and the libraries are of one version, so that nvidia-smi can work at all."""
        return self.state.loaded is not None and self.state.loaded.version == self.state.userspace

    def package(self, name: str) -> tuple[str, str]:
        """An installed package of that name or of its branches (nvidia-fabricmanager-580), and the driver's version in it."""
        for found, full in self.state.packages.items():
            if found == name or (found.startswith(f"{name}-") and found[len(name) + 1 :].isdecimal()):
                return found, versions.driver(full)
        return "", ""

    def unit(self, name: str) -> ServiceState:
        """A service by its name without `.service`; one without a state where the host does not have it."""
        return self.state.units.get(f"{name}.service", ServiceState("", False))

    def bring(self, version: str) -> str:
        """The step that gets a module of this version into the kernel: load it, boot into it, or build it first."""
        if self.running and self.running.module and self.running.module.version == version:
            return "load"
        elsewhere = any(kernel.module and kernel.module.version == version for kernel in self.next)
        return "reboot" if elsewhere and self.state.next_kernel not in ("", self.state.running) else "modules"

    @property
    def guest(self) -> str:
        """What a host that is no hardware of its own must be told, as the end of a sentence; "" on hardware."""
        kind = self.state.virtual
        if not kind:
            return ""
        if kind in _CONTAINERS:
            return f" (this is a container, {kind}: modules and devices come from the machine that runs it)"
        return f" (this is a virtual machine, {kind}: GPUs must be passed through to it)"

    @property
    def said(self) -> str:
        """What the kernel's log has to say, as the end of a sentence."""
        return f"; the kernel's log says: {' | '.join(self.state.log[-2:])}" if self.state.log else ""


def some(names: Iterable[str]) -> str:
    """A few of many names."""
    return few(list(names), _MOST)


def plural(count: int, word: str) -> str:
    """`1 GPU`, `2 GPUs`: the count and the word, with an s for all but one."""
    return f"{count} {word}{'' if count == 1 else 's'}"
