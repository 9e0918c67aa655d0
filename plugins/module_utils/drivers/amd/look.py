"""One look at a host: everything about its AMD GPUs and ROCm, without changing anything."""

from __future__ import annotations

import platform
import re
from collections.abc import Sequence
from pathlib import Path

from ansible_collections.baremetal.vllm.plugins.module_utils.drivers.amd.model import RocmKernel, RocmState
from ansible_collections.baremetal.vllm.plugins.module_utils.drivers.nvidia import look_boot, look_kernels, look_system
from ansible_collections.baremetal.vllm.plugins.module_utils.drivers.nvidia.key import fingerprints
from ansible_collections.baremetal.vllm.plugins.module_utils.drivers.nvidia.look_files import entries, text
from ansible_collections.baremetal.vllm.plugins.module_utils.drivers.nvidia.model import Module
from ansible_collections.baremetal.vllm.plugins.module_utils.gpus import amd
from ansible_collections.baremetal.vllm.plugins.module_utils.gpus.model import Facts
from ansible_collections.baremetal.vllm.plugins.module_utils.host import command

# Everything of ours that may lie on a host, and where its package manager's other files are.
APT, DNF = "/etc/apt/sources.list.d/rocm.sources", "/etc/yum.repos.d/rocm.repo"
PIN, UDEV, LINKER = "/etc/apt/preferences.d/rocm", "/etc/udev/rules.d/70-rocm.rules", "/etc/ld.so.conf.d/rocm.conf"
APT_KEY, DNF_KEY = "/etc/apt/keyrings/rocm.asc", "/etc/pki/rpm-gpg/RPM-GPG-KEY-rocm"
_OURS = (APT, DNF, PIN, UDEV, LINKER)
_SOURCES = ("etc/apt/sources.list", "etc/apt/sources.list.d", "etc/yum.repos.d")
_AMD = re.compile(r"^[^#\n]*\brepo\.radeon\.com/(?:rocm|amdgpu|graphics)\b", re.MULTILINE)
_PACKAGE = re.compile(
    r"(rocm|amdgpu|hip|hsa-|amd-smi|linux-headers-|linux-modules-extra-|kernel-(uek-)?(devel|headers)).*"
)
# Where DKMS puts a module, on either family; the kernel's own lies below kernel/.
_BUILT = re.compile(r"(?:updates|extra|weak-updates)/(?:.*/)?amdgpu\.ko(?:\.\w+)?")
_OPT = "/opt/rocm/bin"


def look(
    packages: Sequence[str] = (), root: Path = Path("/"), run: command.Run = command.run, machine: str = ""
) -> RocmState:
    """See everything; `packages` are names of interest beside ROCm's own. Never raises for what it finds, or does not find."""
    module = root / "sys/module/amdgpu"
    current = look_kernels.running(root)
    gpus, __ = look_system.devices(root)
    keys = (text(root / path[1:]).encode() for path in (APT_KEY, DNF_KEY))
    groups = re.findall(r"^(video|render):", text(root / "etc/group"), re.MULTILINE)
    return RocmState(
        system=look_system.system(root, machine or platform.machine()),
        gpus=tuple(gpu for gpu in gpus if gpu.vendor == look_system.AMD),
        secure_boot=look_system.secure_boot(root),
        keys=look_system.trusted_keys(root, run),
        running=current,
        next_kernel=look_boot.next_kernel(root, run),
        kernels=tuple(_kernel(root, run, release) for release in look_kernels.releases(root, current)),
        loaded=module.is_dir(),
        loaded_version=text(module / "version"),
        packages=_packages(root, run, packages),
        texts={path: _whole(root / path[1:]) for path in _OURS if (root / path[1:]).is_file()},
        foreign=tuple(_foreign(root)),
        fingerprints=tuple(print_ for key in keys if key for print_ in fingerprints(key)),
        groups=tuple(groups),
        facts=_facts(root, run),
    )


def _kernel(root: Path, run: command.Run, release: str) -> RocmKernel:
    lines = text(root / "lib/modules" / release / "modules.dep").splitlines()
    built = next((path for path in (line.partition(":")[0] for line in lines) if _BUILT.fullmatch(path)), "")
    return RocmKernel(
        release, look_kernels.headers(root, release), _module(root, run, release, built) if built else None
    )


def _module(root: Path, run: command.Run, release: str, built: str) -> Module | None:
    path = str(root / "lib/modules" / release / built)
    status, out, __ = run(["modinfo", path])
    return look_kernels.modinfo(out, path) if status == 0 else None


def _packages(root: Path, run: command.Run, asked: Sequence[str]) -> dict[str, str]:
    if (root / "var/lib/dpkg/status").exists():
        argv = ["dpkg-query", "-W", "-f", "${Package}\\t${Version}\\t${db:Status-Status}\\n"]
    else:
        argv = ["rpm", "-qa", "--qf", "%{NAME}\\t%{VERSION}-%{RELEASE}\\tinstalled\\n"]
    rows = [[*line.split("\t"), "", ""] for line in run(argv)[1].splitlines()]
    return {row[0]: row[1] for row in rows if row[2] == "installed" and (row[0] in asked or _PACKAGE.fullmatch(row[0]))}


def _whole(path: Path) -> str:
    return path.read_text(encoding="utf-8", errors="replace")


def _foreign(root: Path) -> list[str]:
    """Files that name a repository of AMD's and are not ours: amdgpu-install leaves such."""
    paths = [each for name in _SOURCES for each in (entries(root / name) or [root / name])]
    found = [path for path in paths if path.suffix in (".list", ".sources", ".repo") and _AMD.search(text(path))]
    return [str(path) for path in (f"/{each.relative_to(root)}" for each in found) if path not in _OURS]


def _facts(root: Path, run: command.Run) -> Facts | None:
    """amd-smi is asked by its own path where ROCm's alternatives did not put it on PATH."""
    own = root / _OPT[1:] / amd.TOOL

    def ask(argv: list[str]) -> command.Answer:
        return run([str(own), *argv[1:]] if own.exists() and argv[0] == amd.TOOL else argv)

    facts = amd.read(ask, root)
    return None if facts.returncode is None else facts
