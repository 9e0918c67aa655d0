"""Debian's own driver, really built by DKMS from its own sources; the driver of NVIDIA's repository goes before."""

from __future__ import annotations

import re

from gpu_lab import OTHER, asked, kernels, packages, see
from testlab import host
from thoroughness import exhaustive

# Debian's nvidia-persistenced wants a GPU that is there.
DISTRIBUTION = {"nvidia_driver_source": "distribution", "nvidia_driver_mirror": "", "nvidia_driver_mirror_key": ""}
PROPRIETARY = {**DISTRIBUTION, "nvidia_driver_persistence": False, "nvidia_driver_modules": "proprietary"}
# The newest one whose wheel this driver runs.
OLD_RELEASE = "0.19.1"


def test_the_driver_goes_without_a_trace() -> None:
    target = host(OTHER)
    assert asked(OTHER, "580", nvidia_driver_state="absent").rc == 0
    assert packages(OTHER) == {}
    assert see(OTHER).loaded == ""
    left = "ls -d /etc/apt/sources.list.d/nvidia* /etc/apt/preferences.d/nvidia* /etc/modprobe.d/nouveau-off.conf /usr/src/nvidia*"
    assert target.run(left).stdout == ""
    assert target.check_output("apt-mark showhold") == ""
    assert asked(OTHER, "580", nvidia_driver_state="absent").changed == 0


@exhaustive
def test_the_distributions_driver_is_one_version_from_module_to_libraries() -> None:
    # It is built for every kernel, two minutes each: one will do.
    old = kernels(OTHER)[0]
    host(OTHER).check_output(f"apt-get -y --allow-change-held-packages purge linux-image-{old} linux-headers-{old}")
    run = asked(OTHER, "", vllm_version=OLD_RELEASE, **PROPRIETARY)
    assert run.rc == 0
    seen = see(OTHER)
    assert (seen.loaded, seen.status, seen.gpus) == (seen.userspace, 0, 2)
    assert seen.loaded.startswith("535.")
    parts = {
        name: version for name, version in packages(OTHER).items() if "kernel-dkms" in name or "libnvidia-ml1" in name
    }
    assert {version.partition("-")[0] for version in parts.values()} == {seen.loaded}
    assert asked(OTHER, "", vllm_version=OLD_RELEASE, **PROPRIETARY).changed == 0


@exhaustive
def test_a_driver_that_works_and_is_too_old_for_the_wheel_is_told() -> None:
    run = asked(OTHER, "", **PROPRIETARY)
    assert run.rc != 0
    assert "driver-too-old" in run.text
    assert "that needs 580 or newer" in run.text


@exhaustive
def test_open_modules_bring_the_whole_driver_in_their_own_version() -> None:
    """Debian 12 has open modules in 535.261.03 and proprietary ones in a newer version; both have all their parts on offer."""
    before = packages(OTHER)
    run = asked(OTHER, "535", "--check", **{**PROPRIETARY, "nvidia_driver_modules": "open"})
    words = re.search(r"driver (535[.\d]+): 535 is asked for.*open modules \(as asked\)", run.text)
    assert words
    assert words[1] != see(OTHER).loaded
    assert packages(OTHER) == before
