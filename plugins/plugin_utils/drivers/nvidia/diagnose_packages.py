"""Faults of what is installed: nothing, the wrong version, several versions, half of it, and what may move tomorrow."""

from __future__ import annotations

import re
from collections.abc import Iterator

from ansible_collections.baremetal.vllm.plugins.module_utils.drivers.nvidia import look, offers, versions
from ansible_collections.baremetal.vllm.plugins.plugin_utils.drivers.nvidia import hardware
from ansible_collections.baremetal.vllm.plugins.plugin_utils.drivers.nvidia.diagnose_case import Case, plural, some
from ansible_collections.baremetal.vllm.plugins.plugin_utils.gpus.finding import Finding

# They work with any version of the driver, are judged by name (the fabric manager), or lie side by side (Ubuntu's firmware
# has its version in its name, and the last one stays until autoremove).
_APART = re.compile(
    r"nvidia-(persistenced|settings|xconfig|modprobe|imex|fabric-?manager|firmware-\d.*-\d)|libxnvctrl|libnvsdm|nvidia-lib"
)
# Drivers of virtual GPUs: https://docs.nvidia.com/vgpu/latest/ "Installing the NVIDIA vGPU Software Graphics Driver".
_VIRTUAL = re.compile(r"nvidia-(linux-)?(grid|vgpu)-")


def runfile(case: Case) -> Iterator[Finding]:
    """The driver came from NVIDIA's .run file, beside which no package can be managed."""
    if case.state.runfile:
        version = "" if case.state.runfile == "unknown" else f" {case.state.runfile}"
        yield Finding(
            "runfile",
            f"driver{version} was installed here by NVIDIA's .run file: packages and it overwrite each other",
            "Drain the host, run `nvidia-uninstall --silent` on it, and run the playbook again; to keep it, write "
            "nvidia_driver_manage: false",
        )


def virtual_gpu(case: Case) -> Iterator[Finding]:
    """A driver of virtual GPUs: no other drives them, and none of the package sources here has it."""
    names = [name for name in case.state.packages if _VIRTUAL.match(name)]
    if names:
        yield Finding(
            "vgpu-driver",
            f"{some(names)} is installed, which drives virtual GPUs by a licence: the drivers of NVIDIA's and the "
            "distribution's package sources do not, and would replace it",
            "Write nvidia_driver_manage: false, and keep the version that the hypervisor's side asks for; or remove it, if these "
            "GPUs are whole ones",
        )


def broken(case: Case) -> Iterator[Finding]:
    """Packages are half installed: healed on Debian's relatives, left to a person where dnf would remove some."""
    if not case.state.broken:
        return
    said = f"half installed: {some(case.state.broken)}"
    if look.family(case.state.system) == "debian":
        yield Finding("packages-broken", said, "Their installation is finished (dpkg --configure -a)", "packages")
    else:
        # What dnf would take away here is for a person to judge.
        yield Finding(
            "packages-broken",
            said,
            "Look at what `dnf remove --duplicates` would remove, let it, and run the playbook again",
        )


def not_installed(case: Case) -> Iterator[Finding]:
    """There is no driver, neither on the disk nor in the kernel."""
    if not case.installed and case.state.loaded is None:
        which = case.resolution.version if case.resolution else "One of those that the package sources offer"
        yield Finding(
            "not-installed",
            f"no driver is installed for the {plural(len(case.gpus), 'GPU')} of this host",
            f"{which} is installed",
            "packages",
        )


def missing(case: Case) -> Iterator[Finding]:
    """Packages of a resolved driver are missing, or its nvidia-smi although they are all there."""
    if case.resolution is None or not case.installed:
        return
    lacking = sorted(set(case.resolution.packages) - set(case.state.packages))
    if lacking:
        yield Finding("packages-missing", f"not installed: {some(lacking)}", "They are installed", "packages")
    elif case.state.facts is None:
        yield Finding(
            "nvidia-smi-missing",
            "nvidia-smi is not on the host, although the packages that bring it are installed",
            "They are installed again",
            "packages",
        )


def other_version(case: Case) -> Iterator[Finding]:
    """Another version is installed than the resolved one, and will be exchanged."""
    if case.moving and case.resolution:
        yield Finding(
            "other-version",
            f"driver {case.installed} is installed, and {case.resolution.version} is to be"
            f"{f' ({case.resolution.why})' if case.resolution.why else ''}",
            f"{case.resolution.version} is installed in its place",
            "packages",
        )


def mixed(case: Case) -> Iterator[Finding]:
    """One driver in parts of several versions, as half an upgrade leaves it."""
    by_version: dict[str, list[str]] = {}
    for name, full in sorted(case.state.packages.items()):
        version = versions.driver(full)
        # The persistence daemon may lag behind, and is in a package of many names.
        chosen = case.resolution is not None and case.resolution.packages.get(name) == full
        if version and not _APART.match(name) and not (chosen and version != case.version):
            by_version.setdefault(version, []).append(name)
    if len(by_version) > 1:
        parts = (f"{version} of {some(names)}" for version, names in sorted(by_version.items()))
        wrong = {name for version, names in by_version.items() if version != case.version for name in names}
        # What no model needs (nscq, OpenGL) may be of another version: nothing here moves it, and nothing waits for it.
        ours = case.resolution is None or bool(wrong & {*case.resolution.packages, *case.resolution.remove})
        yield Finding(
            "packages-mixed",
            f"the driver's packages are of {len(by_version)} versions: {'; '.join(parts)}",
            f"All are brought to {case.version}"
            if ours
            else f"Bring {some(sorted(wrong))} to {case.version}, or remove it",
            "packages" if ours else "",
            fatal=ours,
        )


def firmware(case: Case) -> Iterator[Finding]:
    """A kernel that may boot next would find no GSP firmware of its module's version; fatal for open modules alone."""
    # The system processor came with Turing, as did open modules.
    if all(generation.open == "no" for generation in hardware.generations(case.gpus)):
        return
    for kernel in case.next:
        module = kernel.module
        if module and module.version not in case.state.firmware:
            there = f"there is {some(case.state.firmware)}" if case.state.firmware else "there is none"
            yield Finding(
                "firmware-missing",
                f"the GSP firmware {module.version} is missing below /lib/firmware/nvidia ({there})"
                + (", and the open modules do not work without" if module.open else ""),
                "The package that brings it is installed"
                if module.open
                else "Install the package that brings it: without it the CPU does what a GPU's own processor would do",
                "packages" if module.open else "",
                fatal=module.open,
            )
            return


def not_held(case: Case) -> Iterator[Finding]:
    """Upgrades may move packages of the driver, each by itself; told, and held."""
    if case.resolution is None:
        return
    loose = [
        name
        for name, full in sorted(case.state.packages.items())
        if name in case.resolution.packages
        and name not in case.resolution.unheld
        and name not in case.state.held
        and offers.belongs(name, full)
    ]
    if loose:
        yield Finding(
            "packages-not-held",
            f"unattended upgrades may move {some(loose)} away from the rest of the driver",
            "They are held",
            "hold",
            fatal=False,
        )


def files(case: Case) -> Iterator[Finding]:
    """Our files below /etc differ from what they must be; told, and written."""
    if case.state.files:
        yield Finding(
            "files-differ",
            f"not as they are to be: {some(case.state.files)}",
            "They are written",
            "files",
            fatal=False,
        )
