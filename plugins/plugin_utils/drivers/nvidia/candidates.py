"""One way to get the driver (a set of packages, a kind of modules, a way to build them): can it be had in one version?"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from ansible_collections.baremetal.vllm.plugins.module_utils.drivers.nvidia import offers, versions
from ansible_collections.baremetal.vllm.plugins.module_utils.drivers.nvidia.model import DriverState, Offer
from ansible_collections.baremetal.vllm.plugins.plugin_utils.drivers.nvidia import hardware, repository, systems
from ansible_collections.baremetal.vllm.plugins.plugin_utils.drivers.nvidia.systems import PackageSet, SystemRelease

# Suites that a system takes nothing from by itself; headers of a kernel that came from there are looked for by name.
_BESIDE = re.compile(r"-(backports|proposed)/")
MODULES, USERSPACE, FIRMWARE, FABRIC, IMEX = "kernel modules", "userspace", "firmware", "fabric manager", "IMEX"


@dataclass(frozen=True)
class PackageWay:
    """A set of packages for a branch, its modules of a kind (open, proprietary) from a build (prebuilt, dkms)."""

    packages: PackageSet
    kind: str
    build: str
    branch: str


@dataclass(frozen=True)
class Shelf:
    """All that can be had: full versions by name and by the driver's version, and the newest of a name of any version."""

    driver: Mapping[str, Mapping[str, str]]
    newest: Mapping[str, str]
    kernels: frozenset[str]
    streams: frozenset[str]

    def having(self, alternatives: str, version: str) -> tuple[str, str]:
        """Name and full version of the first of "a | b" that comes in the driver's version; ("", "") where none does."""
        for name in alternatives.replace("{version}", version).split(" | "):
            full = self.driver.get(name, {}).get(version)
            if full:
                return name, full
        return "", ""

    def versions(self, alternatives: str) -> set[str]:
        """The driver's versions that any of "a | b" comes in."""
        if "{version}" in alternatives:
            every = {version for known in self.driver.values() for version in known}
            return {version for version in every if self.having(alternatives, version)[0]}
        return {version for name in alternatives.split(" | ") for version in self.driver.get(name, ())}


@dataclass(frozen=True)
class Candidate:
    """`version` is the one that all of `packages` come in; `optional` came along where it was to be had."""

    way: PackageWay
    version: str
    packages: Mapping[str, str]
    optional: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Missed:
    """`parts` tells by part of the driver which versions of which packages there are, `common` those that all have."""

    way: PackageWay
    parts: Mapping[str, Mapping[str, frozenset[str]]]
    common: frozenset[str]


def shelf(state: DriverState, family: str, distribution: bool, beside: bool = False) -> Shelf:
    """What is on offer from the chosen source, and what is installed already, which need not be on offer any more.

    `beside` is for the distribution's own where another source is the one that was set up.
    """
    given = [offer for offer in state.offers or () if not _BESIDE.search(offer.origin)]
    support = [offer for offer in given if offers.supports(offer.name)]
    chosen = [offer for offer in given if repository.ours(offer)]
    if beside or not chosen:
        others = [offer for offer in given if not repository.ours(offer)]
        chosen = [offer for offer in others if not (distribution and "developer.download.nvidia.com" in offer.origin)]
    installed = [Offer(name, version, "", _carried(state, name)) for name, version in state.packages.items()]
    driver: dict[str, dict[str, list[str]]] = {}
    for offer in [*chosen, *installed]:
        version = offer.driver or versions.driver(offer.version)
        if version:
            driver.setdefault(offer.name, {}).setdefault(version, []).append(offer.version)
    every: dict[str, list[str]] = {}
    for offer in [*support, *chosen]:
        every.setdefault(offer.name, []).append(offer.version)
    return Shelf(
        driver={
            name: {version: versions.newest(family, fulls) for version, fulls in known.items()}
            for name, known in driver.items()
        },
        newest={name: versions.newest(family, fulls) for name, fulls in every.items()},
        # Every version of kernel-devel (kernel-64k-devel) stands for a kernel.
        kernels=frozenset(f"{offer.name}-{offer.version}" for offer in support if offer.name.endswith("-devel")),
        streams=frozenset(offer.name for offer in given if offer.name.startswith(f"{offers.MODULE}:")),
    )


def needed(state: DriverState) -> tuple[str, ...]:
    """The parts that only some hosts need, and this one does: FABRIC, IMEX."""
    fabric = hardware.needs_fabric_manager(state.gpus, state.switches)
    imex = hardware.needs_imex(state.gpus, state.system.arch)
    return (*((FABRIC,) if fabric else ()), *((IMEX,) if imex else ()))


def common(way: PackageWay, state: DriverState, release: SystemRelease, on: Shelf) -> set[str]:
    """The versions of the branch that all parts come in."""
    required, __ = _parts(way, state, release, needed(state))
    stream = way.packages.stream(way.kind, way.build).format(branch=way.branch)
    if on.streams and stream and stream not in on.streams:
        return set()
    every = set.intersection(*(on.versions(names) for part in required.values() for names in part))
    return {version for version in every if versions.branch(version) == way.branch}


def evaluate(
    way: PackageWay, state: DriverState, release: SystemRelease, on: Shelf, exact: str, keep: str
) -> Candidate | Missed:
    """The version that all parts come in: `exact`, else `keep` where it is one of them, else the newest."""
    required, optional = _parts(way, state, release, needed(state))
    shared = common(way, state, release, on)
    fitting = {version for version in shared if exact in ("", version)}
    if not fitting:
        parts = {
            part: {names.replace("-{version}", ""): frozenset(on.versions(names)) for names in part_names}
            for part, part_names in required.items()
        }
        return Missed(way, parts, frozenset(shared))
    version = keep if keep in fitting else max(fitting, key=versions.numbers)
    packages = dict(on.having(names, version) for part in required.values() for names in part)
    along = dict(on.having(names, version) for names in optional)
    along.pop("", None)
    return Candidate(way, version, packages, along)


def names(way: PackageWay, state: DriverState, release: SystemRelease) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The packages of a way that must be there, and those that may; fabric manager and IMEX among the latter."""
    required, optional = _parts(way, state, release, ())
    listed = tuple(name for part in required.values() for name in part)
    return listed, (*optional, *(_named(name, way.branch) for name in (*way.packages.fabric, *way.packages.imex)))


def flavour(kernel: str, release: SystemRelease) -> str:
    """As the meta packages call it: Ubuntu's newer kernels are generic-hwe-24.04 where the release's own is generic."""
    base = offers.flavour(kernel)
    if release.kernel and base == "generic" and _numbers(kernel) > _numbers(release.kernel):
        return f"{base}-hwe-{release.version}"
    return base


def _parts(
    way: PackageWay, state: DriverState, release: SystemRelease, needs: Sequence[str]
) -> tuple[dict[str, tuple[str, ...]], tuple[str, ...]]:
    """Names by part, and optional names: modules of the kernels that do not boot next, and what follows later kernels."""
    first = state.next_kernel or state.running
    others = [kernel.release for kernel in state.kernels if kernel.release != first]
    modules, optional = [], []
    for name in way.packages.modules[way.kind][way.build]:
        if "{flavour}" in name:
            optional.append(_named(name, way.branch, first, flavour(first, release)))
        elif "{kernel}" in name or "{abi}" in name:
            modules.append(_named(name, way.branch, first))
            optional += [_named(name, way.branch, kernel) for kernel in others]
        else:
            modules.append(_named(name, way.branch))
    parts = {
        MODULES: tuple(modules),
        USERSPACE: tuple(_named(name, way.branch) for name in way.packages.userspace),
        FIRMWARE: tuple(_named(name, way.branch) for name in way.packages.firmware),
    }
    for part, listed, usual in (
        (FABRIC, way.packages.fabric, "nvidia-fabricmanager"),
        (IMEX, way.packages.imex, "nvidia-imex"),
    ):
        if part in needs:
            # A source without any cannot serve such a host, and says so.
            parts[part] = tuple(_named(name, way.branch) for name in listed) or (usual,)
    return parts, tuple(optional)


def _named(name: str, branch: str, kernel: str = "", meta: str = "") -> str:
    # None is prebuilt for a variant (+64k, +rt): the name of its release would find that of the plain kernel.
    abi = kernel if "+" in kernel else kernel.split(".el")[0]
    for word, value in (("{branch}", branch), ("{kernel}", kernel), ("{abi}", abi), ("{flavour}", meta)):
        name = name.replace(word, value)
    return name


def _carried(state: DriverState, name: str) -> str:
    """The driver's version in installed prebuilt modules, whose own version is a kernel's: that of the module they brought."""
    if not name.startswith("linux-modules-nvidia-"):
        return ""
    for kernel in state.kernels:
        if kernel.module is not None and name.endswith(f"-{kernel.release}"):
            return kernel.module.version
    return ""


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split("-")[0].split(".")[:2])


def builds(package_set: PackageSet, kind: str, wanted: str) -> Iterable[str]:
    """The builds to try, prebuilt first: they are signed, and need no compiler."""
    known = package_set.modules.get(kind, {})
    return [build for build in (systems.PREBUILT, systems.DKMS) if build in known and wanted in ("auto", build)]
