"""A bare Debian host gets a driver from NVIDIA's repository (a mirror of stand-ins), and keeps it; tests run in file order."""

from __future__ import annotations

from gpu_lab import (
    DEBIAN,
    FIRST,
    HALF,
    NEXT,
    OLD,
    SECOND,
    asked,
    driver,
    module_of,
    packages,
    reboot,
    see,
    trips,
    versions,
    works,
)
from testlab import host, show


def state() -> str:
    """All that a run could leave on the host."""
    places = "/etc/apt /etc/modprobe.d /etc/systemd/system /usr/src /var/lib/dkms /lib/modules"
    return str(
        host(DEBIAN).run("find %s ! -type d 2>/dev/null | sort; dpkg -l | md5sum; ls /sys/module", places).stdout
    )


def test_check_mode_on_a_bare_host_tells_what_would_come_and_leaves_it_bare() -> None:
    before = state()
    run = asked(DEBIAN, "580", "--check", "--diff")
    assert run.rc == 0
    assert run.recap[DEBIAN]["changed"] >= 1
    assert state() == before


def test_a_version_that_is_not_offered_is_refused_with_those_that_are() -> None:
    run = asked(DEBIAN, "999")
    assert run.rc != 0
    for words in (OLD, FIRST, SECOND, NEXT, "nvidia_driver_version"):
        assert words in run.text
    assert packages(DEBIAN) == {}


def test_a_version_that_comes_without_modules_is_refused() -> None:
    run = asked(DEBIAN, HALF)
    assert run.rc != 0
    assert f"{HALF} is not on offer" in run.text
    assert packages(DEBIAN) == {}


def test_a_branch_becomes_the_newest_version_of_which_everything_is_there() -> None:
    assert see(DEBIAN).nouveau
    run = asked(DEBIAN, "580")
    assert run.rc == 0
    works(DEBIAN, SECOND)
    assert versions(DEBIAN) == {SECOND}
    assert show(host(DEBIAN), "nvidia-persistenced.service", "ActiveState") == {"ActiveState": "active"}


def test_nothing_to_do_costs_three_round_trips_at_most() -> None:
    run = asked(DEBIAN, "580", "-vvv", quiet=True)
    assert (run.rc, run.changed) == (0, 0)
    assert 1 <= trips(run, DEBIAN) <= 3
    assert driver(DEBIAN).changed == 0, "what works is kept where no version is asked for"


def test_upgrades_of_the_system_leave_the_driver_alone() -> None:
    target, before = host(DEBIAN), packages(DEBIAN)
    simulated = target.check_output("apt-get -s dist-upgrade")
    assert not [line for line in simulated.splitlines() if line.startswith("Inst") and "nvidia" in line]
    target.check_output(
        """echo 'Unattended-Upgrade::Origins-Pattern {"origin=*"; "site=*";};' > /etc/apt/apt.conf.d/99all"""
    )
    target.check_output("unattended-upgrade -v")
    target.check_output("rm /etc/apt/apt.conf.d/99all")
    assert packages(DEBIAN) == before
    works(DEBIAN, SECOND)


def test_removing_what_is_not_needed_leaves_the_driver_alone() -> None:
    before = packages(DEBIAN)
    host(DEBIAN).check_output("apt-get -y autoremove")
    assert packages(DEBIAN) == before


def test_after_a_reboot_the_driver_is_there_again() -> None:
    reboot(DEBIAN)
    works(DEBIAN, SECOND)
    assert module_of(DEBIAN, host(DEBIAN).check_output("uname -r")) == SECOND
    assert asked(DEBIAN, "580").changed == 0
