"""What comes and goes with the driver's packages: headers, persistence daemon, packages that stand in the way."""

from __future__ import annotations

import re
from collections.abc import Mapping

from ansible_collections.baremetal.vllm.plugins.module_utils.drivers.nvidia import offers, versions
from ansible_collections.baremetal.vllm.plugins.module_utils.drivers.nvidia.model import (
    DriverState,
    Offer,
    WantedDriver,
)
from ansible_collections.baremetal.vllm.plugins.plugin_utils.drivers.nvidia import candidates, hardware, refusals
from ansible_collections.baremetal.vllm.plugins.plugin_utils.drivers.nvidia.candidates import (
    Candidate,
    PackageWay,
    Shelf,
)
from ansible_collections.baremetal.vllm.plugins.plugin_utils.drivers.nvidia.systems import SystemRelease
from ansible_collections.baremetal.vllm.plugins.plugin_utils.gpus.finding import Finding

# What the fabric manager of NVLink 5 switches starts and calls (`nvlink5` of data/drivers.yml), by the packages that bring it.
SUBNET_MANAGER, IBSTAT = "nvlsm", "infiniband-diags"
SUBNET = (SUBNET_MANAGER, IBSTAT)
PERSISTENCE = re.compile(r"nvidia-persistenced$|nvidia-compute-utils-")
_PARTS = {candidates.FABRIC: re.compile(r"nvidia-fabric-?manager"), candidates.IMEX: re.compile(r"nvidia-imex")}


def installed(version: str, build: str, state: DriverState, release: SystemRelease) -> dict[str, str]:
    """The installed packages that a resolution to `version` names: those of the set that is there whole, with its
    companions; where no set is (a desktop's meta package), all of the driver's packages in that version."""
    number = versions.branch(version)
    for sets in release.sets.values():
        for packages in sets:
            for kind in packages.modules:
                if build not in packages.modules[kind]:
                    continue
                way = PackageWay(packages, kind, build, number)
                required, optional = candidates.names(way, state, release)
                chosen = [_present(name.replace("{version}", version), state) for name in required]
                if packages.first <= int(number) < packages.below and all(chosen):
                    daemon = [name.replace("{branch}", number) for name in packages.persistence]
                    subnet = packages.nvlink5 if hardware.has_nvlink5(state.gpus, state.switches) else ()
                    listed = (*optional, *daemon, *subnet)
                    more = [_present(name.replace("{version}", version), state) for name in listed]
                    return {name: state.packages[name] for name in (*chosen, *more) if name}
    own = {name: full for name, full in state.packages.items() if offers.belongs(name, full)}
    return {
        name: full for name, full in own.items() if versions.driver(full) in (version, "") or PERSISTENCE.match(name)
    }


def lacking(version: str, packages: Mapping[str, str], state: DriverState) -> bool:
    """Whether anything is not among the packages that this host's NVLink needs: a fabric manager or IMEX in the driver's version,
    what NVLink 5 switches want besides."""
    parts = (_PARTS[part] for part in candidates.needed(state))
    own = [name for name, full in packages.items() if versions.driver(full) == version]
    subnet = hardware.has_nvlink5(state.gpus, state.switches) and not set(SUBNET) <= set(packages)
    return subnet or not all(any(map(part.match, own)) for part in parts)


def subnet(
    way: PackageWay, state: DriverState, on: Shelf, wanted: WantedDriver, release: SystemRelease
) -> tuple[dict[str, str], list[Finding]]:
    """What the fabric manager of NVLink 5 switches wants besides: what is installed stays, but for an upgrade; or a refusal."""
    if not hardware.has_nvlink5(state.gpus, state.switches):
        return {}, []
    packages, refused = {}, []
    for name in way.packages.nvlink5:
        full = "" if wanted.upgrade else state.packages.get(name, "")
        full = full or on.newest.get(name) or state.packages.get(name, "")
        if full:
            packages[name] = full
        else:
            refused.append(refusals.subnet(name, wanted, release))
    return packages, refused


def _present(alternatives: str, state: DriverState) -> str:
    return next((name for name in alternatives.split(" | ") if name in state.packages), "")


def support(
    way: PackageWay, state: DriverState, release: SystemRelease, on: Shelf
) -> tuple[dict[str, str], list[Finding], list[str]]:
    """Headers for the kernels that have none, and what follows later kernels; refusals; kernels that stay without."""
    tools = [
        name for name in way.packages.tools if name not in on.newest and not state.dkms and name not in state.packages
    ]
    if tools:
        return {}, [refusals.tools(tools[0], release)], []
    first = state.next_kernel or state.running
    offered: dict[str, list[Offer]] = {}
    for offer in state.offers or ():
        offered.setdefault(offer.name, []).append(offer)
    packages: dict[str, str] = {}
    lacking = []
    for kernel in [kernel.release for kernel in state.kernels if not kernel.headers]:
        name = way.packages.headers.replace("{kernel}", kernel)
        if release.family == "rhel":
            name = offers.devel(kernel)
        if release.family == "rhel" and name.rpartition(".")[0] in on.kernels:
            # Several versions of kernel-devel lie side by side: the name says which, as dnf takes it.
            packages[name] = ""
        elif release.family == "debian" and name in offered:
            packages[name] = versions.newest("debian", [offer.version for offer in offered[name]])
        elif kernel == first:
            return {}, [refusals.headers(kernel, name)], []
        else:
            lacking.append(kernel)
    meta = way.packages.headers_meta.replace("{flavour}", candidates.flavour(first, release))
    if release.family == "rhel":
        meta = " | ".join(offers.variants(name, first.partition("+")[2]) for name in meta.split(" | "))
    # Headers that came by their kernel's name (linux-headers-$(uname -r)) are followed by none for the next kernel. What is
    # there and works is left as it is.
    alone = release.family == "debian" and not any(name in state.packages for name in meta.split(" | "))
    if packages or (alone and not state.userspace):
        # From where the kernel came: a kernel of the backports is followed by the headers of the backports.
        origins = {offer.origin for name in packages for offer in offered.get(name, ())}
        same = {
            name: [offer.version for offer in offered.get(name, ()) if offer.origin in origins]
            for name in meta.split(" | ")
        }
        for name, fulls in same.items():
            full = versions.newest(release.family, fulls) if fulls else on.newest.get(name)
            if full:
                packages[name] = full
                break
    return packages, [], lacking


def persistence(best: Candidate, state: DriverState, on: Shelf) -> dict[str, str]:
    """The daemon in the driver's version, else the installed one, else the newest before: distributions let it lag behind.

    A newer one than the driver asks for newer libraries.
    """
    for name in (name.replace("{branch}", best.way.branch) for name in best.way.packages.persistence):
        known = on.driver.get(name, {})
        older = [version for version in known if versions.numbers(version) <= versions.numbers(best.version)]
        full = known.get(best.version) or state.packages.get(name)
        if full or older:
            return {name: full or known[max(older, key=versions.numbers)]}
    return {}


def along(best: Candidate, state: DriverState, on: Shelf) -> dict[str, str]:
    """An installed fabric manager and IMEX in the driver's version, else as they are: where nothing else asks for them."""
    listed = {candidates.FABRIC: best.way.packages.fabric, candidates.IMEX: best.way.packages.imex}
    names = [
        _present(each.replace("{branch}", best.way.branch), state)
        for part, alternatives in listed.items()
        if not any(map(_PARTS[part].match, best.packages))
        for each in alternatives
    ]
    return {name: on.driver.get(name, {}).get(best.version) or state.packages[name] for name in names if name}


def in_the_way(
    way: PackageWay, packages: dict[str, str], state: DriverState, release: SystemRelease
) -> tuple[str, ...]:
    """Installed packages of other modules or of another branch by name; those of the same way for old kernels stay."""
    own = {_pattern(name.replace("{branch}", way.branch)) for name in way.packages.modules[way.kind][way.build]}
    other = {
        _pattern(name)
        for sets in release.sets.values()
        for each in sets
        for name in (
            *(name for builds in each.modules.values() for names in builds.values() for name in names),
            *(
                name
                for name in (*each.userspace, *each.firmware, *each.fabric, *each.imex, *each.persistence)
                if "{branch}" in name
            ),
        )
    }
    chosen = {_pattern(n.replace("{branch}", way.branch)) for n in (*way.packages.userspace, *way.packages.firmware)}
    rest = (*way.packages.fabric, *way.packages.imex, *way.packages.persistence)
    chosen |= {_pattern(n.replace("{branch}", way.branch)) for n in rest}
    return tuple(
        sorted(
            name
            for name in state.packages
            if name not in packages
            and any(re.fullmatch(pattern, name) for pattern in other)
            and not any(re.fullmatch(pattern, name) for pattern in own | chosen)
        )
    )


def _pattern(template: str) -> str:
    """A regular expression of "nvidia-dkms-{branch}-open | …" with whatever branch, version and kernel."""
    words = {
        "{branch}": r"\d{3}",
        "{version}": r"\d{3}[.\d]+",
        "{kernel}": r"\d.*",
        "{abi}": ".*",
        "{flavour}": "(?!open)[a-z].*",
    }
    alternatives = []
    for name in template.split(" | "):
        parts = re.split(r"(\{\w+\})", name)
        alternatives.append("".join(words.get(part, re.escape(part)) for part in parts))
    return "|".join(alternatives)
