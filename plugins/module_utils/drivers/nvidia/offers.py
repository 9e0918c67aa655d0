"""Which packages of the driver a host's package sources offer, and which installed ones belong to it; runs on the host.

Sources: apt-cache(8) "madison", "show", "pkgnames"; dnf-plugins-core, dnf repoquery (`--qf`, `--disable-modular-filtering`).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Callable

from ansible_collections.baremetal.vllm.plugins.module_utils.drivers.nvidia import versions
from ansible_collections.baremetal.vllm.plugins.module_utils.drivers.nvidia.model import Offer

Run = Callable[[Sequence[str]], tuple[int, str, str]]

# Every package of the driver, in the names of all sources; what is not of the driver (nvidia-container-toolkit 1.18,
# nvidia-cuda-toolkit 12.4) is told apart by its version.
_DRIVER = re.compile(
    # RPM Fusion's (akmod-nvidia, xorg-x11-drv-nvidia-cuda-libs) and negativo17's (dkms-nvidia) bring a whole driver, too.
    r"(lib|a?kmod-|dkms-|firmware-|xserver-xorg-video-|xorg-x11-(drv-)?)?nvidia|cuda-drivers|"
    r"lib(cuda1|cudadebugger1|nvcuvid1|nvoptix1|nvsdm|xnvctrl|egl-nvidia|gl1-nvidia|gles-nvidia|glx-nvidia)|dnf-plugin-nvidia"
)
_SUPPORT = re.compile(r"dkms|linux-headers-\S+|kernel(-\w+)?-devel\S*|nvlsm|infiniband-diags")
# Of all those, what a set in data/drivers.yml may name, without branches that no GPU of a fleet needs any more.
_BRANCH = r"(4[7-9]|[5-9]\d)\d"
_ASKED = re.compile(
    rf"nvidia-(kernel(-open)?-dkms|open-kernel-dkms|driver-cuda|fabricmanager(-{_BRANCH})?|persistenced|smi|firmware|"
    rf"kernel-common-{_BRANCH}(-server)?|dkms(-{_BRANCH})?(-server)?(-open)?|(compute-)?utils-{_BRANCH}(-server)?)|"
    rf"nvlsm|infiniband-diags|nvidia-imex(-{_BRANCH})?|"
    rf"libcuda1|libnvidia-(ml1|cfg1|compute(-{_BRANCH}(-server)?)?)|firmware-nvidia-gsp|dkms"
)
_PREBUILT = "linux-modules-nvidia-"
# NVIDIA's packages for RHEL 8 and 9 are a module of dnf, with a stream for each branch.
MODULE = "nvidia-driver"
_RPM_ASKED = (
    *(
        "kmod-nvidia*",
        "nvidia-open-kmod",
        "nvidia-driver-cuda",
        "nvidia-driver-cuda-libs",
        "libnvidia-ml",
        "nvidia-driver-NVML",
    ),
    *("nvidia-kmod-common", "nvidia-fabricmanager", "nvidia-fabric-manager", "nvidia-persistenced", "dkms"),
    *("nvlsm", "infiniband-diags", "nvidia-imex*"),
    *("kernel-devel", "kernel-devel-matched", "kernel-64k-devel", "kernel-64k-devel-matched"),
    *("kernel-rt-devel", "kernel-rt-devel-matched"),
)
_RPM_PREBUILT = re.compile(r"kmod-nvidia-\d{3}\.")
# The prebuilt modules want their own driver's files beside them: "nvidia-kernel-common-580-server (>= 580.178.04)".
_WANTS = re.compile(r"nvidia-kernel-common-\S+ \(>= ([^)]+)\)")


def belongs(name: str, version: str) -> bool:
    """Whether an installed package is a part of the driver."""
    if name.startswith(_PREBUILT):
        # linux-modules-nvidia-580-server-open-…; linux-modules-nvidia-fs-… is for storage, and of no branch.
        return name[len(_PREBUILT) :][:1].isdigit()
    # The subnet manager of NVLink 5 switches has dates for versions.
    return name == "nvlsm" or (bool(_DRIVER.match(name)) and versions.driver(version) != "")


def supports(name: str) -> bool:
    """Whether an installed package is what the driver wants besides, in a version of its own: DKMS, headers, NVLink 5's tools."""
    return bool(_SUPPORT.fullmatch(name))


def flavour(kernel: str) -> str:
    """What the meta packages of a kernel end in: "generic" of 6.8.0-151-generic, "cloud-amd64" of 6.1.0-56-cloud-amd64."""
    match = re.search(r"-([a-z].*)$", kernel)
    return match[1] if match else ""


def devel(kernel: str, package: str = "kernel-devel") -> str:
    """What RHEL's packages of headers are called for a kernel's release: those of a variant have its name in theirs.

    >>> devel("5.14.0-687.54.1.el9_8.aarch64+64k"), devel("5.14.0-687.54.1.el9_8.x86_64", "kernel-devel-matched")
    ('kernel-64k-devel-5.14.0-687.54.1.el9_8.aarch64', 'kernel-devel-matched-5.14.0-687.54.1.el9_8.x86_64')
    """
    release, __, variant = kernel.partition("+")
    return f"{variants(package, variant)}-{release}"


def variants(package: str, variant: str) -> str:
    """A package of a kernel's for a variant of it: kernel-devel-matched of "64k" is kernel-64k-devel-matched.

    Source: Red Hat Enterprise Linux 9, "Managing, monitoring, and updating the kernel": The 64k page size kernel.
    """
    return package.replace("kernel-", f"kernel-{variant}-", 1) if variant else package


def read(family: str, kernels: Iterable[str], run: Run) -> tuple[Offer, ...]:
    """Everything on offer that the driver may need on a host with these kernels.

    `run` gives exit status, output and errors of a command. Nothing where the package lists cannot be read.
    """
    return _apt(sorted(set(kernels)), run) if family == "debian" else _dnf(sorted(set(kernels)), run)


def madison(text: str) -> list[Offer]:
    """`apt-cache madison`: " nvidia-smi | 535.309.01-0+deb12u1 | http://… bookworm-security/non-free amd64 Packages"."""
    found = []
    for line in text.splitlines():
        columns = [column.strip() for column in line.split("|")]
        if len(columns) == 3 and columns[2].endswith("Packages"):
            found.append(Offer(columns[0], columns[1], columns[2].removesuffix("Packages").strip()))
    return found


def repoquery(text: str) -> list[Offer]:
    """`dnf repoquery` in the form asked for below; the epoch is left out where it is 0, as `dnf install` writes it."""
    found = []
    for line in text.splitlines():
        words = line.split()
        if len(words) == 3 and ":" in words[1]:
            found.append(Offer(words[0], words[1].removeprefix("0:"), words[2]))
    return found


def streams(text: str) -> list[Offer]:
    """`dnf module list`: "nvidia-driver 580-open default [d], …" as an offer of nvidia-driver:580-open, of no version."""
    found = [line.split() for line in text.splitlines() if line.startswith(f"{MODULE} ")]
    return [Offer(f"{MODULE}:{words[1]}", "") for words in found if len(words) > 1]


def carried(text: str) -> dict[tuple[str, str], str]:
    """Driver's version by name and version of prebuilt modules, from `apt-cache show`."""
    found = {}
    for stanza in text.split("\n\n"):
        fields = dict(
            line.split(": ", 1) for line in stanza.splitlines() if re.match(r"(Package|Version|Depends): ", line)
        )
        wants = _WANTS.search(fields.get("Depends", ""))
        if wants and "Package" in fields and "Version" in fields:
            found[fields["Package"], fields["Version"]] = versions.driver(wants[1])
    return found


def _apt(kernels: list[str], run: Run) -> tuple[Offer, ...]:
    status, text, __ = run(["apt-cache", "pkgnames"])
    if status != 0:
        return ()
    names = sorted(name for name in text.split() if _ASKED.fullmatch(name) or _for_kernels(name, kernels))
    if not names:
        return ()
    found = madison(run(["apt-cache", "madison", *names])[1])
    prebuilt = [name for name in names if name.startswith(_PREBUILT)]
    if prebuilt:
        drivers = carried(run(["apt-cache", "show", *prebuilt])[1])
        found = [replace(offer, driver=drivers.get((offer.name, offer.version), "")) for offer in found]
        # Ubuntu leaves names of ended branches behind, whose packages bring the next branch: they carry nothing.
        found = [offer for offer in found if offer.driver or not offer.name.startswith(_PREBUILT)]
    return _once(found)


def _for_kernels(name: str, kernels: list[str]) -> bool:
    """Headers and prebuilt modules of the installed kernels, and the meta packages that follow such kernels."""
    if not name.startswith(("linux-headers-", _PREBUILT)):
        return False
    meta = "|".join(sorted({re.escape(flavour(kernel)) for kernel in kernels}))
    prefix = re.compile(rf"linux-headers-|{_PREBUILT}{_BRANCH}-server-(open-)?")
    begin = prefix.match(name)
    return (begin is not None and name[begin.end() :] in kernels) or bool(
        re.fullmatch(rf"(linux-headers|linux-modules-nvidia-{_BRANCH}-server(-open)?)-({meta})(-hwe-[\d.]+)?", name)
    )


def _dnf(kernels: list[str], run: Run) -> tuple[Offer, ...]:
    form = "%{name} %{epoch}:%{version}-%{release} %{repoid}\n"
    # Streams that are not enabled are on offer too: choosing one is part of the resolution.
    argv = ["dnf", "-q", "repoquery", "--available", "--disable-modular-filtering", "--qf", form, *_RPM_ASKED]
    status, text, __ = run(argv)
    if status != 0:
        return ()
    # NVIDIA prebuilds thousands of modules: those of the installed kernels count ("5.14.0-687.54.1" of …el9_8.x86_64).
    ours = tuple(f"-{kernel.split('.el')[0]}" for kernel in kernels)
    found = [offer for offer in repoquery(text) if not _RPM_PREBUILT.match(offer.name) or offer.name.endswith(ours)]
    return _once([*found, *streams(run(["dnf", "-q", "module", "list", MODULE])[1])])


def _once(found: Iterable[Offer]) -> tuple[Offer, ...]:
    """Without those that another suite of the same source offers again."""
    return tuple({(offer.name, offer.version, offer.origin.partition(" ")[0]): offer for offer in found}.values())
