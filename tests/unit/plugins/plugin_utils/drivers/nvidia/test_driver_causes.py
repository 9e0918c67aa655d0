"""The line that names the cause, from what the tools really print (Debian 12: apt 2.6, dkms 3.0.10; dnf 4.14)."""

from __future__ import annotations

import pytest
from ansible_collections.baremetal.vllm.plugins.module_utils.drivers.nvidia.causes import build_log, cause, stage

DKMS = """Building initial module for 6.1.0-56-amd64
Error! Bad return status for module build on kernel: 6.1.0-56-amd64 (x86_64)
Consult /var/lib/dkms/nvidia/580.95.05/build/make.log for more information.
dpkg: error processing package nvidia-kernel-open-dkms (--configure):
 installed nvidia-kernel-open-dkms package post-installation script subprocess returned error exit status 10
Errors were encountered while processing:
 nvidia-kernel-open-dkms
E: Sub-process /usr/bin/dpkg returned an error code (1)""".splitlines()


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        (DKMS, "Error! Bad return status for module build on kernel: 6.1.0-56-amd64 (x86_64)"),
        ([*DKMS, "nv.c:10:2: error: #error no such kernel"], "nv.c:10:2: error: #error no such kernel"),
        (["Reading package lists...", "E: Version '1' for 'x' was not found"], "E: Version '1' for 'x' was not found"),
        (["rmmod: ERROR: Module nvidia is in use"], "rmmod: ERROR: Module nvidia is in use"),
        (
            ["No match for argument: kmod-nvidia", "Error: Unable to find a match: kmod-nvidia"],
            "Error: Unable to find a match: kmod-nvidia",
        ),
        ([], ""),
    ],
)
def test_the_cause_of_many_lines(lines: list[str], expected: str) -> None:
    assert cause(lines) == expected


def test_the_build_log_is_the_one_dkms_names() -> None:
    assert build_log(DKMS) == "/var/lib/dkms/nvidia/580.95.05/build/make.log"
    assert build_log(["E: nothing"]) == ""


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("Get:3 http://repo.example debian12 nvidia-smi amd64 535.309.01-0 [1 kB]", "download nvidia-smi 535.309.01-0"),
        ("Setting up nvidia-kernel-dkms (535.309.01-0+deb12u1) ...", "set up nvidia-kernel-dkms 535.309.01-0+deb12u1"),
        ("Building initial module for 6.1.0-56-amd64", "build the module for 6.1.0-56-amd64"),
        ("update-initramfs: Generating /boot/initrd.img-6.1.0-56-amd64", "make /boot/initrd.img-6.1.0-56-amd64"),
        (
            "  Installing       : kmod-nvidia-open-dkms-3:580.95.05-1.el9.noarch     3/12 ",
            "3/12 kmod-nvidia-open-dkms-3:580.95.05-1.el9.noarch",
        ),
        ("Reading state information...", ""),
    ],
)
def test_what_a_line_says_to_the_person_waiting(line: str, expected: str) -> None:
    assert stage(line) == expected
