"""What has to be done so that a host has the ROCm that is asked for."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, replace

from ansible_collections.baremetal.vllm.plugins.module_utils.drivers.amd import look
from ansible_collections.baremetal.vllm.plugins.module_utils.drivers.amd.model import (
    RocmDecision,
    RocmKernel,
    RocmState,
    WantedRocm,
)
from ansible_collections.baremetal.vllm.plugins.plugin_utils.drivers.amd import releases, versions
from ansible_collections.baremetal.vllm.plugins.plugin_utils.drivers.nvidia.command import DriverCommand
from ansible_collections.baremetal.vllm.plugins.plugin_utils.drivers.nvidia.commands import update

_MODULE, _CORE = "amdgpu-dkms", "rocm-core"
_APT = ("apt-get", "-y", "-o", "DPkg::Lock::Timeout=600")
_DNF = ("dnf", "-y", "--setopt=install_weak_deps=False")
_REPOSITORY = re.compile(r"/amdgpu/([\d.]+)/")


def decide(
    wanted: WantedRocm, known: releases.RocmRelease, state: RocmState, planned: Mapping[str, str]
) -> RocmDecision:
    """Compare a host of a supported system with what is asked. `planned` are its files."""
    files = {path: text for path, text in planned.items() if state.texts.get(path) != text}
    commands = [*_remove(wanted, known, state), *_install(wanted, known, state), *_modules(wanted, known, state)]
    commands += _access(state, set(files), bool(commands))
    commands += [] if state.loaded else [DriverCommand("load amdgpu", ("modprobe", "amdgpu"))]
    if {look.APT, look.DNF} & files.keys():
        # The package manager does not know yet what it will be offered.
        commands = [replace(command, simulate=()) for command in commands]
    return RocmDecision(
        files=tuple({"path": path, "content": text, "mode": "0644"} for path, text in files.items()),
        commands=tuple(asdict(command) for command in commands),
        reboot=_reboot(wanted, known, state),
    )


def update_needed(decision: RocmDecision) -> bool:
    """Whether package lists have to be read: a source changes, or something is to be installed."""
    sources = any(file["path"] in (look.APT, look.DNF) for file in decision.files)
    return sources or any("install" in list(command["argv"]) for command in decision.commands)  # type: ignore[call-overload]


def lists(state: RocmState) -> tuple[str, ...]:
    """The command that reads the host's package lists anew, as words."""
    return update(releases.family(state.system))


def installed_driver(state: RocmState) -> str:
    """The release of AMD's kernel driver that is installed; "" where none is, or nothing tells."""
    version = state.packages.get(_MODULE)
    if version is None:
        return ""
    named = _REPOSITORY.search("\n".join(state.texts.get(path, "") for path in (look.APT, look.DNF)))
    return versions.driver(version) or (versions.plain(named[1]) if named else "")


def _other_driver(wanted: WantedRocm, known: releases.RocmRelease, state: RocmState) -> bool:
    """Whether a driver is installed that has to go: another release, or any where the kernel's own is asked for."""
    if _MODULE not in state.packages:
        return False
    found = installed_driver(state)
    return wanted.driver == "kernel" or (bool(found) and found != versions.plain(known.driver))


def _remove(wanted: WantedRocm, known: releases.RocmRelease, state: RocmState) -> list[DriverCommand]:
    """Another release goes before the one that is asked for comes: AMD's way up, and the only one down (its package
    versions do not always rise, the epoch of 6.4's driver came and went)."""
    found = []
    release = versions.rocm(state.packages.get(_CORE, ""))
    if release and release != wanted.version:
        found.append(_gone(state, f"remove ROCm {release}", (_CORE,)))
    if _other_driver(wanted, known, state):
        names = tuple(name for name in (_MODULE, f"{_MODULE}-firmware") if name in state.packages)
        found.append(_gone(state, f"remove the driver {installed_driver(state)}".rstrip(), names))
    return found


def _install(wanted: WantedRocm, known: releases.RocmRelease, state: RocmState) -> list[DriverCommand]:
    release = versions.rocm(state.packages.get(_CORE, ""))
    kept = release in ("", wanted.version)
    names = [name for name in wanted.packages if not (kept and _at(wanted.version, state.packages.get(name)))]
    what = [f"ROCm {wanted.version}"] if names else []
    if wanted.driver == "dkms":
        headers = [name for kernel in state.kernels for name in _headers(state, kernel)]
        module = [_MODULE] if _MODULE not in state.packages or _other_driver(wanted, known, state) else []
        what += [f"the driver {known.driver}"] if module else ["kernel headers"] if headers else []
        names = [*headers, *module, *names]
    return [_here(state, f"install {' and '.join(what)}", tuple(names))] if names else []


def _at(release: str, version: str | None) -> bool:
    """Whether a package is installed, and of this release as far as its version tells."""
    return version is not None and versions.rocm(version) in ("", release)


def _headers(state: RocmState, kernel: RocmKernel) -> list[str]:
    """Packages that a module is built with. Ubuntu keeps modules that amdgpu needs apart from its servers' kernels."""
    name, release = state.system.name, kernel.release
    extra = f"linux-modules-extra-{release}"
    found = [extra] if name == "ubuntu" and extra not in state.packages else []
    if kernel.headers:
        return found
    if releases.family(state.system) == "debian":
        return [f"linux-headers-{release}", *found]
    if "uek" in release:
        return [f"kernel-uek-devel-{release}"]
    matched = [] if state.system.version.startswith("8") else [f"kernel-devel-matched-{release}"]
    return [f"kernel-devel-{release}", *matched]


def _modules(wanted: WantedRocm, known: releases.RocmRelease, state: RocmState) -> list[DriverCommand]:
    """Build the module where the installed driver has none for a kernel; installing a driver builds it by itself."""
    if wanted.driver != "dkms" or _MODULE not in state.packages or _other_driver(wanted, known, state):
        return []
    return [
        DriverCommand(f"build amdgpu for {kernel.release}", ("dkms", "autoinstall", "-k", kernel.release))
        for kernel in state.kernels
        if kernel.module is None
    ]


def _access(state: RocmState, files: set[str], packages: bool) -> list[DriverCommand]:
    """Groups, device nodes and the linker's paths."""
    found = [
        DriverCommand(f"add the group {name}", ("groupadd", "--system", name))
        for name in ("video", "render")
        if name not in state.groups
    ]
    if look.UDEV in files:
        found.append(DriverCommand("read udev's rules", ("udevadm", "control", "--reload"), optional=True))
        match = ("--subsystem-match=kfd", "--subsystem-match=drm")
        found.append(DriverCommand("give the devices their group", ("udevadm", "trigger", *match), optional=True))
    if look.LINKER in files or packages:
        found.append(DriverCommand("tell the linker", ("ldconfig",)))
    return found


def _reboot(wanted: WantedRocm, known: releases.RocmRelease, state: RocmState) -> str:
    """amdgpu drives the console as well, so a loaded one is exchanged by a reboot alone."""
    if not state.loaded:
        return ""
    if wanted.driver == "kernel":
        return f"AMD's amdgpu {state.loaded_version} is loaded instead of the kernel's" if state.loaded_version else ""
    running = next((kernel for kernel in state.kernels if kernel.release == state.running), None)
    built = running.module.version if running and running.module else ""
    other = _other_driver(wanted, known, state)
    if built and built == state.loaded_version and not other:
        return ""
    loaded = f"amdgpu {state.loaded_version}" if state.loaded_version else "the kernel's own amdgpu"
    return f"{loaded} is loaded instead of {built if built and not other else 'that of the driver ' + known.driver}"


def _gone(state: RocmState, title: str, names: tuple[str, ...]) -> DriverCommand:
    if releases.family(state.system) == "debian":
        return DriverCommand(title, (*_APT, "remove", *names), (*_APT, "-s", "remove", *names))
    return DriverCommand(title, (*_DNF, "remove", "--noautoremove", *names))


def _here(state: RocmState, title: str, names: tuple[str, ...]) -> DriverCommand:
    if releases.family(state.system) == "debian":
        argv = (*_APT, "--no-install-recommends", "--allow-downgrades", "install")
        return DriverCommand(title, (*argv, *names), (*argv, "-s", *names))
    return DriverCommand(title, (*_DNF, "install", *names))
