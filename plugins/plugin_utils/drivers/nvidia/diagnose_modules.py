"""Faults of the kernel modules: what is loaded, and what every installed kernel would load."""

from __future__ import annotations

from collections.abc import Iterator

from ansible_collections.baremetal.vllm.plugins.module_utils.drivers.nvidia.model import Kernel
from ansible_collections.baremetal.vllm.plugins.plugin_utils.drivers.nvidia.diagnose_case import REBOOT, Case, some
from ansible_collections.baremetal.vllm.plugins.plugin_utils.gpus.finding import Finding

_STEPS = {
    "load": "The module is loaded anew, after what runs on the GPUs was drained",
    "reboot": f"A reboot brings the right one; {REBOOT}",
    "modules": "The module is built, and loaded then",
}
_NAMES = {True: "open", False: "proprietary"}


def mismatch(case: Case) -> Iterator[Finding]:
    """The loaded module and the libraries are of two versions; the healing is what gets the libraries' one loaded."""
    loaded, libraries = case.state.loaded, case.state.userspace
    if loaded is None or not libraries or loaded.version == libraries:
        return
    heal = case.bring(libraries)
    yield Finding(
        "version-mismatch",
        f"the loaded module is {loaded.version} and the libraries are {libraries}: no program that starts now can use a GPU",
        _STEPS[heal],
        heal,
    )


def not_loaded(case: Case) -> Iterator[Finding]:
    """The running kernel has a module, and it is not loaded."""
    if case.state.loaded is not None or case.running is None or case.running.module is None:
        return
    module = case.running.module
    yield Finding(
        "module-not-loaded",
        f"the nvidia module {module.version} is there for the running kernel and is not loaded{case.said}{case.guest}",
        _STEPS["load"],
        "load",
    )


def without_module(case: Case) -> Iterator[Finding]:
    """Kernels that would come up without a driver."""
    if not case.installed:
        return
    lacking = [kernel for kernel in case.state.kernels if kernel.module is None]
    told = set()
    if case.running is None and case.state.loaded is None:
        heal = case.bring(case.installed)
        yield Finding(
            "module-missing-for-running-kernel",
            f"the running kernel {case.state.running} has no modules on the disk: it was removed while it runs{case.guest}",
            _STEPS[heal],
            heal,
        )
    for kernel in lacking:
        if kernel in case.next and case.state.next_kernel:
            told.add(kernel.release)
            yield Finding(
                "module-missing-for-next-kernel",
                f"{kernel.release} boots next and has no nvidia module ({_why(case, kernel)}): no GPU would come up with it",
                "The module is installed for it",
                "modules" if case.dkms else "packages",
            )
        elif kernel == case.running and case.state.loaded is None:
            told.add(kernel.release)
            heal = case.bring(case.installed)
            yield Finding(
                "module-missing-for-running-kernel",
                f"the running kernel {kernel.release} has no nvidia module ({_why(case, kernel)})",
                _STEPS[heal],
                heal,
            )
    others = [kernel.release for kernel in lacking if kernel.release not in told]
    if others:
        yield Finding(
            "module-missing-for-kernel",
            f"{some(others)} {'has' if len(others) == 1 else 'have'} no nvidia module: booted, the host would have no GPUs",
            "The module is installed for it where its headers are on offer; or remove kernels that are not needed",
            "modules" if case.dkms else "packages",
            # Where the host does not say what boots next, it may be any of them.
            fatal=not case.state.next_kernel,
        )


def _why(case: Case, kernel: Kernel) -> str:
    if not case.dkms:
        return "no package brings it"
    if not kernel.headers:
        return "its headers are not installed"
    return "DKMS has not built it" if case.state.dkms else "DKMS does not know the driver"


def other_version(case: Case) -> Iterator[Finding]:
    """Installed modules are of another version than the libraries; fatal only for a kernel that may boot next."""
    libraries = case.state.userspace
    if not libraries:
        return
    for fatal in (True, False):
        wrong = [
            (kernel, kernel.module)
            for kernel in case.state.kernels
            if kernel.module and kernel.module.version != libraries and (kernel in case.next) is fatal
        ]
        if wrong:
            built = all("/updates/" in module.path or "/extra/" in module.path for __, module in wrong)
            yield Finding(
                "module-other-version-for-kernel",
                f"the libraries are {libraries}, and the module of "
                + some(f"{kernel.release} is {module.version}" for kernel, module in wrong),
                f"The module {libraries} is installed for it",
                "modules" if built and case.dkms else "packages",
                fatal=fatal,
            )


def headers(case: Case) -> Iterator[Finding]:
    """Kernels whose module is missing or old lack the headers for it; fatal where one boots next without a module."""
    if not case.dkms:
        return
    wanted = case.version
    lacking = [k for k in case.state.kernels if not k.headers and (k.module is None or k.module.version != wanted)]
    if lacking:
        yield Finding(
            "headers-missing",
            f"DKMS cannot build for {some(kernel.release for kernel in lacking)}: without its headers",
            "The headers are installed where they are on offer; else boot and keep a kernel whose headers are",
            "packages",
            fatal=any(kernel in case.next and kernel.module is None for kernel in lacking),
        )


def dkms(case: Case) -> Iterator[Finding]:
    """A module that DKMS knows and has not brought to a kernel with headers."""
    entries = [entry for entry in case.state.dkms if entry.version == case.installed or entry.state == "broken"]
    for name, version in dict.fromkeys((entry.name, entry.version) for entry in entries):
        own = [entry for entry in entries if (entry.name, entry.version) == (name, version)]
        done = {entry.kernel for entry in own if entry.state == "installed"}
        undone = [kernel for kernel in case.state.kernels if kernel.headers and kernel.release not in done]
        # Of a module that lies there without DKMS' doing (a prebuilt one) nothing is amiss, nor of another version's remains.
        undone = [k for k in undone if version == case.installed and (k.module is None or k.module.version != version)]
        broken = any(entry.state == "broken" for entry in own)
        if broken and version != case.version:
            yield Finding(
                "dkms-broken",
                f"DKMS has remains of {name}/{version}, whose source is gone",
                f"Remove them: `dkms remove {name}/{version} --all` on the host, or /var/lib/dkms/{name}/{version}",
                fatal=False,
            )
        elif undone or broken:
            yield Finding(
                "dkms-broken",
                f"DKMS has {name}/{version}, which is not installed for {some(k.release for k in undone) or 'any kernel'}",
                f"It is built again; the reason of a failed build is in /var/lib/dkms/{name}/{version}/build/make.log",
                "modules",
                fatal=any(kernel in case.next for kernel in undone),
            )


def other_kind(case: Case) -> Iterator[Finding]:
    """Open modules where proprietary ones are to be, and the other way round."""
    if case.resolution is None:
        return
    wanted = case.resolution.modules
    wrong = [k.release for k in case.next if k.module and _NAMES[k.module.open] != wanted]
    if wrong:
        yield Finding(
            "other-modules",
            f"the {wanted} modules are wanted, and the others are installed for {some(wrong)}",
            f"The {wanted} ones are installed in their place",
            "packages",
        )
    elif case.consistent and case.state.loaded and _NAMES[case.state.loaded.open] != wanted and not case.moving:
        heal = case.bring(case.version)
        yield Finding(
            "other-modules",
            f"the {wanted} modules are installed, and the others are still loaded",
            _STEPS[heal],
            heal,
        )
