"""Another version, another kind of modules, and what broke a driver that worked; tests run in file order after the installation."""

from __future__ import annotations

from typing import Any

import pytest
from gpu_lab import BROKEN, DEBIAN, FIRST, NEXT, OLD, SECOND, asked, boot_id, packages, see, versions, works
from testlab import host, show
from thoroughness import exhaustive

OPTIONS = "-y --allow-downgrades --allow-change-held-packages --no-install-recommends"


@pytest.fixture
def user() -> Any:
    """A process that is none of ours and has a GPU open."""
    target = host(DEBIAN)
    target.check_output("systemd-run --unit gpu-user sh -c 'exec 3</dev/nvidia0; sleep 600'")
    yield
    target.run("systemctl stop gpu-user")


def test_an_exact_older_version_replaces_module_and_userspace_without_a_reboot() -> None:
    before = boot_id(DEBIAN)
    run = asked(DEBIAN, FIRST)
    assert run.rc == 0
    works(DEBIAN, FIRST)
    assert versions(DEBIAN) == {FIRST}
    assert boot_id(DEBIAN) == before


def test_any_version_of_the_branch_will_do_until_an_upgrade_is_asked_for() -> None:
    assert asked(DEBIAN, "580").changed == 0
    works(DEBIAN, FIRST)
    assert asked(DEBIAN, "580", nvidia_driver_upgrade=True).rc == 0
    works(DEBIAN, SECOND)


def test_libraries_of_another_version_are_put_right() -> None:
    """What upgrades by hand leave behind: "Driver/library version mismatch"."""
    both = f"libnvidia-ml1={FIRST}-1 libcuda1={FIRST}-1 nvidia-driver-cuda={FIRST}-1 nvidia-persistenced={FIRST}-1"
    host(DEBIAN).check_output(f"rm /etc/apt/preferences.d/nvidia-driver && apt-get install {OPTIONS} {both}")
    assert see(DEBIAN).status == 18
    run = asked(DEBIAN, SECOND)
    assert run.rc == 0
    assert f"the loaded module is {SECOND} and the libraries are {FIRST}" in run.text
    works(DEBIAN, SECOND)
    assert versions(DEBIAN) == {SECOND}
    assert asked(DEBIAN, SECOND).changed == 0


def test_an_upgrade_by_hand_that_awaits_a_reboot_is_finished_without_one() -> None:
    names = " ".join(f"{name}={NEXT}-1" for name in packages(DEBIAN))
    host(DEBIAN).check_output(f"rm /etc/apt/preferences.d/nvidia-driver && apt-get install {OPTIONS} {names}")
    assert (see(DEBIAN).status, see(DEBIAN).loaded, versions(DEBIAN)) == (18, SECOND, {NEXT})
    run = asked(DEBIAN, "590")
    assert run.rc == 0
    works(DEBIAN, NEXT)


@pytest.mark.parametrize("kind", [pytest.param("proprietary", marks=exhaustive), "open"])
def test_an_older_branch_and_the_other_kind_of_modules(kind: str) -> None:
    # The newest vLLM that this branch runs.
    assert asked(DEBIAN, "570", vllm_version="0.19.1", nvidia_driver_modules=kind).rc == 0
    works(DEBIAN, OLD, opened=kind == "open")
    assert versions(DEBIAN) == {OLD}
    kinds = {"open": "nvidia-kernel-open-dkms", "proprietary": "nvidia-kernel-dkms"}
    assert set(kinds.values()) & set(packages(DEBIAN)) == {kinds[kind]}


def test_a_process_that_is_not_ours_is_named_and_not_ended(user: None) -> None:
    assert see(DEBIAN).loaded == OLD
    before = boot_id(DEBIAN)
    run = asked(DEBIAN, FIRST)
    assert run.rc != 0
    assert "gpu-user.service" in run.text
    assert "nvidia_driver_reboot" in run.text
    assert show(host(DEBIAN), "gpu-user.service", "ActiveState") == {"ActiveState": "active"}
    assert boot_id(DEBIAN) == before
    # With leave to reboot, a second run finishes what the first could not.
    run = asked(DEBIAN, FIRST, nvidia_driver_reboot=True)
    assert run.rc == 0
    assert boot_id(DEBIAN) != before
    works(DEBIAN, FIRST)


def test_a_module_that_cannot_be_built_is_told_with_the_compilers_words_and_everything_goes_back() -> None:
    run = asked(DEBIAN, BROKEN)
    assert run.rc != 0
    assert "this driver does not know this kernel" in run.text
    assert versions(DEBIAN) == {FIRST}
    works(DEBIAN, FIRST)
    assert BROKEN not in host(DEBIAN).check_output("cat /etc/apt/preferences.d/nvidia-driver")
    assert asked(DEBIAN, FIRST).changed == 0, "nothing of it is left"
