"""Package lists as apt and dnf print them."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from ansible_collections.baremetal.vllm.plugins.module_utils.drivers.nvidia import offers
from ansible_collections.baremetal.vllm.plugins.module_utils.drivers.nvidia.model import Offer
from hypothesis import given
from hypothesis import strategies as st
from offered import LISTS, read


def test_madison() -> None:
    text = (LISTS / "debian12-distribution.madison").read_text(encoding="utf-8")
    found = offers.madison(
        text + "N: a remark\n nvidia-smi | 535.261.03-1 | http://archive.example/debian bookworm/non-free Sources\n"
    )
    assert {offer.version for offer in found if offer.name == "nvidia-smi"} == {
        "535.309.01-0+deb12u1",
        "535.261.03-1",
        "535.216.03-2~bpo12+1",
    }
    assert len(found) == len(text.splitlines())


def test_madison_of_a_flat_repository() -> None:
    line = "nvidia-driver-cuda | 580.95.05-1 | mirror+file:/etc/apt/mirrors/nvidia-driver.list  Packages"
    assert offers.madison(line) == [
        Offer("nvidia-driver-cuda", "580.95.05-1", "mirror+file:/etc/apt/mirrors/nvidia-driver.list")
    ]


def test_repoquery() -> None:
    text = "dkms 0:3.2.2-1.el9 epel\nnvidia-driver-cuda 3:580.95.05-1.el9 nvidia-driver\n\nwarning of a plugin\n"
    assert offers.repoquery(text) == [
        Offer("dkms", "3.2.2-1.el9", "epel"),
        Offer("nvidia-driver-cuda", "3:580.95.05-1.el9", "nvidia-driver"),
    ]


@given(st.text())
def test_parsers_take_anything(text: str) -> None:
    for parse in (offers.madison, offers.repoquery, offers.streams, offers.carried):
        parse(text)


def test_prebuilt_modules_carry_a_driver() -> None:
    found = read("ubuntu2404-distribution", "debian", ["6.8.0-151-generic"])
    prebuilt = {offer.name: offer.driver for offer in found if offer.name.startswith("linux-modules-nvidia-580")}
    assert prebuilt["linux-modules-nvidia-580-server-open-6.8.0-151-generic"] == "580.178.04"
    assert prebuilt["linux-modules-nvidia-580-server-open-generic"] == "580.178.04"


def test_ended_branches_carry_nothing() -> None:
    """Ubuntu's meta package of branch 570 brings the modules of 580: it is no offer of either."""
    found = read("ubuntu2204-distribution", "debian", ["5.15.0-204-generic"])
    assert not [offer for offer in found if offer.name == "linux-modules-nvidia-570-server-open-generic"]


def test_only_the_kernels_that_are_installed() -> None:
    names = {offer.name for offer in read("ubuntu2404-distribution", "debian", ["6.8.0-149-generic"])}
    assert "linux-headers-6.8.0-151-generic" not in names
    assert "linux-headers-generic" in names


def test_prebuilt_rpms_of_the_installed_kernels_only() -> None:
    for kernel, count in (("5.14.0-687.54.1.el9_8.x86_64", 1), ("5.14.0-1.el9.x86_64", 0)):
        names = [offer.name for offer in read("rhel9-vendor", "rhel", [kernel])]
        assert sum(name.startswith("kmod-nvidia-580") for name in names) == count
        assert "kmod-nvidia-open-dkms" in names


def test_streams() -> None:
    text = (LISTS / "rhel9-vendor.modules").read_text(encoding="utf-8")
    assert Offer("nvidia-driver:580-open", "") in offers.streams(text)
    assert len(offers.streams(text)) == 11


def test_one_offer_of_many_suites() -> None:
    lines = [
        f"nvidia-smi | 535.261.03-1 | http://archive.example/debian {suite}/non-free amd64 Packages"
        for suite in ("a", "b")
    ]

    def run(argv: Sequence[str]) -> tuple[int, str, str]:
        return 0, "nvidia-smi\n" if argv[1] == "pkgnames" else "\n".join(lines), ""

    assert len(offers.read("debian", ["6.1.0-56-amd64"], run)) == 1


@pytest.mark.parametrize("family", ["debian", "rhel"])
def test_lists_that_cannot_be_read(family: str) -> None:
    assert offers.read(family, ["6.1.0-56-amd64"], lambda argv: (127, "", "no such command")) == ()


@pytest.mark.parametrize(
    ("kernel", "flavour"),
    [
        ("6.1.0-56-amd64", "amd64"),
        ("6.1.0-56-cloud-amd64", "cloud-amd64"),
        ("6.12.57+deb13-cloud-amd64", "cloud-amd64"),
        ("6.8.0-151-generic", "generic"),
        ("6.8.0-1016-azure-fde", "azure-fde"),
        ("5.14.0-687.54.1.el9_8.x86_64", ""),
    ],
)
def test_flavour(kernel: str, flavour: str) -> None:
    assert offers.flavour(kernel) == flavour


@pytest.mark.parametrize(
    ("name", "version", "belongs"),
    [
        ("nvidia-kernel-open-dkms", "580.95.05-1", True),
        ("libcuda1", "535.309.01-0+deb12u1", True),
        ("kmod-nvidia-580.178.04-5.14.0-687.54.1", "3:580.178.04-3.el9_8", True),
        ("linux-modules-nvidia-580-server-open-generic", "6.8.0-151.151", True),
        # RPM Fusion and negativo17: NVIDIA/open-gpu-kernel-modules issue 700, negativo17/nvidia-driver issue 43.
        ("akmod-nvidia", "3:560.35.03-1.el9", True),
        ("xorg-x11-drv-nvidia-cuda-libs", "3:560.35.03-3.el9", True),
        ("dkms-nvidia", "3:580.95.05-1.el9", True),
        ("nvidia-fs-dkms", "2.24.2-1", False),
        ("linux-modules-nvidia-fs-6.8.0-1040-nvidia", "6.8.0-1040.43", False),
        ("linux-headers-6.8.0-1040-nvidia", "6.8.0-1040.43", False),
        ("nvidia-container-toolkit", "1.18.0-1", False),
        ("libnvidia-container1", "1.18.0-1", False),
        ("nvidia-cuda-toolkit", "12.4.131~12.4.1-2", False),
        ("nvidia-kernel-common", "20220217+3~deb12u1", False),
        ("linux-image-6.1.0-56-amd64", "6.1.192-2", False),
    ],
)
def test_belongs(name: str, version: str, belongs: bool) -> None:
    assert offers.belongs(name, version) is belongs
