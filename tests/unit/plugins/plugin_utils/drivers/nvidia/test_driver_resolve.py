"""One version for all parts of the driver: what is installed, what is kept, what is refused."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from ansible_collections.baremetal.vllm.plugins.module_utils.drivers.nvidia import versions
from ansible_collections.baremetal.vllm.plugins.module_utils.drivers.nvidia.model import (
    Device,
    Dkms,
    DriverState,
    Kernel,
    Module,
    Offer,
    Resolution,
    System,
    WantedDriver,
)
from ansible_collections.baremetal.vllm.plugins.plugin_utils.drivers.nvidia.commands import difference
from ansible_collections.baremetal.vllm.plugins.plugin_utils.drivers.nvidia.resolve import installed_meets, resolve
from hypothesis import given
from hypothesis import strategies as st
from offered import B200, H100, V100, host, installed


def resolved(state: DriverState, **asked: Any) -> Resolution:
    outcome = resolve(WantedDriver(**asked), state)
    assert isinstance(outcome, Resolution), outcome
    return outcome


def refused(state: DriverState, **asked: Any) -> str:
    outcome = resolve(WantedDriver(**asked), state)
    assert isinstance(outcome, list)
    assert len(outcome) == 1
    return str(outcome[0])


def with_driver(version: str, source: str = "vendor", **asked: Any) -> DriverState:
    """Debian 12 with a driver of NVIDIA's, and the list of packages before it."""
    before = host("debian 12", source)
    found = resolved(before, version=version, source=source, **asked)
    return replace(installed(before, found.packages, version, is_open=found.modules == "open"), offers=before.offers)


# What is asked, and what is chosen


def test_default_branch() -> None:
    found = resolved(host("debian 12", "vendor"))
    assert (found.version, found.modules, found.build) == ("580.126.20", "open", "dkms")
    assert "default" in found.why
    assert resolved(host("ubuntu 26.04", "vendor")).version == "595.58.03"


def test_auto_takes_the_kind_that_is_newer() -> None:
    found = resolved(host("debian 12", "distribution"), source="distribution")
    assert (found.version, found.modules) == ("535.309.01", "proprietary")


@pytest.mark.parametrize(
    ("gpus", "modules"), [((H100,), "open"), ((V100, H100), "proprietary"), ((B200,), "open"), ((), "open")]
)
def test_auto_suits_the_gpus(gpus: Sequence[Device], modules: str) -> None:
    assert resolved(host("debian 12", "vendor", gpus)).modules == modules


def test_prebuilt_before_dkms() -> None:
    found = resolved(host("ubuntu 24.04", "distribution"), source="distribution", version="580")
    assert found.build == "prebuilt"
    assert found.packages["linux-modules-nvidia-580-server-open-6.8.0-151-generic"] == "6.8.0-151.151"
    # What follows the kernel must not be held.
    assert set(found.unheld) == {name for name in found.packages if name.startswith("linux-modules-")}
    built = resolved(host("ubuntu 24.04", "distribution"), source="distribution", version="580", build="dkms")
    assert "nvidia-dkms-580-server-open" in built.packages


def test_prebuilt_for_this_kernel_or_dkms() -> None:
    state = host("almalinux 9", "vendor", (V100,))
    found = resolved(state, version="580", modules="proprietary")
    assert (found.build, found.stream) == ("prebuilt", "nvidia-driver:580")
    assert "kmod-nvidia-580.178.04-5.14.0-687.54.1" in found.packages
    other = "5.14.0-611.49.1.el9_7.x86_64"
    older = replace(state, running=other, next_kernel=other, kernels=(Kernel(other, True, None),))
    found = resolved(older, version="580", modules="proprietary")
    assert (found.build, found.stream) == ("dkms", "nvidia-driver:580-dkms")


def test_no_stream_where_there_are_none() -> None:
    state = host("almalinux 9", "vendor")
    assert resolved(state).stream == "nvidia-driver:580-open"
    plain = replace(state, offers=tuple(offer for offer in state.offers or () if offer.version))
    assert resolved(plain).stream == ""


def test_persistence_may_lag() -> None:
    state = host("debian 12", "distribution")
    assert resolved(state, source="distribution").packages["nvidia-persistenced"] == "535.171.04-1~deb12u1"
    assert "nvidia-persistenced" not in resolved(state, source="distribution", persistence=False).packages


def test_persistence_is_never_newer_than_the_driver() -> None:
    state = with_driver("580.95.05")
    without = {name: full for name, full in state.packages.items() if name != "nvidia-persistenced"}
    newer = Offer("nvidia-persistenced", "590.48.01-1")
    older = Offer("nvidia-persistenced", "570.195.03-1")
    rest = tuple(offer for offer in state.offers or () if offer.name != "nvidia-persistenced")
    found = resolved(replace(state, packages=without, offers=(*rest, newer, older)), version="580")
    assert found.packages["nvidia-persistenced"] == older.version
    found = resolved(replace(state, packages=without, offers=(*rest, newer)), version="580")
    assert "nvidia-persistenced" not in found.packages


def test_fabric_manager_only_with_switches() -> None:
    state = host("debian 12", "vendor", (H100,) * 8)
    assert "nvidia-fabricmanager" not in resolved(state).packages
    found = resolved(replace(state, switches=4))
    assert found.packages["nvidia-fabricmanager"] == f"{found.version}-1"
    # The name had the branch in it before 580.
    older = resolved(replace(state, switches=4), version="570")
    assert older.packages["nvidia-fabricmanager-570"] == "570.195.03-1"
    assert "nvidia-fabricmanager" in resolved(host("debian 12", "vendor", (B200,) * 8)).packages


def test_backports_are_left_alone() -> None:
    found = resolved(host("debian 13", "distribution"), source="distribution")
    assert found.packages["libcuda1"] == "550.163.01-2"


# Headers


def test_headers_for_kernels_without() -> None:
    found = resolved(host("debian 12", "vendor", headers=False))
    assert found.packages["linux-headers-6.1.0-56-amd64"] == "6.1.192-2"
    assert "linux-headers-amd64" in found.packages
    assert {"linux-headers-6.1.0-56-amd64", "linux-headers-amd64"} <= set(found.unheld)
    by_kernel = host("debian 12", "vendor")
    assert "linux-headers-amd64" in resolved(by_kernel).packages, "the next kernel's headers come with the next kernel"
    followed = replace(by_kernel, packages={**by_kernel.packages, "linux-headers-amd64": "6.1.100-1"})
    assert "linux-headers-amd64" not in resolved(followed).packages


def test_headers_of_rpm_kernels_are_named_whole() -> None:
    found = resolved(host("almalinux 9", "vendor", headers=False))
    assert found.packages["kernel-devel-5.14.0-687.54.1.el9_8.x86_64"] == ""
    assert "kernel-devel-matched" in found.packages


K64 = "5.14.0-687.54.1.el9_8.aarch64+64k"


def with_64k(state: DriverState, *packages: str) -> DriverState:
    """A Grace host of RHEL 9 on the kernel with pages of 64 KiB; `packages` are on offer for it beside the plain kernel's."""
    more = tuple(Offer(name, "5.14.0-687.54.1.el9_8", "appstream") for name in packages)
    return replace(
        state,
        system=replace(state.system, arch="aarch64"),
        gpus=(Device("0000:09:00.0", "10de", "2342", "030200"),),
        running=K64,
        next_kernel=K64,
        kernels=(Kernel(K64, False, None),),
        offers=(*(state.offers or ()), *more),
    )


@pytest.mark.parametrize("system", ["almalinux 9", "almalinux 10"])
def test_headers_of_a_kernel_with_64k_pages(system: str) -> None:
    state = with_64k(host(system, "vendor"), "kernel-64k-devel", "kernel-64k-devel-matched")
    found = resolved(state)
    assert found.packages["kernel-64k-devel-5.14.0-687.54.1.el9_8.aarch64"] == ""
    assert found.packages["kernel-64k-devel-matched"]
    assert not [name for name in found.packages if name.startswith("kernel-devel")]
    there = replace(state, kernels=(Kernel(K64, True, None),), packages={"kernel-64k-devel": "5.14.0-687.54.1.el9_8"})
    assert "kernel-64k-devel-5.14.0-687.54.1.el9_8.aarch64" not in difference(found, there)
    assert "kernel-64k-devel-5.14.0-687.54.1.el9_8.aarch64" in difference(found, state)


def test_headers_of_the_plain_kernel_are_none_for_64k_pages() -> None:
    told = refused(with_64k(host("almalinux 9", "vendor")))
    assert told.startswith("headers-not-on-offer")
    assert "kernel-64k-devel-5.14.0-687.54.1.el9_8.aarch64 is not on offer" in told


def test_modules_prebuilt_for_the_plain_kernel_are_none_for_a_variant() -> None:
    rt = "5.14.0-687.54.1.el9_8.x86_64+rt"
    state = host("almalinux 9", "vendor", (V100,))
    state = replace(state, running=rt, next_kernel=rt, kernels=(Kernel(rt, True, None),))
    assert resolved(state, version="580", modules="proprietary").build == "dkms"


def test_headers_that_are_gone() -> None:
    state = host("debian 12", "vendor")
    old = Kernel("6.1.0-10-amd64", False, None)
    assert "6.1.0-10-amd64" in resolved(replace(state, kernels=(*state.kernels, old))).why
    told = refused(replace(state, next_kernel=old.release, kernels=(*state.kernels, old)))
    assert "headers-not-on-offer" in told
    assert "linux-headers-6.1.0-10-amd64" in told


def test_meta_package_of_newer_ubuntu_kernels() -> None:
    state = host("ubuntu 24.04", "vendor", headers=False)
    kernel = "6.14.0-29-generic"
    offers = (
        *(state.offers or ()),
        Offer(f"linux-headers-{kernel}", "6.14.0-29.29~24.04.1", "u noble-updates/main amd64"),
        Offer("linux-headers-generic-hwe-24.04", "6.14.0-29.29~24.04.1", "u noble-updates/main amd64"),
    )
    newer = replace(state, running=kernel, next_kernel=kernel, kernels=(Kernel(kernel, False, None),), offers=offers)
    assert "linux-headers-generic-hwe-24.04" in resolved(newer).packages
    assert "linux-headers-generic" in resolved(state).packages


# Keeping, upgrading, switching


def test_any_version_of_the_branch_will_do() -> None:
    state = with_driver("580.95.05")
    assert installed_meets(WantedDriver(version="580"), state) is not None
    # Even where something else is to be done, it stays at its version.
    assert resolved(state, version="580").version == "580.95.05"
    assert resolved(state).version == "580.95.05"


def test_upgrade_moves_to_the_newest_of_the_branch() -> None:
    state = with_driver("580.95.05")
    assert installed_meets(WantedDriver(version="580", upgrade=True), state) is None
    assert resolved(state, version="580", upgrade=True).version == "580.126.20"
    assert resolved(state, upgrade=True).version == "580.126.20"


@pytest.mark.parametrize("version", ["570.195.03", "590.48.01", "570", "590"])
def test_other_versions_up_and_down(version: str) -> None:
    state = with_driver("580.95.05")
    assert installed_meets(WantedDriver(version=version), state) is None
    assert resolved(state, version=version).version.startswith(version)


def test_what_is_kept_need_not_be_on_offer() -> None:
    state = with_driver("580.95.05")
    later = tuple(offer for offer in state.offers or () if "580.95.05" not in offer.version)
    assert resolved(replace(state, offers=later), version="580").version == "580.95.05"


SERVER = {
    f"{name}-570-server": "570.211.01-0ubuntu0.24.04.1"
    for name in ("libnvidia-compute", "nvidia-compute-utils", "nvidia-dkms", "nvidia-kernel-common", "nvidia-utils")
}


@pytest.mark.parametrize("version", ["", "570", "570.211.01"])
def test_a_driver_of_the_distributions_stays_where_only_a_kernel_lacks_headers(version: str) -> None:
    # An image of Azure's: the driver works, and a kernel that does not boot next has no headers.
    new = "6.17.0-1011-azure"
    state = replace(
        installed(host("ubuntu 24.04", "vendor"), SERVER, "570.211.01", is_open=False),
        offers=host("ubuntu 24.04", "vendor").offers,
    )
    state = replace(state, kernels=(*state.kernels, Kernel(new, False, None)))
    assert installed_meets(WantedDriver(version=version), state) is None
    found = resolved(state, version=version)
    assert (found.version, found.packages, found.remove) == ("570.211.01", SERVER, ())


@pytest.mark.parametrize("asked", [{"version": "580"}, {"upgrade": True}, {"build": "dkms"}, {"modules": "open"}])
def test_a_driver_of_the_distributions_makes_room_for_what_is_asked(asked: dict[str, Any]) -> None:
    state = installed(host("ubuntu 24.04", "vendor"), SERVER, "570.211.01", is_open=False)
    found = resolved(replace(state, offers=host("ubuntu 24.04", "vendor").offers), **asked)
    assert set(found.remove) == set(SERVER)


def test_modules_for_a_new_kernel_come_from_where_the_driver_came() -> None:
    # Canonical's prebuilt modules, NVIDIA's source set up beside them, and a kernel that has no module yet.
    state = host("ubuntu 24.04", "distribution")
    old = resolved(state, source="distribution", version="580")
    old_kernel = "6.8.0-150-generic"
    packages = {name.replace("6.8.0-151-generic", old_kernel): full for name, full in old.packages.items()}
    module = Module(old.version, True, "Canonical Ltd. Kernel Module Signing", "/kernel/nvidia-580srv-open/nvidia.ko")
    after = replace(
        installed(state, packages, old.version, dkms=False),
        kernels=(Kernel(old_kernel, True, module), Kernel("6.8.0-151-generic", True, None)),
        offers=(*(state.offers or ()), *(host("ubuntu 24.04", "vendor").offers or ())),
    )
    assert installed_meets(WantedDriver(), after) is None
    found = resolved(after)
    assert (found.version, found.build, found.remove) == (old.version, "prebuilt", ())
    assert set(found.packages) - set(packages) == {"linux-modules-nvidia-580-server-open-6.8.0-151-generic"}


def test_auto_keeps_the_installed_kind() -> None:
    state = with_driver("580.95.05", modules="proprietary")
    assert installed_meets(WantedDriver(version="580"), state) is not None
    assert resolved(state, version="590").modules == "proprietary"
    assert installed_meets(WantedDriver(version="580", modules="open"), state) is None


def test_other_modules_go() -> None:
    state = with_driver("580.95.05", modules="proprietary")
    found = resolved(state, version="580.95.05", modules="open")
    assert found.remove == ("nvidia-kernel-dkms",)


def test_other_branches_go_where_names_have_them() -> None:
    state = host("ubuntu 24.04", "distribution")
    old = resolved(state, source="distribution", version="570")
    after = replace(installed(state, old.packages, old.version), offers=state.offers)
    kernel = "linux-modules-nvidia-580-server-open-6.8.0-100-generic"
    after = replace(
        after, packages={**after.packages, kernel: "6.8.0-100.100", "datacenter-gpu-manager-4-core": "1:4.4.2-1"}
    )
    found = resolved(after, source="distribution", version="580")
    assert set(found.remove) == set(old.packages) - {"linux-headers-generic"}
    # Modules of the same driver for another kernel stay, and so does what is not the driver's.
    assert kernel not in found.remove


def test_open_and_proprietary_prebuilt_are_told_apart() -> None:
    state = host("ubuntu 24.04", "distribution")
    old = resolved(state, source="distribution", version="580", modules="open")
    after = replace(installed(state, old.packages, old.version, dkms=False), offers=state.offers)
    found = resolved(after, source="distribution", version="580", modules="proprietary")
    assert set(found.remove) == {name for name in old.packages if name.startswith("linux-modules-")}


# Refusals


@pytest.mark.parametrize(
    ("system", "source", "asked", "words"),
    [
        ("debian 12", "vendor", {"version": "999"}, ["version-not-on-offer", "branch 999", "570 (570.195.03)", "580 (580.126.20, 580.95.05)"]),
        ("debian 12", "vendor", {"version": "580.1.1"}, ["version 580.1.1", "580.126.20"]),
        ("debian 13", "distribution", {"version": "580"}, ["Debian 13 itself", "550 (550.163.01)"]),
        ("debian 12", "vendor", {"build": "prebuilt"}, ["modules-not-on-offer", "prebuilt", "open modules (dkms)"]),
        ("rocky 8", "distribution", {}, ["source-unsupported", "rocky 8", "AlmaLinux", "nvidia_driver_source: vendor"]),
        ("almalinux 9", "distribution", {"modules": "proprietary"}, ["no proprietary modules", "open modules (prebuilt)"]),
        ("debian 12", "vendor", {"version": "620", "modules": "proprietary"}, ["modules-unsupported", "ended before branch 620"]),
    ],
)  # fmt: skip
def test_refusals_name_what_there_is(system: str, source: str, asked: dict[str, str], words: list[str]) -> None:
    told = refused(host(system, source), source=source, **asked)
    for word in words:
        assert word in told


def test_parts_in_different_versions() -> None:
    """Debian 12 as it is for those who follow its security archive only: open modules one release behind the rest."""
    state = host("debian 12", "distribution")
    behind = tuple(
        offer
        for offer in state.offers or ()
        if "535.261.03" not in offer.version or offer.name == "nvidia-open-kernel-dkms"
    )
    told = refused(replace(state, offers=behind), source="distribution", modules="open")
    assert "no-common-version" in told
    assert "kernel modules nvidia-open-kernel-dkms 535.261.03" in told
    assert "userspace libcuda1 535.309.01" in told


@pytest.mark.parametrize(
    ("gpus", "asked", "name"),
    [
        ((V100,), {"modules": "open"}, "open-unsupported"),
        ((B200,), {"modules": "proprietary"}, "proprietary-unsupported"),
        ((V100,), {"version": "590"}, "branch-unsupported"),
        ((B200,), {"version": "550"}, "branch-unsupported"),
        ((V100, B200), {}, "gpus-unmixable"),
    ],
)
def test_gpus_that_cannot(gpus: Sequence[Device], asked: dict[str, str], name: str) -> None:
    assert refused(host("debian 12", "vendor", gpus), **asked).startswith(name)


def test_fabric_manager_that_is_not_to_be_had() -> None:
    told = refused(replace(host("debian 13", "distribution"), switches=6), source="distribution")
    assert "fabric manager nvidia-fabricmanager none" in told


def test_dkms_that_is_not_to_be_had() -> None:
    state = host("almalinux 9", "vendor")
    without = replace(state, offers=tuple(offer for offer in state.offers or () if offer.name != "dkms"))
    told = refused(without)
    assert "tools-not-on-offer" in told
    assert "epel-release-latest-9" in told


def test_nothing_on_offer() -> None:
    for offers in (None, (), (Offer("dkms", "3.0", "main"),)):
        assert "nothing-on-offer" in refused(replace(host("debian 12", "vendor"), offers=offers))


def test_unsupported_system() -> None:
    told = refused(replace(host("debian 12", "vendor"), system=System("fedora", "42")))
    assert "fedora 42" in told
    assert "Ubuntu 24.04" in told


# What is installed


@pytest.mark.parametrize(
    "change",
    [
        {"runfile": "580.95.05"},
        {"broken": ("nvidia-kernel-open-dkms",)},
        {"packages": {}},
        {"userspace": "580.126.20"},
        {"firmware": ()},
        {"switches": 4},
        {"kernels": (Kernel("6.1.0-56-amd64", True, None),)},
        {"next_kernel": "6.1.0-57-amd64"},
        {"system": System("fedora", "42")},
    ],
)
def test_not_whole(change: dict[str, Any]) -> None:
    state = with_driver("580.95.05")
    assert installed_meets(WantedDriver(version="580"), state) is not None
    assert installed_meets(WantedDriver(version="580"), replace(state, **change)) is None


def test_persistence_daemon_is_missed() -> None:
    state = with_driver("580.95.05", persistence=False)
    assert installed_meets(WantedDriver(version="580", persistence=False), state) is not None
    assert installed_meets(WantedDriver(version="580"), state) is None


def test_a_desktop_is_kept_as_it_is() -> None:
    """Packages of no set of ours, that work: nobody asked for anything else."""
    kernel = "6.8.0-151-generic"
    packages = dict.fromkeys(
        ("nvidia-driver-580-open", "nvidia-dkms-580-open", "libnvidia-compute-580", "nvidia-compute-utils-580"),
        "580.126.09-0ubuntu0.24.04.1",
    )
    state = replace(
        host("ubuntu 24.04", "distribution"),
        packages=packages,
        userspace="580.126.09",
        firmware=("580.126.09",),
        kernels=(Kernel(kernel, True, Module("580.126.09", True, "", "/nvidia.ko")),),
        dkms=(Dkms("nvidia", "580.126.09", kernel, "installed"),),
        offers=None,
    )
    found = installed_meets(WantedDriver(), state)
    assert found is not None
    assert "nvidia-dkms-580-open" in found.packages


@given(st.lists(st.sampled_from(["570.195.03", "580.95.05", "580.126.20", "590.48.01"]), max_size=4), st.data())
def test_never_two_versions(missing: list[str], data: st.DataObject) -> None:
    """Whatever is taken away from the list, what is resolved is of one version."""
    state = host("debian 12", "vendor")
    name = data.draw(
        st.sampled_from(["libcuda1", "nvidia-kernel-open-dkms", "firmware-nvidia-gsp", "nvidia-driver-cuda"])
    )
    offers = tuple(
        offer for offer in state.offers or () if offer.name != name or versions.driver(offer.version) not in missing
    )
    outcome = resolve(WantedDriver(version="580", modules="open"), replace(state, offers=offers))
    if isinstance(outcome, Resolution):
        own = {name: full for name, full in outcome.packages.items() if not name.startswith("linux-headers-")}
        assert {versions.driver(full) for full in own.values()} == {outcome.version}
    else:
        assert {"580.95.05", "580.126.20"} <= set(missing)
