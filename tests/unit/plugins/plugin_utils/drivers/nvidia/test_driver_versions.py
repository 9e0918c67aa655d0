"""Comparing versions as both package managers do; dpkg itself is asked where it is at hand."""

from __future__ import annotations

import shutil
import subprocess

import pytest
from ansible_collections.baremetal.vllm.plugins.module_utils.drivers.nvidia import versions
from hypothesis import given, settings
from hypothesis import strategies as st

# Each line in ascending order.
DEBIAN = [
    ["535.216.03-2~bpo12+1", "535.261.03-1", "535.309.01-0+deb12u1"],
    ["550.163.01-2", "550.163.01-4~bpo13+1", "550.163.01-4"],
    ["580.95.05-0ubuntu1", "580.95.05-1ubuntu1", "580.126.09-0ubuntu1", "580.142-0ubuntu3", "1:418.226.00-1"],
    ["5.15.0-25.25", "5.15.0-204.214", "6.8.0-31.31", "6.8.0-151.151"],
    ["1.0~rc1", "1.0", "1.0a", "1.0+b", "1.0.1", "1.00002"],
]
# From rpm's own tests (tests/rpmvercmp.at) and NVIDIA's packages.
RPM = [
    ["3:570.195.03-1.el9", "3:580.95.05-1.el9", "3:580.105.08-1.el9", "3:580.178.04-1.el9", "3:580.178.04-3.el9_8"],
    ["580.95.05-1", "3:570.195.03-1"],
    ["1.0~rc1", "1.0~rc2", "1.0", "1.0^20160101", "1.0^20160102", "1.0.1^20160101"],
    ["5.5p1", "5.5p2", "5.5p10"],
    ["10xyz", "10.1xyz"],
    ["xyz.4", "2", "8"],
    ["1.0~rc1^git1", "1.0^git1~pre", "1.0^git1"],
]
DPKG = shutil.which("dpkg")


@pytest.mark.parametrize("line", DEBIAN)
def test_debian_order(line: list[str]) -> None:
    for older, newer in zip(line, line[1:]):
        assert versions.compare_debian(older, newer) < 0 < versions.compare_debian(newer, older)
        assert versions.compare_debian(older, older) == 0
    assert versions.newest("debian", line[::-1]) == line[-1]


@pytest.mark.parametrize("line", RPM)
def test_rpm_order(line: list[str]) -> None:
    for older, newer in zip(line, line[1:]):
        assert versions.compare_rpm(older, newer) < 0 < versions.compare_rpm(newer, older)
        assert versions.compare_rpm(newer, newer) == 0
    assert versions.newest("rhel", line[::-1]) == line[-1]


@pytest.mark.parametrize(("left", "right"), [("1.0", "1_0"), ("1.0.", "1.0"), ("01", "1"), ("2.0.1", "2_0_1")])
def test_rpm_equal(left: str, right: str) -> None:
    assert versions.compare_rpm(left, right) == 0


WORD = st.from_regex(r"\A[0-9][0-9a-zA-Z.+~]{0,9}\Z")
FULL = st.builds(lambda a, b: f"{a}-{b}" if b else a, WORD, st.one_of(st.just(""), WORD))


@pytest.mark.skipif(DPKG is None, reason="no dpkg here")
@settings(max_examples=60, deadline=None)
@given(FULL, FULL)
def test_dpkg_agrees(left: str, right: str) -> None:
    def dpkg(relation: str) -> bool:
        return subprocess.run([str(DPKG), "--compare-versions", left, relation, right], check=False).returncode == 0

    found = versions.compare_debian(left, right)
    assert (found < 0, found == 0, found > 0) == (dpkg("lt"), dpkg("eq"), dpkg("gt"))


@given(FULL, FULL)
def test_orders_are_antisymmetric(left: str, right: str) -> None:
    for compare in (versions.compare_debian, versions.compare_rpm):
        ours, theirs = compare(left, right), compare(right, left)
        assert (ours > 0) == (theirs < 0)
        assert (ours == 0) == (theirs == 0)


@pytest.mark.parametrize(
    ("full", "version"),
    [
        ("580.95.05-1ubuntu1", "580.95.05"),
        ("3:580.95.05-1.el9", "580.95.05"),
        ("580.142-0ubuntu3", "580.142"),
        ("535.309.01-0+deb12u1", "535.309.01"),
        ("535.171.04-1~deb12u1", "535.171.04"),
        ("6.8.0-151.151", ""),
        ("20220217+3~deb12u1", ""),
        ("11.8.86~11.8.0-5~deb12u1", ""),
        ("1.18.1-1", ""),
        ("1:4.4.2-1", ""),
        ("", ""),
    ],
)
def test_driver_version(full: str, version: str) -> None:
    assert versions.driver(full) == version


def test_numbers_are_compared_as_numbers() -> None:
    assert max(["580.95.05", "580.142", "580.105.08"], key=versions.numbers) == "580.142"
