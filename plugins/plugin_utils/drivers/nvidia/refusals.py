"""Why no driver can be resolved, told with what is on offer instead."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from ansible_collections.baremetal.vllm.plugins.module_utils.drivers.nvidia import versions
from ansible_collections.baremetal.vllm.plugins.module_utils.drivers.nvidia.model import System, WantedDriver
from ansible_collections.baremetal.vllm.plugins.plugin_utils.drivers.nvidia import systems
from ansible_collections.baremetal.vllm.plugins.plugin_utils.drivers.nvidia.candidates import Missed, Shelf
from ansible_collections.baremetal.vllm.plugins.plugin_utils.drivers.nvidia.hardware import GpuGeneration
from ansible_collections.baremetal.vllm.plugins.plugin_utils.drivers.nvidia.systems import SystemRelease
from ansible_collections.baremetal.vllm.plugins.plugin_utils.gpus.finding import Finding

_SHOWN = 3


def system(found: System) -> Finding:
    """The host runs a system that no driver is installed on here."""
    return Finding(
        "system-unsupported",
        f"{found.name} {found.version} is not a system that this collection installs a driver on",
        f"Supported are {', '.join(systems.titles())} and their relatives (Rocky, AlmaLinux, CentOS Stream, Oracle); or write"
        " nvidia_driver_manage: false and install it yourself",
    )


def source(wanted: WantedDriver, release: SystemRelease) -> Finding:
    """The system's driver cannot come from the source asked for; the release knows why not."""
    return Finding(
        "source-unsupported",
        f"nvidia_driver_source is {wanted.source}, which {release.title} cannot be served from: {release.why_not[wanted.source]}",
        "Write nvidia_driver_source: vendor",
    )


def open_modules(old: GpuGeneration) -> Finding:
    """Open modules are asked for, and a GPU is too old for them; `old` is its generation."""
    return Finding(
        "open-unsupported",
        f"open modules are asked for, and this host has a GPU of the {old.name} generation, which they cannot drive: they begin"
        " with Turing",
        'Write nvidia_driver_modules: proprietary, or leave it "auto"',
    )


def proprietary_modules(new: GpuGeneration) -> Finding:
    """Proprietary modules are asked for, and a GPU is too new for them; `new` is its generation."""
    return Finding(
        "proprietary-unsupported",
        f"proprietary modules are asked for, and this host has a GPU ({new.name}) that only the open modules drive",
        'Write nvidia_driver_modules: open, or leave it "auto"',
    )


def mixed(old: GpuGeneration, new: GpuGeneration) -> Finding:
    """The host's GPUs need both kinds of modules, of which one alone can be loaded."""
    return Finding(
        "gpus-unmixable",
        f"no driver serves all GPUs of this host: {old.name} needs proprietary modules, {new.name} open ones",
        "Put them into different hosts",
    )


def branch(asked: str, generation: GpuGeneration) -> Finding:
    """The branch asked for (535) is outside those that drive this generation."""
    bound = f"{generation.last} is the last branch" if generation.last else f"{generation.first} is the first branch"
    end = generation.last or generation.first
    return Finding(
        "branch-unsupported",
        f"branch {asked} does not drive this host's GPU ({generation.name}): {bound} that does",
        f'Write nvidia_driver_version: "{end}"' + ("" if generation.last else " or newer"),
    )


def kind_of_branch(asked: str, kind: str) -> Finding:
    """The branch asked for has no modules of this kind: open or proprietary."""
    first, only = systems.open_branches()
    end = (
        f"proprietary modules ended before branch {only}" if kind == "proprietary" else f"open ones begin with {first}"
    )
    return Finding(
        "modules-unsupported",
        f"branch {asked} has no {kind} modules: {end}",
        'Leave nvidia_driver_modules "auto", or ask for another branch',
    )


def kind_of_set(kinds: Sequence[str], wanted: WantedDriver, release: SystemRelease, asked: str) -> Finding:
    """No set of the source has these modules in this build at all."""
    have = {
        f"{kind} modules ({' or '.join(builds)})"
        for packages in release.sets[wanted.source]
        for kind, builds in packages.modules.items()
    }
    build = "" if wanted.build == "auto" else f" of nvidia_driver_build {wanted.build}"
    return Finding(
        "modules-not-on-offer",
        f"{_from(wanted, release)} has no {' or '.join(kinds)} modules{build} of branch {asked}: it has {', '.join(sorted(have))}"
        f"{_ranges(wanted, release)}",
        "Write nvidia_driver_modules, nvidia_driver_build or nvidia_driver_version accordingly, or choose another"
        " nvidia_driver_source",
    )


def nothing(wanted: WantedDriver, release: SystemRelease) -> Finding:
    """The source has no package of a driver at all, which its lists or components explain."""
    hints = {
        "debian": "see that `apt-get update` succeeds on the host, and that contrib, non-free and non-free-firmware (Debian) or"
        " restricted and multiverse (Ubuntu) are among its components",
        "rhel": "see that `dnf repolist` names nvidia-driver on the host and that `dnf makecache` succeeds",
    }
    return Finding(
        "nothing-on-offer",
        f"{_from(wanted, release)} offers no package of the driver to this host",
        hints[release.family].capitalize(),
    )


def version(
    asked: str, missed: Sequence[Missed], known: Iterable[str], wanted: WantedDriver, release: SystemRelease, on: Shelf
) -> Finding:
    """No one version of all parts: told part by part where some of them are there, else with `known`, all there is."""
    number = versions.branch(asked)
    near = [miss for miss in missed if _has(miss, number)]
    if not near or any(miss.common for miss in near):
        return Finding(
            "version-not-on-offer",
            f"{'branch' if asked == number else 'version'} {asked} is not on offer from {_from(wanted, release)}: there is"
            f" {_summary(known) or 'no whole driver in any version'}",
            "Write one of them as nvidia_driver_version, or another nvidia_driver_source",
        )
    told = "; or ".join(dict.fromkeys(_parts(miss, number) for miss in near))
    streams = sorted(on.streams)
    return Finding(
        "no-common-version",
        f"no one version of {asked} has all of its parts at {_from(wanted, release)}: {told}"
        + (f". Streams of dnf there: {', '.join(streams)}" if streams else "")
        + (f". Whole there is {_summary(known)}" if _summary(known) else ""),
        "Write a nvidia_driver_version that all of them have, other nvidia_driver_modules, or another nvidia_driver_source",
    )


def headers(kernel: str, package: str) -> Finding:
    """Modules are to be built and `kernel`, which boots next, has no headers; `package` would bring them."""
    return Finding(
        "headers-not-on-offer",
        f"no module can be built for the kernel that boots next, {kernel}: {package} is not on offer",
        "Install a newer kernel and reboot into it (package sources keep the headers of current kernels only); of kernels whose"
        " headers have other names (proxmox-headers, kernel-uek-devel) install those yourself, then run again",
    )


def tools(package: str, release: SystemRelease) -> Finding:
    """What builds modules (dkms) is not on offer; the remedy depends on the family."""
    remedy = "See that the component main is among its package sources"
    if release.family == "rhel":
        remedy = f"It is in EPEL: install epel-release (https://dl.fedoraproject.org/pub/epel/epel-release-latest-{release.version}.noarch.rpm)"
    return Finding("tools-not-on-offer", f"the modules are built by {package}, and no package source offers it", remedy)


def subnet(package: str, wanted: WantedDriver, release: SystemRelease) -> Finding:
    """A package that NVLink 5 switches want, and no package source has."""
    if package == "nvlsm":
        remedy = "Write nvidia_driver_source: vendor (NVIDIA's repository has it)"
        if wanted.source == systems.VENDOR:
            where = "Add it to nvidia_driver_mirror" if wanted.mirror else "Install it on the host"
            remedy = f"{where}, from NVIDIA's repository for another release of the system"
        return Finding(
            "nvlsm-not-on-offer",
            f"the NVLink 5 switches of this host's GPUs are set up by nvlsm, which {_from(wanted, release)} does not offer: "
            "without it the fabric manager does not start, and no program can use a GPU (CUDA error 802)",
            f"{remedy}; whoever has installed it, it will do",
        )
    main = {"debian": "main (Debian) or universe (Ubuntu)", "rhel": "appstream"}[release.family]
    return Finding(
        f"{package}-not-on-offer",
        f"the fabric manager of NVLink 5 switches calls ibstat of {package}, and no package source offers it",
        f"See that {main} is among the host's package sources",
    )


def _from(wanted: WantedDriver, release: SystemRelease) -> str:
    if wanted.mirror:
        return f"{wanted.mirror} (for {release.title})"
    return f"NVIDIA's repository for {release.title}" if wanted.source == "vendor" else f"{release.title} itself"


def _has(miss: Missed, number: str) -> bool:
    """Whether any part is there in this branch."""
    return any(versions.branch(v) == number for part in miss.parts.values() for found in part.values() for v in found)


def _parts(miss: Missed, number: str) -> str:
    """ "open modules (dkms): kernel modules nvidia-open-kernel-dkms 535.261.03, userspace libcuda1 535.309.01, firmware …"."""
    told = []
    for part, packages in miss.parts.items():
        for name, found in packages.items():
            fitting = _sorted(v for v in found if versions.branch(v) == number)
            told.append(f"{part} {name} {' '.join(fitting[:_SHOWN]) or 'none'}")
    return f"with {miss.way.kind} modules ({miss.way.build}): {', '.join(told)}"


def _summary(known: Iterable[str]) -> str:
    """ "535 (535.309.01, 535.261.03), 580 (580.178.04)": the newest of each branch."""
    branches: dict[str, list[str]] = {}
    for one in _sorted(known):
        branches.setdefault(versions.branch(one), []).append(one)
    return ", ".join(f"{number} ({', '.join(found[:_SHOWN])})" for number, found in sorted(branches.items()))


def _sorted(found: Iterable[str]) -> list[str]:
    return sorted(found, key=versions.numbers, reverse=True)


def _ranges(wanted: WantedDriver, release: SystemRelease) -> str:
    firsts = [packages.first for packages in release.sets[wanted.source]]
    return f", from branch {min(firsts)} on" if min(firsts) else ""
