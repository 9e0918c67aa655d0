"""What the next boot needs: a module for the next kernel, no nouveau, a signature that the firmware trusts."""

from __future__ import annotations

from typing import Any

import pytest
from gpu_lab import A100, B200, OTHER, SECOND, V100, asked, hardware, kernels, module_of, reboot, see, versions, works
from testlab import host

DKMS_KEY = "DKMS module signing key"


@pytest.fixture(autouse=True)
def plain_hardware() -> Any:
    yield
    hardware(OTHER, gpus=[A100, A100], switches=[], secure_boot=None, trusted=[], faults=[])


def test_a_bare_host_gets_exactly_the_version_that_is_asked_for() -> None:
    assert asked(OTHER, SECOND).rc == 0
    works(OTHER, SECOND)
    assert versions(OTHER) == {SECOND}


def test_a_new_kernel_without_headers_gets_its_module_before_it_boots() -> None:
    target, new = host(OTHER), kernels(OTHER)[-1]
    target.check_output(
        f"apt-get -y --allow-change-held-packages remove linux-headers-{new} linux-headers-amd64 || true"
    )
    target.check_output(f"dpkg -i /srv/kernels/linux-image-{new}_99_amd64.deb")
    assert module_of(OTHER, new) == ""
    run = asked(OTHER, SECOND)
    assert run.rc == 0
    assert new in run.text
    assert module_of(OTHER, new) == SECOND
    reboot(OTHER)
    assert host(OTHER).check_output("uname -r") == new
    works(OTHER, SECOND)
    assert asked(OTHER, SECOND).changed == 0


def test_nouveau_in_the_initramfs_is_found_and_keeps_away_after_the_next_boot() -> None:
    target = host(OTHER)
    target.check_output("rm -f /etc/modprobe.d/nouveau-off.conf && echo nouveau >> /etc/initramfs-tools/modules")
    target.check_output("update-initramfs -u -k all")
    reboot(OTHER)
    assert see(OTHER).nouveau
    run = asked(OTHER, SECOND)
    assert run.rc == 0
    assert "nouveau" in run.text
    works(OTHER, SECOND)
    reboot(OTHER)
    works(OTHER, SECOND)
    target.check_output("sed -i /nouveau/d /etc/initramfs-tools/modules")


def test_secure_boot_that_does_not_trust_the_module_is_told_with_its_remedy() -> None:
    hardware(OTHER, secure_boot=True)
    reboot(OTHER)
    assert see(OTHER).loaded == ""
    run = asked(OTHER, SECOND)
    assert run.rc != 0
    assert "secure-boot" in run.text
    assert "mokutil --import" in run.text
    hardware(OTHER, secure_boot=True, trusted=[DKMS_KEY])
    assert asked(OTHER, SECOND).rc == 0
    works(OTHER, SECOND)


@pytest.mark.parametrize(
    ("numbers", "kind", "words"),
    [([V100, V100], "open", "open"), ([B200, B200], "proprietary", "proprietary")],
    ids=["too-old-for-open", "too-new-for-proprietary"],
)
def test_modules_that_the_gpus_do_not_take_are_refused(numbers: list[str], kind: str, words: str) -> None:
    hardware(OTHER, gpus=numbers)
    run = asked(OTHER, SECOND, nvidia_driver_modules=kind)
    assert run.rc != 0
    assert f"{words}-unsupported" in run.text or "nvidia_driver_modules" in run.text
    works(OTHER, SECOND)
