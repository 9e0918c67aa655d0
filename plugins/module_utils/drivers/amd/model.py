"""What is asked of a host's ROCm, what was seen on the host, and what comes out; the JSON form is `asdict` of these."""

from __future__ import annotations

from dataclasses import dataclass, field

from ansible_collections.baremetal.vllm.plugins.module_utils.drivers.nvidia.model import Device, Module, System
from ansible_collections.baremetal.vllm.plugins.module_utils.gpus.model import Facts


@dataclass(frozen=True)
class WantedRocm:
    """`version` is a whole release ("7.2.3"). `driver` is dkms (AMD's module, built for each kernel) or kernel (the one that
    the kernel brings). `mirror` is a base URL in place of AMD's, "" for none, and `mirror_key` a file on the control node with
    the key that signs it, "" for AMD's own."""

    version: str
    driver: str = "dkms"
    mirror: str = ""
    mirror_key: str = ""
    packages: tuple[str, ...] = ()


@dataclass(frozen=True)
class RocmKernel:
    """An installed kernel; `module` is AMD's own build of amdgpu for it, None where it would load the kernel's."""

    release: str
    headers: bool
    module: Module | None


@dataclass(frozen=True)
class RocmState:
    """What was seen in one look.

    `texts` are the files of ours that are there, by path; `foreign` other files that name AMD's repositories;
    `fingerprints` of the installed signing key. `packages` maps installed ones to full versions. `loaded` tells whether amdgpu
    is loaded, `loaded_version` its version, "" for the kernel's own. `groups` are those of video and render that exist.
    `secure_boot` None where the firmware does not tell. `facts` are amd-smi's, None where it is not installed.
    """

    system: System
    gpus: tuple[Device, ...] = ()
    secure_boot: bool | None = None
    keys: tuple[str, ...] = ()
    running: str = ""
    next_kernel: str = ""
    kernels: tuple[RocmKernel, ...] = ()
    loaded: bool = False
    loaded_version: str = ""
    packages: dict[str, str] = field(default_factory=dict)
    texts: dict[str, str] = field(default_factory=dict)
    foreign: tuple[str, ...] = ()
    fingerprints: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    facts: Facts | None = None


@dataclass(frozen=True)
class RocmDecision:
    """`files` are to be written ({path, content, mode}) and `commands` to be run, in this order; `reboot` says why the
    host has to be rebooted afterwards, "" where it has not. All empty: nothing is to be done."""

    files: tuple[dict[str, str], ...] = ()
    commands: tuple[dict[str, object], ...] = ()
    reboot: str = ""
