"""Package lists of `data/offers` as a host's tools print them, and hosts to resolve a driver for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from ansible_collections.baremetal.vllm.plugins.module_utils.drivers.nvidia import offers
from ansible_collections.baremetal.vllm.plugins.module_utils.drivers.nvidia.model import (
    Device,
    DriverState,
    Kernel,
    Module,
    Offer,
    System,
)

LISTS = Path(__file__).parent / "data" / "offers"
# Systems, the kernel for which their lists were read, and the name of their lists.
HOSTS = {
    "debian 12": (System("debian", "12"), "6.1.0-56-amd64", "debian12"),
    "debian 13": (System("debian", "13"), "6.12.117+deb13-amd64", "debian13"),
    "ubuntu 22.04": (System("ubuntu", "22.04"), "5.15.0-204-generic", "ubuntu2204"),
    "ubuntu 24.04": (System("ubuntu", "24.04"), "6.8.0-151-generic", "ubuntu2404"),
    "ubuntu 26.04": (System("ubuntu", "26.04"), "7.0.0-44-generic", "ubuntu2604"),
    "rocky 8": (System("rocky", "8.10"), "4.18.0-553.83.1.el8_10.x86_64", "rhel8"),
    "almalinux 9": (System("almalinux", "9.7"), "5.14.0-687.54.1.el9_8.x86_64", "rhel9"),
    "almalinux 10": (System("almalinux", "10.1"), "6.12.0-124.8.1.el10_1.x86_64", "rhel10"),
}
H100 = Device("0000:1b:00.0", "10de", "2330", "030200")
V100 = Device("0000:3b:00.0", "10de", "1db4", "030200")
B200 = Device("0000:5d:00.0", "10de", "2901", "030200")


def read(name: str, family: str, kernels: Sequence[str]) -> tuple[Offer, ...]:
    """What `offers.read` makes of a recorded list; none where there is no such list."""

    def text(suffix: str) -> str:
        path = LISTS / f"{name}.{suffix}"
        return path.read_text(encoding="utf-8") if path.exists() else ""

    def run(argv: Sequence[str]) -> tuple[int, str, str]:
        if argv[:2] == ["apt-cache", "pkgnames"]:
            return 0, "\n".join(line.split(" | ")[0] for line in text("madison").splitlines()), ""
        if argv[:2] == ["apt-cache", "madison"]:
            lines = text("madison").splitlines(keepends=True)
            return 0, "".join(line for line in lines if line.split(" | ")[0] in argv), ""
        if argv[0] == "apt-cache":
            return 0, text("show"), ""
        return 0, text("modules" if "module" in argv else "repoquery"), ""

    return offers.read(family, kernels, run)


def host(name: str, source: str, gpus: Sequence[Device] = (H100,), headers: bool = True) -> DriverState:
    """A host of HOSTS without any driver, with the list of a source before it."""
    system, kernel, lists = HOSTS[name]
    family = "debian" if system.name in ("debian", "ubuntu") else "rhel"
    return DriverState(
        system=system,
        gpus=tuple(gpus),
        running=kernel,
        next_kernel=kernel,
        kernels=(Kernel(kernel, headers, None),),
        offers=read(f"{lists}-{source}", family, [kernel]),
    )


def installed(
    state: DriverState, packages: dict[str, str], version: str, dkms: bool = True, is_open: bool = True
) -> DriverState:
    """The same host after these packages were installed, and their module was built for all of its kernels."""
    from ansible_collections.baremetal.vllm.plugins.module_utils.drivers.nvidia.model import Dkms

    kernels = tuple(
        replace(kernel, headers=True, module=Module(version, is_open, "", "/nvidia.ko")) for kernel in state.kernels
    )
    built = tuple(Dkms("nvidia", version, kernel.release, "installed") for kernel in kernels) if dkms else ()
    return replace(
        state,
        packages={n: v for n, v in packages.items() if v and not offers.supports(n)},
        kernels=kernels,
        dkms=built,
        userspace=version,
        firmware=(version,),
        offers=None,
    )
