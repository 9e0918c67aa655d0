"""Hosts to begin with: bare ones, and ones with a driver that somebody has installed before."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

from ansible_collections.baremetal.vllm.plugins.module_utils.drivers.nvidia import versions
from ansible_collections.baremetal.vllm.plugins.module_utils.drivers.nvidia.model import (
    Device,
    Offer,
    ServiceState,
    System,
)
from ansible_collections.baremetal.vllm.plugins.plugin_utils.drivers.nvidia import hardware, repository
from offered import read
from simulated_host import FABRIC, PERSISTENCE, STRICT, Disk, Failed, Host, part

H100, A100, V100, B200, GB200 = (
    Device("0000:1b:00.0", "10de", number, "030200") for number in ("2330", "20b5", "1db4", "2901", "2941")
)
# System, family, name of the recorded list, kernels from the oldest to the newest (the list is for the last).
SYSTEMS = {
    "debian 12": (
        System("debian", "12"),
        "debian",
        "debian12-vendor",
        ("6.1.0-40-amd64", "6.1.0-55-amd64", "6.1.0-56-amd64"),
    ),
    "ubuntu 24.04": (
        System("ubuntu", "24.04"),
        "debian",
        "ubuntu2404-vendor",
        ("6.8.0-100-generic", "6.8.0-150-generic", "6.8.0-151-generic"),
    ),
    "rocky 9": (
        System("rocky", "9.7"),
        "rhel",
        "rhel9-vendor",
        ("5.14.0-611.5.1.el9_7.x86_64", "5.14.0-686.1.1.el9_8.x86_64", "5.14.0-687.54.1.el9_8.x86_64"),
    ),
}
MODELS = ("vllm-chat.service", "vllm-embed.service")


@cache
def offers(name: str, headers: tuple[str, ...]) -> tuple[Offer, ...]:
    """The recorded list, with what Debian's libraries want besides, and with headers of these kernels only."""
    __, family, listed, kernels = SYSTEMS[name]
    known = [o for o in read(listed, family, [kernels[-1]]) if part(o.name) != "headers" and o.name != "kernel-devel"]
    known += [Offer(STRICT[o.name], o.version, o.origin) for o in known if family == "debian" and o.name in STRICT]
    for kernel in headers:
        if family == "debian":
            known.append(Offer(f"linux-headers-{kernel}", "1.0", "archive"))
        else:
            known.append(Offer("kernel-devel", kernel.rpartition(".")[0], "appstream"))
    return tuple(known)


def bare(name: str, gpus: tuple[Device, ...] = (H100, H100), kernels: int = 1, headers: bool = True) -> Host:
    """A host as its system's installer leaves it, with nouveau out of the way and the newest of its kernels running."""
    system, family, __, known = SYSTEMS[name]
    # A fabric manager needs addresses of their own.
    gpus = tuple(Device(f"0000:{n + 1:02x}:00.0", gpu.vendor, gpu.device, gpu.kind) for n, gpu in enumerate(gpus))
    there = known[-kernels:]
    return Host(
        # Grace and Blackwell are one board.
        system=replace(system, arch="aarch64") if gpus[0].device == GB200.device else system,
        family=family,
        gpus=gpus,
        offers=offers(name, there),
        kernels={release: Disk(headers=headers) for release in there},
        running=there[-1],
        next_kernel=there[-1],
        blocked=True,
    )


def names(host: Host, branch: str, kind: str) -> list[str]:
    """The packages of a driver, as each system's documentation tells to install it."""
    opened = kind == "open"
    if host.family == "rhel":
        module = "kmod-nvidia-open-dkms" if opened else "kmod-nvidia-latest-dkms"
        rest = [
            "nvidia-driver-cuda",
            "nvidia-driver-cuda-libs",
            "libnvidia-ml",
            "nvidia-kmod-common",
            "nvidia-persistenced",
        ]
    elif host.system.name == "debian":
        module = "nvidia-kernel-open-dkms" if opened else "nvidia-kernel-dkms"
        rest = ["nvidia-driver-cuda", "libcuda1", "libnvidia-ml1", "firmware-nvidia-gsp", "nvidia-persistenced"]
        rest += STRICT.values()
    elif int(branch) >= 590:
        module = "nvidia-dkms-open" if opened else "nvidia-dkms"
        rest = ["libnvidia-compute", "nvidia-firmware", "nvidia-persistenced"]
    else:
        module = f"nvidia-dkms-{branch}-open" if opened else f"nvidia-dkms-{branch}"
        rest = [f"{each}-{branch}" for each in ("libnvidia-compute", "nvidia-utils", "nvidia-kernel-common")]
        rest += [f"nvidia-compute-utils-{branch}"]
    fabric = [o.name for o in host.offers if part(o.name) == "fabric" and versions.driver(o.version).startswith(branch)]
    switched = hardware.needs_fabric_manager(host.gpus, host.switches)
    subnet = ["nvlsm", "infiniband-diags"] if hardware.has_nvlink5(host.gpus, host.switches) else []
    imex = [o.name for o in host.offers if part(o.name) == "imex" and versions.driver(o.version).startswith(branch)]
    spans = hardware.needs_imex(host.gpus, host.system.arch)
    return [module, *rest, *(fabric[:1] if switched else []), *subnet, *(imex[:1] if spans else [])]


def full(host: Host, name: str, version: str) -> str:
    """The full version of a package in the driver's version; of one with versions of its own, the newest on offer."""
    known = [o.version for o in host.offers if o.name == name]
    return next((full for full in known if versions.driver(full) == version), "") or next(
        full for full in reversed(known) if not versions.driver(full)
    )


def with_driver(host: Host, version: str, kind: str = "open", models: bool = True) -> Host:
    """The host after somebody has installed this driver by hand, with two models running on it."""
    host.packages["dkms"] = next(o.version for o in host.offers if o.name == "dkms")
    for name in names(host, versions.branch(version), kind):
        host.put(name, full(host, name, version))
    if host.family == "rhel":
        host.stream = f"nvidia-driver:{versions.branch(version)}-{'open' if kind == 'open' else 'dkms'}"
    for release, disk in host.kernels.items():
        if disk.headers:
            host._build("nvidia", version, release)
    try:
        host._insert()
    except Failed:
        return host
    host.sisters = {"nvidia_uvm", "nvidia_modeset"}
    host.umad = hardware.has_nvlink5(host.gpus, host.switches)
    host.channel = hardware.needs_imex(host.gpus, host.system.arch)
    for unit in [PERSISTENCE, *([FABRIC] if hardware.needs_fabric_manager(host.gpus, host.switches) else [])]:
        host.units[unit] = ServiceState("active", True)
    host.models = dict.fromkeys(MODELS, models)
    return host


def kept(host: Host) -> Host:
    """The same, managed by this role before: held and pinned."""
    own = {name for name in host.packages if part(name) not in ("tools", "headers")}
    host.held |= own
    if host.family == "debian":
        pin = f"Package: /nvidia/ libcuda1\nPin: version {host.userspace}*\nPin-Priority: 1001\n"
        host.texts[repository.PREFERENCES] = f"{repository.MARK}\n{pin}"
    return host
