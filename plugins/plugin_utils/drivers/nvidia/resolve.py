"""The one version that module, userspace, firmware and fabric manager all come in, before anything is installed: pure.

Control node only. Which packages there are, by system and source: `data/drivers.yml`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from ansible_collections.baremetal.vllm.plugins.module_utils.drivers.nvidia import offers, versions
from ansible_collections.baremetal.vllm.plugins.module_utils.drivers.nvidia.model import (
    DriverState,
    Kernel,
    Module,
    Resolution,
    WantedDriver,
)
from ansible_collections.baremetal.vllm.plugins.plugin_utils.drivers.nvidia import (
    candidates,
    companions,
    hardware,
    refusals,
    systems,
)
from ansible_collections.baremetal.vllm.plugins.plugin_utils.drivers.nvidia.candidates import (
    Candidate,
    Missed,
    PackageWay,
    Shelf,
)
from ansible_collections.baremetal.vllm.plugins.plugin_utils.drivers.nvidia.systems import (
    DISTRIBUTION,
    DKMS,
    OPEN,
    PREBUILT,
    PROPRIETARY,
    SystemRelease,
)
from ansible_collections.baremetal.vllm.plugins.plugin_utils.gpus.finding import Finding


@dataclass(frozen=True)
class _Goal:
    """`exact` is the only version that will do, `keep` the installed one that is kept where it can be; `why` in words."""

    branch: str
    exact: str
    keep: str
    why: str


def resolve(wanted: WantedDriver, state: DriverState) -> Resolution | list[Finding]:
    """What to install so that `wanted` holds; or why it cannot, with what is on offer. `state.offers` must have been read."""
    release = systems.supported(state.system)
    if release is None:
        return [refusals.system(state.system)]
    if not release.sets[wanted.source]:
        return [refusals.source(wanted, release)]
    if _stays(wanted, state, release):
        kept = _from(replace(wanted, source=DISTRIBUTION), state, release, beside=True)
        if isinstance(kept, Resolution):
            return kept
    return _from(wanted, state, release)


def _stays(wanted: WantedDriver, state: DriverState, release: SystemRelease) -> bool:
    """Whether a driver of the distribution's is installed and will do: NVIDIA's source, the default, does not replace it."""
    version = state.userspace
    number = versions.branch(version)
    if wanted.source == DISTRIBUTION or wanted.upgrade or wanted.build != "auto" or not version:
        return False
    present = next((kernel.module for kernel in state.kernels if kernel.module is not None), None)
    if wanted.modules != "auto" and present is not None and present.open != (wanted.modules == OPEN):
        return False
    return wanted.version in ("", version, number) and any(
        all(
            versions.driver(state.packages.get(name.replace("{branch}", number), "")) == version
            for name in packages.userspace
        )
        for packages in release.sets[DISTRIBUTION]
    )


def _from(
    wanted: WantedDriver, state: DriverState, release: SystemRelease, beside: bool = False
) -> Resolution | list[Finding]:
    """The resolution from one source; `beside` where it is not the one that was set up."""
    goal = _goal(wanted, state, release)
    kinds, refused = _kinds(wanted, state, goal.branch)
    if refused:
        return refused
    on = candidates.shelf(state, release.family, wanted.source == DISTRIBUTION, beside)
    if not on.driver:
        return [refusals.nothing(wanted, release)]
    outcomes = [
        candidates.evaluate(way, state, release, on, goal.exact, goal.keep)
        for way in _ways(wanted, release, kinds, goal.branch)
    ]
    found = [outcome for outcome in outcomes if isinstance(outcome, Candidate)]
    missed = [outcome for outcome in outcomes if isinstance(outcome, Missed)]
    if not outcomes:
        return [refusals.kind_of_set(kinds, wanted, release, goal.branch)]
    if not found:
        known = _versions(wanted, state, release, kinds, on)
        return [refusals.version(goal.exact or goal.branch, missed, known, wanted, release, on)]
    return _resolution(_best(found, kinds, wanted, state), wanted, state, release, on, goal)


def _goal(wanted: WantedDriver, state: DriverState, release: SystemRelease) -> _Goal:
    present = state.userspace if state.packages else ""
    default = release.default[wanted.source]
    if not wanted.version:
        if not present:
            return _Goal(default, "", "", f"{default} is the default branch")
        branch, why = versions.branch(present), f"{present} is installed and no other asked for"
    else:
        branch, why = versions.branch(wanted.version), f"{wanted.version} is asked for"
        if wanted.version != branch:
            return _Goal(branch, wanted.version, "", why)
    keep = "" if wanted.upgrade else present
    return _Goal(branch, "", keep, why + (", the newest of its branch" if wanted.upgrade else ""))


def _kinds(wanted: WantedDriver, state: DriverState, branch: str) -> tuple[Sequence[str], list[Finding]]:
    """The kinds of modules to try, the preferred one first; or why none will do."""
    found = hardware.generations(state.gpus)
    refused = [
        refusals.branch(branch, each)
        for each in found
        if (each.last and int(branch) > each.last) or (each.first and int(branch) < each.first)
    ]
    old = [each for each in found if each.open == "no"]
    new = [each for each in found if each.open == "must"]
    first, only = systems.open_branches()
    branch_has = {OPEN: int(branch) >= first, PROPRIETARY: int(branch) < only}
    if old and new:
        refused.append(refusals.mixed(old[0], new[0]))
    elif wanted.modules == OPEN and old:
        refused.append(refusals.open_modules(old[0]))
    elif wanted.modules == PROPRIETARY and new:
        refused.append(refusals.proprietary_modules(new[0]))
    allowed = [kind for kind in (OPEN, PROPRIETARY) if wanted.modules in ("auto", kind)]
    allowed = [kind for kind in allowed if not (kind == OPEN and old) and not (kind == PROPRIETARY and new)]
    kinds = [kind for kind in allowed if branch_has[kind]]
    if not refused and not kinds:
        refused.append(refusals.kind_of_branch(branch, allowed[0]))
    return kinds, refused


def _ways(wanted: WantedDriver, release: SystemRelease, kinds: Sequence[str], branch: str) -> list[PackageWay]:
    return [
        PackageWay(packages, kind, build, branch)
        for packages in release.sets[wanted.source]
        if packages.first <= int(branch) < packages.below
        for kind in kinds
        for build in candidates.builds(packages, kind, wanted.build)
    ]


def _versions(
    wanted: WantedDriver, state: DriverState, release: SystemRelease, kinds: Sequence[str], on: Shelf
) -> set[str]:
    """Every version of every branch that could be had."""
    branches = {versions.branch(version) for known in on.driver.values() for version in known}
    ways = [way for branch in branches for way in _ways(wanted, release, kinds, branch)]
    return {version for way in ways for version in candidates.common(way, state, release, on)}


def _best(found: Sequence[Candidate], kinds: Sequence[str], wanted: WantedDriver, state: DriverState) -> Candidate:
    """The first build of each kind; of these the installed kind where it is one, else the newer version, else open."""
    by_kind = {kind: next((each for each in found if each.way.kind == kind), None) for kind in kinds}
    present = next((kernel.module for kernel in state.kernels if kernel.module is not None), None)
    installed = by_kind.get(OPEN if present.open else PROPRIETARY) if present is not None else None
    if wanted.modules == "auto" and installed is not None:
        return installed
    return max(filter(None, by_kind.values()), key=lambda each: versions.numbers(each.version))


def _resolution(
    best: Candidate, wanted: WantedDriver, state: DriverState, release: SystemRelease, on: Shelf, goal: _Goal
) -> Resolution | list[Finding]:
    way = best.way
    followers = {name: full for name, full in best.packages.items() if name.startswith("linux-modules-")}
    packages, unheld = {**best.packages, **best.optional}, [*followers, *best.optional]
    notes = []
    if way.build == DKMS:
        support, refused, lacking = companions.support(way, state, release, on)
        if refused:
            return refused
        packages.update(support)
        unheld += support
        notes += [f"no headers are on offer for {', '.join(lacking)}, which then has no module"] if lacking else []
    subnet, refused = companions.subnet(way, state, on, wanted, release)
    if refused:
        return refused
    packages.update(subnet)
    unheld += [name for name in subnet if not offers.belongs(name, subnet[name])]
    # What is installed moves along, needed or not.
    packages.update({**companions.along(best, state, on), **packages})
    if wanted.persistence or any(companions.PERSISTENCE.match(name) for name in state.packages):
        daemon = companions.persistence(best, state, on)
        packages.update(daemon)
        notes += [] if daemon else ["no persistence daemon is on offer"]
    stream = way.packages.stream(way.kind, way.build).format(branch=way.branch)
    return Resolution(
        version=best.version,
        modules=way.kind,
        build=way.build,
        packages=packages,
        remove=companions.in_the_way(way, packages, state, release),
        stream=stream if stream in on.streams else "",
        why=". ".join([_why(best, wanted, goal), *notes]),
        unheld=tuple(unheld),
    )


def _why(best: Candidate, wanted: WantedDriver, goal: _Goal) -> str:
    asked = "as asked" if wanted.modules != "auto" else "chosen for this host's GPUs and what is on offer"
    return (
        f"{goal.why}: {best.version} is a version that kernel modules, userspace and firmware all come in;"
        f" {best.way.kind} modules ({asked}), {best.way.build}"
    )


def installed_meets(wanted: WantedDriver, state: DriverState) -> Resolution | None:
    """What is installed, as a resolution, where it is whole and what `wanted` asks for; None where offers must be read.

    What is loaded, held or running is not asked here. With `upgrade` only the offers tell.
    """
    release, module = systems.supported(state.system), _next_module(state)
    if release is None or module is None or wanted.upgrade or state.runfile or state.broken or not state.packages:
        return None
    version, kind = state.userspace, OPEN if module.open else PROPRIETARY
    build = DKMS if any(entry.version == version for entry in state.dkms) else PREBUILT
    whole = (
        module.version == version
        and wanted.version in ("", version, versions.branch(version))
        and wanted.build in ("auto", build)
        and kind in _kinds(wanted, state, versions.branch(version))[0]
        and (kind == PROPRIETARY or version in state.firmware)
        and (build == PREBUILT or all(_built(kernel, version) for kernel in state.kernels))
    )
    packages = companions.installed(version, build, state, release) if whole else {}
    lacks = (
        companions.lacking(version, packages, state)
        or (wanted.persistence and not any(companions.PERSISTENCE.match(name) for name in packages))
        or not packages
    )
    if not whole or lacks:
        return None
    return Resolution(
        version=version,
        modules=kind,
        build=build,
        packages=packages,
        why=f"{version} with {kind} modules ({build}) is installed, and meets {wanted.version or 'what is asked for'}",
        unheld=tuple(
            name for name in packages if name.startswith("linux-modules-") or not offers.belongs(name, packages[name])
        ),
    )


def _next_module(state: DriverState) -> Module | None:
    """The module of the kernel that boots next."""
    name = state.next_kernel or state.running
    return next((kernel.module for kernel in state.kernels if kernel.release == name), None)


def _built(kernel: Kernel, version: str) -> bool:
    """Whether a kernel has the module, or what it takes to build it."""
    return kernel.headers or (kernel.module is not None and kernel.module.version == version)
