"""Debian's own driver, really built by DKMS from its own sources; the driver of NVIDIA's repository goes before."""

from __future__ import annotations

from gpu_lab import DEBIAN, asked, kernels, packages, see
from testlab import host


def test_the_driver_goes_without_a_trace() -> None:
    target = host(DEBIAN)
    assert asked(DEBIAN, "580", nvidia_driver_state="absent").rc == 0
    assert packages(DEBIAN) == {}
    assert see(DEBIAN).loaded == ""
    left = "ls -d /etc/apt/sources.list.d/nvidia* /etc/apt/preferences.d/nvidia* /etc/modprobe.d/nouveau-off.conf /usr/src/nvidia*"
    assert target.run(left).stdout == ""
    assert target.check_output("apt-mark showhold") == ""
    assert asked(DEBIAN, "580", nvidia_driver_state="absent").changed == 0


def test_the_distributions_driver_is_one_version_from_module_to_libraries() -> None:
    # It is built for every kernel, two minutes each: one will do.
    old = kernels(DEBIAN)[0]
    host(DEBIAN).check_output(f"apt-get -y --allow-change-held-packages purge linux-image-{old} linux-headers-{old}")
    # Its nvidia-persistenced wants a GPU that is there.
    ours = {"nvidia_driver_source": "distribution", "nvidia_driver_mirror": "", "nvidia_driver_mirror_key": ""}
    run = asked(DEBIAN, "", nvidia_driver_persistence=False, nvidia_driver_modules="proprietary", **ours)
    assert run.rc == 0
    seen = see(DEBIAN)
    assert (seen.loaded, seen.status, seen.gpus) == (seen.userspace, 0, 2)
    assert seen.loaded.startswith("535.")
    parts = {
        name: version for name, version in packages(DEBIAN).items() if "kernel-dkms" in name or "libnvidia-ml1" in name
    }
    assert {version.partition("-")[0] for version in parts.values()} == {seen.loaded}
    again = asked(DEBIAN, "", nvidia_driver_persistence=False, nvidia_driver_modules="proprietary", **ours)
    assert again.changed == 0


def test_open_modules_of_another_version_than_the_libraries_are_refused() -> None:
    """Debian 12 has open modules 535.261.03 beside libraries 535.309.01."""
    ours = {"nvidia_driver_source": "distribution", "nvidia_driver_mirror": "", "nvidia_driver_mirror_key": ""}
    before = packages(DEBIAN)
    run = asked(DEBIAN, "535", nvidia_driver_modules="open", **ours)
    assert run.rc != 0
    assert "nvidia-open-kernel-dkms" in run.text
    assert packages(DEBIAN) == before
