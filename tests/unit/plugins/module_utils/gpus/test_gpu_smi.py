"""nvidia-smi as releases from 418 to 590 answer, and as it fails."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.baremetal.vllm.plugins.module_utils.gpus import smi
from ansible_collections.baremetal.vllm.plugins.module_utils.gpus.model import Facts
from ansible_collections.baremetal.vllm.plugins.plugin_utils.inventory.jsonform import build
from recorded_gpus import A100_MIG, DATA, H100, REPORTS, T4, Tool, facts, report

MIB = 2**20

# Recording, driver, CUDA, name, MiB, address, minor, power limit and its bounds, volatile uncorrectable errors.
RELEASES: list[tuple[str, Any]] = [
    ("gtx1070-418.56.xml", ("418.56", "10.1", "GeForce GTX 1070", 8119, "0000:01:00.0", 0, (151, 75, 170), None)),
    ("v100s-460.73.01.xml", ("460.73.01", "11.2", "Tesla V100S-PCIE-32GB", 32510, "0000:00:0d.0", 0, (250, 100, 250), 0)),
    ("t4-515.105.01.xml", ("515.105.01", "11.7", "Tesla T4", 15360, "0000:00:1e.0", 0, (70, 60, 70), 0)),
    ("a100-mig-535.54.03.xml", ("535.54.03", "12.2", "NVIDIA A100-SXM4-80GB", 81920, "0000:01:00.0", 1, (500, 100, 500), 0)),
    ("rtx3080-windows-536.40.xml", ("536.40", "12.2", "NVIDIA GeForce RTX 3080", 10240, "0000:04:00.0", None, (336, 100, 336), None)),
    ("h100x2-565.57.01.xml", ("565.57.01", "12.7", "NVIDIA H100 80GB HBM3", 81559, "0000:18:00.0", 0, (700, 200, 700), 0)),
    ("rtx4070-laptop-575.51.02.xml", ("575.51.02", "12.9", "NVIDIA GeForce RTX 4070 Laptop GPU", 8188, "0000:01:00.0", 0, (95, 5, 140), None)),
    ("a5000-590.44.01.xml", ("590.44.01", "13.1", "NVIDIA RTX A5000", 24564, "0000:81:00.0", 1, (230, 100, 230), None)),
    ("rtx-pro-6000-590.44.01.xml",
     ("590.44.01", "13.1", "NVIDIA RTX PRO 6000 Blackwell Max-Q Workstation Edition", 97887, "0000:61:00.0", 0, (300, 250, 325), None)),
]  # fmt: skip


@pytest.mark.parametrize(("name", "expected"), RELEASES, ids=[name for name, __ in RELEASES])
def test_each_generation_of_reports_is_understood(name: str, expected: Any) -> None:
    read = facts(report(name))
    gpu = read.gpus[0]
    assert (read.error, read.returncode) == ("", 0)
    limits = (gpu.power_limit, gpu.power_limit_min, gpu.power_limit_max)
    seen = (
        read.driver,
        read.cuda,
        gpu.name,
        (gpu.memory or 0) // MIB,
        gpu.address,
        gpu.minor,
        limits,
        gpu.errors.uncorrectable,
    )
    assert seen == expected


def test_every_recording_is_in_the_table() -> None:
    assert sorted(name for name, __ in RELEASES) == REPORTS


@pytest.mark.parametrize("name", REPORTS)
def test_facts_survive_the_way_through_json(name: str) -> None:
    read = facts(report(name), "0, 00000000:18:00.0, 9.0")
    assert build(Facts, asdict(read)) == read


def test_a_whole_gpu() -> None:
    gpu = facts(report(H100)).gpus[0]
    assert gpu.persistence is True
    assert (gpu.mig, gpu.mig_pending, gpu.ecc) == ("disabled", "disabled", "enabled")
    assert (gpu.fabric, gpu.recovery, gpu.slowdown, gpu.trouble) == ("completed", "none", (), "")
    assert (gpu.errors.remap_pending, gpu.errors.threshold, gpu.errors.uncorrectable_total) == (False, False, 0)
    assert (gpu.pcie_generation, gpu.pcie_generation_max, gpu.pcie_width, gpu.pcie_width_max) == (5, 5, 16, 16)
    assert (gpu.compute_mode, gpu.max_graphics_clock, gpu.temperature) == ("Default", 1980, 30.0)
    assert (gpu.serial, gpu.memory_used) == ("1654423001593", MIB)


@pytest.mark.parametrize(
    ("replaced", "counted"),
    [
        ({}, 0),
        ({"sram_uncorrectable_parity": "1"}, 1),
        ({"sram_uncorrectable_parity": "1", "sram_uncorrectable_secded": "2", "dram_uncorrectable": "4"}, 7),
        ({"sram_uncorrectable_parity": "N/A"}, 0),
        ({"dram_correctable": "9"}, 0),
    ],
)
def test_uncorrectable_errors_are_counted_in_all_their_parts(replaced: dict[str, str], counted: int) -> None:
    assert facts(report(H100, **replaced)).gpus[0].errors.uncorrectable == counted


def test_a_deprecated_element_is_no_answer_and_its_successor_is() -> None:
    assert facts(report("rtx4070-laptop-575.51.02.xml")).gpus[0].recovery == "none"
    assert (
        facts(report("rtx4070-laptop-575.51.02.xml", gpu_recovery_action="Drain and Reset")).gpus[0].recovery
        == "drain and reset"
    )
    assert facts(report(A100_MIG, reset_required="Yes")).gpus[0].recovery == "reset"
    assert facts(report(A100_MIG, drain_and_reset_recommended="Yes")).gpus[0].recovery == "drain and reset"
    assert facts(report(T4)).gpus[0].recovery == ""


@pytest.mark.parametrize(
    ("state", "status", "seen"),
    [
        ("Completed", "Success", "completed"),
        ("In Progress", "N/A", "in progress"),
        ("Not Started", "N/A", "not started"),
        ("Completed", "Insufficient Resources", "completed with insufficient resources"),
        ("N/A", "N/A", ""),
    ],
)
def test_fabric(state: str, status: str, seen: str) -> None:
    assert facts(report(H100, state=state, status=status)).gpus[0].fabric == seen


def test_what_ails_a_gpu_at_the_fabric() -> None:
    # Words as `nvidia-smi -q` of a GB200 printed them: kubernetes-sigs/dra-driver-nvidia-gpu issue 626.
    health = "<summary>Unhealthy</summary><bandwidth>Full</bandwidth><route_unhealthy>True</route_unhealthy>"
    rest = "<route_recovery_in_progress>False</route_recovery_in_progress><incorrect_configuration>None</incorrect_configuration>"
    gpu = facts(report(H100, health=health + rest)).gpus[0]
    assert (gpu.fabric, gpu.fabric_health) == ("completed", "summary unhealthy, route unhealthy true")
    assert facts(report(H100)).gpus[0].fabric_health == ""


def test_index_and_capability_come_from_the_query() -> None:
    # Indices as of a host whose GPU 0 is lost.
    read = facts(report(H100), "1, 00000000:18:00.0, 9.0\n2, 00000000:2A:00.0, 9.0\n")
    assert [(gpu.index, gpu.address, gpu.capability) for gpu in read.gpus] == [
        (1, "0000:18:00.0", "9.0"),
        (2, "0000:2a:00.0", "9.0"),
    ]


def test_a_release_that_does_not_know_the_capability_still_gives_the_index() -> None:
    def run(argv: list[str]) -> tuple[int, str, str]:
        if argv[1] == "-q":
            return 0, report(T4), ""
        if "compute_cap" in argv[1]:
            return 2, 'Field "compute_cap" is not a valid field to query.\n\n', ""
        return (0, "3, 00000000:00:1E.0\n", "") if argv[1].startswith("--query") else (2, "", "")

    assert [(gpu.index, gpu.capability) for gpu in smi.read(run).gpus] == [(3, "")]


def test_mig_slices_have_names_from_the_list() -> None:
    listed = (DATA / "mig-list.txt").read_text()
    devices = facts(report(A100_MIG), "4, 00000000:01:00.0, 8.0", list_=listed).gpus[0].mig_devices
    assert [(device.index, device.gpu_instance, device.memory // MIB) for device in devices] == [
        (0, 3, 19968), (1, 4, 19968), (2, 5, 19968), (3, 6, 19968),
    ]  # fmt: skip
    # The list is of another A100 than the report: 1g.5gb is not what these slices are.
    assert devices[2].uuid == "MIG-4dcaea94-446a-522c-88e1-e8fb193ca789"
    assert {device.profile for device in devices} == {"1g.5gb"}


def test_processes() -> None:
    seen = facts(report("rtx4070-laptop-575.51.02.xml")).gpus[0].processes
    assert [(each.pid, each.name, each.kind, each.memory) for each in seen] == [
        (1802, "/run/current-system/sw/bin/Hyprland", "G", 1448 * MIB),
        (1890, "Xwayland", "G", 23 * MIB),
    ]


def test_a_command_line_that_is_no_xml_costs_nothing() -> None:
    text = report("rtx4070-laptop-575.51.02.xml").replace("Xwayland", "a&&b\x07=&y -o x")
    assert [each.name for each in facts(text).gpus[0].processes][1] == "a??b?=?y"


def test_numa_comes_from_the_kernel(tmp_path: Path) -> None:
    for address, node in (("0000:18:00.0", "1\n"), ("0000:2a:00.0", "-1\n")):
        (tmp_path / "sys/bus/pci/devices" / address).mkdir(parents=True)
        (tmp_path / "sys/bus/pci/devices" / address / "numa_node").write_text(node)
    assert [gpu.numa for gpu in smi.read(Tool({"-q": (0, report(H100))}), tmp_path).gpus] == [1, None]


@pytest.mark.parametrize(
    ("name", "commands"),
    [(T4, ["-q", "--query"]), (H100, ["-q", "--query", "nvlink", "topo"]), (A100_MIG, ["-q", "--query", "-L"])],
)
def test_what_is_asked(name: str, commands: list[str]) -> None:
    tool = Tool({"-q": (0, report(name)), "--query": (0, "0, 00000000:18:00.0, 9.0\n")})
    smi.read(tool)
    assert [argv[1].partition("-gpu=")[0] for argv in tool.asked] == commands
    assert tool.asked[0] == ["nvidia-smi", "-q", "-x"]


# Status, output, what is kept as the error.
FAILURES = [
    (9, "NVIDIA-SMI has failed because it couldn't communicate with the NVIDIA driver. Make sure that the latest NVIDIA driver is "
        "installed and running.\n\n", "NVIDIA-SMI has failed because it couldn't communicate with the NVIDIA driver."),
    (18, "Failed to initialize NVML: Driver/library version mismatch\nNVML library version: 580.173\n",
     "Failed to initialize NVML: Driver/library version mismatch NVML library version: 580.173"),
    (6, "No devices were found\n", "No devices were found"),
    (255, "Unable to determine the device handle for GPU0000:CB:00.0: Unknown Error\n", "Unable to determine the device handle for GPU0000:CB"),
    (15, "Unable to determine the device handle for GPU 0000:02:00.0: GPU is lost.  Reboot the system to recover this GPU\n",
     "GPU is lost. Reboot the system to recover this GPU"),
    (12, "", "nvidia-smi said nothing and ended with status 12"),
]  # fmt: skip


@pytest.mark.parametrize(("returncode", "out", "kept"), FAILURES)
def test_a_failure_is_kept_in_the_tools_own_words(returncode: int, out: str, kept: str) -> None:
    tool = Tool({"-q": (returncode, out)})
    read = smi.read(tool)
    assert kept in read.error
    assert "\n" not in read.error
    assert (read.returncode, read.gpus, len(tool.asked)) == (returncode, (), 1)


def test_not_installed() -> None:
    read = smi.read(lambda argv: (127, "", "nvidia-smi is not installed"))
    assert (read.returncode, read.error) == (None, "nvidia-smi is not installed")


def test_no_answer_is_the_last_question() -> None:
    asked = []
    read = smi.read(lambda argv: asked.append(argv) or (124, "", "nvidia-smi did not answer within 30 s"))  # type: ignore[func-returns-value]
    assert (read.returncode, read.error, len(asked)) == (124, "nvidia-smi did not answer within 30 s", 1)


def test_the_gpus_that_answer_are_reported_beside_the_one_that_does_not() -> None:
    # Driver 610: the sentence stands above the report.
    lost = "Unable to determine the device handle for GPU1: 0000:34:00.0: Unknown Error\n"
    read = facts(lost + report(H100), returncode=0)
    assert read.error == lost.strip()
    assert len(read.gpus) == 2


def test_a_lost_gpu_is_told_on_standard_error_and_with_status_0_too() -> None:
    lost = "Unable to determine the device handle for GPU1: 0000:44:00.0: Unknown Error\n"
    read = smi.read(lambda argv: (0, report(T4), lost) if argv[1:] == ["-q", "-x"] else (0, "", ""))
    assert (read.error, len(read.gpus)) == (lost.strip(), 1)


def test_a_warning_below_the_report_is_kept() -> None:
    read = facts(report(T4) + "WARNING: infoROM is corrupted at gpu 0000:00:1E.0\n", returncode=14)
    assert (read.error, len(read.gpus)) == ("WARNING: infoROM is corrupted at gpu 0000:00:1E.0", 1)


def test_a_report_that_was_cut_off_keeps_its_whole_gpus() -> None:
    text = report(H100)
    read = facts(text[: text.index("</gpu>") + 200])
    assert ([gpu.address for gpu in read.gpus], read.error) == (["0000:18:00.0"], "The XML report is cut off.")


def test_a_report_without_gpus() -> None:
    read = facts(
        '<?xml version="1.0" ?>\n<nvidia_smi_log>\n\t<driver_version>418.39</driver_version>\n</nvidia_smi_log>\n'
    )
    assert (read.gpus, read.driver, read.error) == ((), "418.39", "")


@pytest.mark.parametrize(
    ("replaced", "trouble"),
    [
        ({"fb_memory_usage": "<total>GPU is lost</total>"}, "GPU is lost"),
        ({"current_ecc": "[GPU requires reset]"}, "GPU requires reset"),
        ({"gpu_temp": "Unknown Error"}, "Unknown Error for temperature/gpu_temp"),
        ({"uuid": "ERR!"}, "Unknown Error for uuid"),
        ({"requested_power_limit": "[Unknown Error]"}, ""),
        ({"gpu_temp": "N/A"}, ""),
    ],
)
def test_a_gpu_that_cannot_be_read_says_so(replaced: dict[str, str], trouble: str) -> None:
    assert facts(report(H100, **replaced)).gpus[0].trouble == trouble
