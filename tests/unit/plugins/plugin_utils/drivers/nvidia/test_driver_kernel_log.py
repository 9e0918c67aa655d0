"""What is read out of the kernel's log. Lines as users quote them in public issue trackers, addresses changed."""

from __future__ import annotations

import pytest
from ansible_collections.baremetal.vllm.plugins.module_utils.drivers.nvidia import kernel_log
from ansible_collections.baremetal.vllm.plugins.module_utils.drivers.nvidia.model import Xid
from hypothesis import given
from hypothesis import strategies as st

FALLEN = "NVRM: Xid (PCI:0000:05:00): 79, pid='<unknown>', name=<unknown>, GPU has fallen off the bus."


@pytest.mark.parametrize(
    ("line", "address", "code", "text"),
    [
        (FALLEN, "0000:05:00.0", 79, "pid='<unknown>', name=<unknown>, GPU has fallen off the bus."),
        (
            "[  12.5] NVRM: Xid (PCI:0000:9B:00): 119, pid=12, name=x, Timeout after 6s",
            "0000:9b:00.0",
            119,
            "pid=12, name=x, Timeout after 6s",
        ),
        (
            "Apr  7 03:57 gpu1 kernel: NVRM: Xid (0000:03:00): 14, Channel 00000001",
            "0000:03:00.0",
            14,
            "Channel 00000001",
        ),
        ("NVRM: Xid (PCI:0000:83:00): 48", "0000:83:00.0", 48, ""),
        (
            "NVRM: Xid (PCI:0009:01:00): 154, GPU recovery action changed from 0x0 (None) to 0x4 (Drain and Reset)",
            "0009:01:00.0",
            154,
            "GPU recovery action changed from 0x0 (None) to 0x4 (Drain and Reset)",
        ),
        ("NVRM: Xid (PCI:0000:3b:00 GPU-I:02): 94, Contained: SM (0x1).", "0000:3b:00.0", 94, "Contained: SM (0x1)."),
        ("NVRM: GPU 0000:29:00.0: GPU has fallen off the bus.", "0000:29:00.0", 79, "GPU has fallen off the bus"),
    ],
)
def test_lines_with_an_xid(line: str, address: str, code: int, text: str) -> None:
    assert kernel_log.xids([line]) == (Xid(address, code, 1, text),)


@pytest.mark.parametrize(
    "line",
    [
        "",
        "NVRM: Xid error: xyz, invalid data",
        "NVRM: Xid (invalid): 79, some error",
        "NVRM: GPU at PCI:0000:05:00: GPU-b850f46d-d5ea-c752-ddf3-c4453e44d3f7",
        "NVRM: loading NVIDIA UNIX x86_64 Kernel Module  580.95.05  Tue Sep",
        "nvidia-nvswitch0: SXid (PCI:0000:c1:00.0): 20034, Non-fatal, Link 32 LTSSM Fault Up",
    ],
)
def test_lines_without(line: str) -> None:
    assert kernel_log.xids([line]) == ()


def test_xids_are_counted_by_gpu_and_code() -> None:
    lines = [
        "NVRM: Xid (PCI:0000:cb:00): 13, first",
        "NVRM: GPU 0000:05:00.0: GPU has fallen off the bus.",
        "NVRM: Xid (PCI:0000:cb:00): 13, second",
        "NVRM: Xid (PCI:0000:cb:00): 31, third",
        FALLEN,
    ]
    found = kernel_log.xids(lines)
    assert [(xid.address, xid.code, xid.count) for xid in found] == [
        ("0000:05:00.0", 79, 1),
        ("0000:cb:00.0", 13, 2),
        ("0000:cb:00.0", 31, 1),
    ]
    assert found[1].text == "second"


def test_a_fatal_error_is_not_hidden_by_lesser_ones_of_its_code() -> None:
    # Lines of leptonai/gpud, components/accelerator/nvidia/xid/kmsg_extended_test.go.
    fatal = "NVRM: Xid (PCI:0008:01:00): 149, NETIR_LINK_EVT Fatal XC0 i0 Link 08 (0x004505c6 0x00000000)"
    lesser = "NVRM: Xid (PCI:0008:01:00): 149, NETIR_BER_EVENT Nonfatal XC0 i0 Link 01 (0x00082226 0x00000001)"
    for lines in ([fatal, lesser], [lesser, fatal], [lesser, fatal, lesser]):
        (found,) = kernel_log.xids(lines)
        assert (found.count, found.text.split()[1]) == (len(lines), "Fatal")


@pytest.mark.parametrize(
    "line",
    [
        "NVRM: GPU 0000:a2:00.0: RmInitAdapter failed! (0x62:0x40:2168)",
        "NVRM: installed in this system requires use of the NVIDIA open kernel modules.",
        "NVRM: fallen off the bus and is not responding to commands.",
        "NVRM: ignoring the legacy GPU 0000:04:00.0",
        "nvidia-nvswitch3: SXid (PCI:0000:c6:00.0): 22013, Fatal, Link 16 Minion Link DLREQ interrupt",
        "NVRM: API mismatch: the client has the version 535.247.01, but",
        "NVRM: No NVIDIA devices probed.",
        "NVRM: No NVIDIA graphics adapter probed!",
        "NVRM: The NVIDIA probe routine was not called for 1 device(s).",
        "NVRM: RmFetchGspRmImages: No firmware image found",
        "nvidia 0000:01:00.0: Direct firmware load for nvidia/595.71.05/gsp_ga10x.bin failed with error -2",
        "nvidia 0000:82:00.0: loading /lib/firmware/nvidia/595.71.05/gsp_ga10x.bin failed with error -4",
        "nvidia: version magic '6.1.0-9-amd64 SMP' should be '6.1.0-10-amd64 SMP'",
        "nvidia: disagrees about version of symbol module_layout",
        "Loading of unsigned module is rejected",
        "Loading of module with unavailable key is rejected",
        "Lockdown: modprobe: unsigned module loading is restricted; see man kernel_lockdown.7",
    ],
)
def test_complaints(line: str) -> None:
    assert kernel_log.complaints([f"[  530.504375] {line}", "usb 4-1: new full speed USB device"]) == (line,)


@pytest.mark.parametrize(
    "line",
    [
        # Every module of DKMS without Secure Boot: NVIDIA/k8s-device-plugin issue 480.
        "nvidia: module verification failed: signature and/or required key missing - tainting kernel",
        "nvidia: loading out-of-tree module taints kernel.",
        "nvidia-nvswitch0: SXid (PCI:0000:c3:00.0): 20009, Non-fatal, Link 28 RX Short Error Rate",
        "NVRM: GPU at PCI:0000:06:00: GPU-604d3abb-43d5-088f-f873-9dc453a081a5",
    ],
)
def test_what_is_no_complaint(line: str) -> None:
    assert kernel_log.complaints([line]) == ()


def test_complaints_are_the_newest_few_each_once() -> None:
    lines = [f"NVRM: GPU 0000:0{n % 8}:00.0: RmInitAdapter failed!" for n in range(100)]
    assert len(kernel_log.complaints(lines)) == 6
    assert kernel_log.complaints([FALLEN]) == ()


def test_the_journal_is_read_and_without_one_the_kernels_buffer() -> None:
    asked = []

    def journal(argv: list[str]) -> tuple[int, str, str]:
        asked.append(argv)
        return 0, f"one\n{FALLEN}\n", ""

    assert kernel_log.read(journal) == ["one", FALLEN]
    kernel_log.read(journal, "2026-11-23 10:00")
    assert asked[1][-2:] == ["--since", "2026-11-23 10:00"]

    def buffer(argv: list[str]) -> tuple[int, str, str]:
        return (0, f"[    1.0] {FALLEN}\n", "") if argv[0] == "dmesg" else (127, "", "")

    assert kernel_log.xids(kernel_log.read(buffer))[0].code == 79
    # A buffer without dates cannot tell what came later.
    assert kernel_log.read(buffer, "10:00") == []
    assert kernel_log.read(lambda argv: (124, "", "no answer")) == []


@given(st.lists(st.one_of(st.text(max_size=60), st.from_regex(r"NVRM: Xid \(PCI:[0-9a-f:]{0,12}\): \d{1,4}.{0,20}"))))
def test_any_log_is_survived(lines: list[str]) -> None:
    assert all(xid.count >= 1 for xid in kernel_log.xids(lines))
    assert len(kernel_log.complaints(lines)) <= 6
