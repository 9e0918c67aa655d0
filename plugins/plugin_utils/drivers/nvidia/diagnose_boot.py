"""Faults between the firmware and the driver: Secure Boot, nouveau, and what modprobe knows."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import PurePosixPath

from ansible_collections.baremetal.vllm.plugins.module_utils.drivers.nvidia.model import Module
from ansible_collections.baremetal.vllm.plugins.plugin_utils.drivers.nvidia.diagnose_case import REBOOT, Case, some
from ansible_collections.baremetal.vllm.plugins.plugin_utils.gpus.finding import Finding

# The names that DKMS gives its own key: dkms 3 (Debian, EPEL), and Ubuntu's shim-signed (with the host's name before it).
_DKMS_KEYS = ("DKMS module signing key", "Secure Boot Module Signature key")
_ENROL = (
    "Enrol the key: `mokutil --import {}` on the host (where there is none yet, `{}` makes one), reboot, and confirm at its "
    "console (MOK manager); or write {}; or turn Secure Boot off in the firmware"
)
_PREBUILT = "nvidia_driver_build: prebuilt where signed modules are on offer"
# Without a console there is no other way to keep Secure Boot: Canonical's key is in every Ubuntu's.
_UBUNTU_PREBUILT = "nvidia_driver_source: distribution and nvidia_driver_build: prebuilt (modules that Canonical signs)"
# As the scripts of dkms 3 make and look for them (sign_module in /usr/sbin/dkms); a key that is there is not replaced.
_KEY, _UBUNTU_KEY = "/var/lib/dkms/mok.pub", "/var/lib/shim-signed/mok/MOK.der"
_MAKE = (
    "mkdir -p /var/lib/dkms && cd /var/lib/dkms && umask 077 && openssl req -new -x509 -nodes -days 36500 -newkey rsa:2048 "
    "-subj '/CN=DKMS module signing key' -keyout mok.key -outform DER -out mok.pub"
)
_UBUNTU_MAKE = "update-secureboot-policy --new-key"


def secure_boot(case: Case) -> Iterator[Finding]:
    """Modules that the kernel would refuse without a word, said before and after they are installed."""
    if not case.state.secure_boot:
        return
    ubuntu = case.state.system.name == "ubuntu"
    enrol = _ENROL.format(*((_UBUNTU_KEY, _UBUNTU_MAKE, _UBUNTU_PREBUILT) if ubuntu else (_KEY, _MAKE, _PREBUILT)))
    refused = [
        (kernel.release, kernel.module) for kernel in case.next if kernel.module and _refused(case, kernel.module)
    ]
    building = case.pending and case.resolution is not None and case.resolution.build == "dkms"
    if building and not _dkms_key_trusted(case):
        yield Finding(
            "secure-boot-unsigned",
            "Secure Boot is on, and DKMS would sign the module with a key that the kernel does not trust"
            f" (it trusts {some(case.state.keys) or 'none that can be read'})",
            enrol,
        )
    elif refused:
        release, module = refused[0]
        said = (
            f'is signed with "{module.signer}", which the kernel does not trust' if module.signer else "is not signed"
        )
        yield Finding(
            "secure-boot-unsigned",
            f"Secure Boot is on, and the nvidia module of {release} {said}: it would not be loaded",
            "Another one is installed in its place" if case.pending else enrol,
            "packages" if case.pending else "",
        )


def _refused(case: Case, module: Module) -> bool:
    if not module.signer:
        return True
    loaded = case.state.loaded
    here = case.running.module if case.running else None
    if loaded and here and here.version == loaded.version and here.signer == module.signer:
        # The kernel has taken one of that signer already.
        return False
    return bool(case.state.keys) and module.signer not in case.state.keys


def _dkms_key_trusted(case: Case) -> bool:
    return any(key.endswith(_DKMS_KEYS) for key in case.state.keys)


def nouveau_loaded(case: Case) -> Iterator[Finding]:
    """nouveau drives the GPUs now: healed by a reboot, where it cannot be unloaded."""
    if case.state.nouveau:
        yield Finding(
            "nouveau-loaded",
            "nouveau is loaded and holds the GPUs: the nvidia module cannot drive them beside it",
            f"It is blocked and unloaded; where it will not go, a reboot gets rid of it, and {REBOOT}",
            "reboot",
        )


def nouveau_not_blocked(case: Case) -> Iterator[Finding]:
    """nouveau may take the GPUs at the next boot, whatever is loaded now."""
    if not case.state.nouveau_blocked:
        yield Finding(
            "nouveau-not-blocked",
            "nothing keeps nouveau from taking the GPUs at the next boot",
            "It is blocked in /etc/modprobe.d",
            "files",
        )


def nouveau_in_initramfs(case: Case) -> Iterator[Finding]:
    """An early boot would load nouveau before it is blocked; fatal only for a kernel that may boot next."""
    early = [kernel.release for kernel in case.state.kernels if kernel.nouveau_in_initramfs]
    if early:
        yield Finding(
            "nouveau-in-initramfs",
            f"the initramfs of {some(early)} has nouveau in it and does not know that it is blocked",
            "It is made anew",
            "initramfs",
            fatal=any(kernel.nouveau_in_initramfs for kernel in case.next),
        )


def no_rule(case: Case) -> Iterator[Finding]:
    """Debian's own packages rename the modules, and leave the rule for modprobe to a package of OpenGL's."""
    named = {PurePosixPath(kernel.module.path).name.split(".")[0] for kernel in case.state.kernels if kernel.module}
    renamed = sorted(named - {"nvidia", case.state.rule})
    if renamed:
        yield Finding(
            "modprobe-rule-missing",
            f"the module's name is {some(renamed)}, and no rule of modprobe's leads to it from nvidia: the tools that load "
            "nvidia and nvidia-uvm fail",
            f"Rules (install nvidia modprobe -i {renamed[0]} …) are written to /etc/modprobe.d",
            "files",
        )
