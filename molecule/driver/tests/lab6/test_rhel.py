"""The RHEL family: dnf's module streams, prebuilt modules, versionlock. A stand-in throughout: Debian's dnf on "Rocky Linux 9"."""

from __future__ import annotations

from gpu_lab import FIRST, RHEL, SECOND, asked, module_of, packages, reboot, trips, versions, works
from testlab import host
from thoroughness import exhaustive


def test_a_branch_comes_from_its_stream_and_is_built_for_the_kernel() -> None:
    run = asked(RHEL, "580")
    assert run.rc == 0
    works(RHEL, SECOND)
    assert versions(RHEL) == {SECOND}
    assert "580-open [e]" in host(RHEL).check_output("dnf -q module list --enabled")


def test_nothing_to_do_costs_three_round_trips_at_most() -> None:
    run = asked(RHEL, "580", "-vvv", quiet=True)
    assert (run.rc, run.changed) == (0, 0)
    assert 1 <= trips(run, RHEL) <= 3


@exhaustive
def test_dnf_upgrades_leave_the_driver_alone() -> None:
    assert asked(RHEL, FIRST).rc == 0
    works(RHEL, FIRST)
    before = packages(RHEL)
    host(RHEL).check_output("dnf -y upgrade")
    assert packages(RHEL) == before
    works(RHEL, FIRST)


@exhaustive
def test_the_proprietary_modules_are_those_made_for_the_kernel() -> None:
    assert asked(RHEL, FIRST, nvidia_driver_modules="proprietary").rc == 0
    works(RHEL, FIRST, opened=False)
    assert [name for name in packages(RHEL) if name.startswith(f"kmod-nvidia-{FIRST}-")]
    assert asked(RHEL, FIRST, nvidia_driver_modules="open").rc == 0
    works(RHEL, FIRST)


@exhaustive
def test_a_new_kernel_gets_its_module_before_it_boots() -> None:
    new = "6.1.0-56.el9.x86_64"
    host(RHEL).check_output("dnf -y install kernel-core-6.1.0-56.el9")
    assert asked(RHEL, FIRST).rc == 0
    assert module_of(RHEL, new) == FIRST
    reboot(RHEL)
    assert host(RHEL).check_output("uname -r") == new
    works(RHEL, FIRST)


def test_it_goes_without_a_trace() -> None:
    assert asked(RHEL, FIRST, nvidia_driver_state="absent").rc == 0
    assert packages(RHEL) == {}
    assert host(RHEL).run("ls /etc/yum.repos.d/nvidia-driver.repo /etc/modprobe.d/nouveau-off.conf").stdout == ""
    assert "nvidia" not in host(RHEL).check_output("dnf -q versionlock list")
