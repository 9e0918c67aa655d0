"""What is made of sick GPUs."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from ansible_collections.baremetal.vllm.plugins.module_utils.gpus.model import Facts
from ansible_collections.baremetal.vllm.plugins.plugin_utils.gpus import health
from recorded_gpus import H100, REPORTS, T4, V100S, amd_facts, amd_tool, facts, report

CSV = "0, 00000000:18:00.0, 9.0\n1, 00000000:2A:00.0, 9.0\n"


def found(text: str, **more: Any) -> list[tuple[str, bool, str]]:
    return [(each.name, each.fatal, each.heal) for each in health.findings(facts(text, CSV, **more))]


@pytest.mark.parametrize("name", sorted(set(REPORTS) - {T4}))
def test_nothing_is_wrong_with_the_recorded_gpus(name: str) -> None:
    assert health.findings(facts(report(name))) == []


def test_half_the_lanes_are_told_and_refuse_nothing() -> None:
    (finding,) = health.findings(facts(report(T4)))
    assert (finding.name, finding.fatal) == ("pcie-narrow", False)
    assert "GPU 0 (0000:00:1e.0) runs at x8 of x16" in finding.message


# Elements replaced in the report of the first of two H100, and what is found.
FAULTS: list[tuple[dict[str, str], tuple[str, bool, str]]] = [
    ({"dram_uncorrectable": "3"}, ("ecc-uncorrectable", True, "reboot")),
    ({"remapped_row_pending": "Yes"}, ("row-remap-pending", True, "reboot")),
    ({"remapped_row_failure": "Yes"}, ("row-remap-failed", True, "")),
    ({"pending_retirement": "Yes"}, ("page-retirement-pending", True, "reboot")),
    ({"sram_threshold_exceeded": "Yes"}, ("error-threshold", True, "")),
    ({"gpu_recovery_action": "Reset"}, ("gpu-recovery", True, "reboot")),
    ({"uuid": "GPU is lost"}, ("gpu-lost", True, "reboot")),
    ({"gpu_temp": "ERR!"}, ("gpu-lost", True, "reboot")),
    ({"state": "In Progress", "status": "N/A"}, ("fabric-not-completed", True, "services")),
    ({"status": "Insufficient Resources"}, ("fabric-not-completed", True, "services")),
    ({"bandwidth": "Full"}, ("", False, "")),
    ({"bandwidth": "Degraded"}, ("fabric-unhealthy", False, "")),
    ({"clocks_event_reason_hw_thermal_slowdown": "Active"}, ("clocks-slowed", False, "")),
    ({"clocks_event_reason_sw_power_cap": "Active"}, ("", False, "")),
    ({"current_link_width": "4x"}, ("pcie-narrow", False, "")),
    ({"current_link_gen": "1"}, ("", False, "")),
    ({"product_name": "NVIDIA H100 PCIe"}, ("mixed-gpus", False, "")),
]


@pytest.mark.parametrize(("replaced", "expected"), FAULTS)
def test_each_fault_has_its_own_finding(replaced: dict[str, str], expected: tuple[str, bool, str]) -> None:
    assert found(report(H100, **replaced)) == ([expected] if expected[0] else [])


@pytest.mark.parametrize(
    ("replaced", "name"),
    [
        ({"channel_repair_pending": "Yes"}, "memory-repair-pending"),
        ({"tpc_repair_pending": "Yes"}, "memory-repair-pending"),
        ({"unrepairable_memory": "Yes"}, "memory-unrepairable"),
    ],
)
def test_repairs_of_blackwell(replaced: dict[str, str], name: str) -> None:
    (finding,) = health.findings(facts(report("rtx-pro-6000-590.44.01.xml", **replaced)))
    assert (finding.name, finding.fatal) == (name, True)


def test_old_counters_count_too() -> None:
    text = report(V100S).replace("<cbu>0</cbu>\n                    <total>0</total>", "<total>2</total>", 1)
    (finding,) = health.findings(facts(text))
    assert finding.name == "ecc-uncorrectable"
    assert "GPU 0 (0000:00:0d.0) had 2 uncorrectable memory errors since the last reset" in finding.message


def test_a_fault_of_several_gpus_is_one_finding_that_names_them() -> None:
    text = report(H100).replace("<remapped_row_pending>No", "<remapped_row_pending>Yes")
    (finding,) = health.findings(facts(text, CSV))
    assert "GPU 0 (0000:18:00.0) has" in finding.message
    assert "GPU 1 (0000:2a:00.0) has" in finding.message


def test_all_faults_are_told_at_once_and_the_worst_first() -> None:
    text = report(H100, current_link_width="8x", dram_uncorrectable="1", remapped_row_pending="Yes")
    assert [name for name, __, __ in found(text)] == ["ecc-uncorrectable", "row-remap-pending", "pcie-narrow"]


@pytest.mark.parametrize(
    ("above", "name"),
    [
        ("Unable to determine the device handle for GPU1: 0000:34:00.0: Unknown Error\n", "gpu-lost"),
        ("WARNING: infoROM is corrupted at gpu 0000:18:00.0\n", "inforom-corrupted"),
    ],
)
def test_what_stands_beside_the_report_counts(above: str, name: str) -> None:
    assert [each[0] for each in found(above + report(H100))] == [name]


@pytest.mark.parametrize(
    ("error", "returncode", "name", "heal"),
    [
        ("Unable to determine the device handle for GPU0000:CB:00.0: Unknown Error", 255, "gpu-lost", "reboot"),
        ("nvidia-smi did not answer within 30 s", 124, "gpu-hangs", "reboot"),
        ("Failed to initialize NVML: Driver/library version mismatch", 18, "nvml-error", ""),
        ("No devices were found", 6, "nvml-error", ""),
    ],
)
def test_facts_without_gpus(error: str, returncode: int, name: str, heal: str) -> None:
    (finding,) = health.findings(Facts("nvidia-smi", error, returncode))
    assert (finding.name, finding.heal, finding.fatal) == (name, heal, True)
    assert error in finding.message


def test_a_link_that_is_down_beside_equals() -> None:
    gpu = facts(report(H100), CSV).gpus
    read = Facts(
        "nvidia-smi",
        returncode=0,
        gpus=(replace(gpu[0], links=18, links_down=0), replace(gpu[1], links=17, links_down=1)),
    )
    (finding,) = health.findings(read)
    assert (finding.name, finding.fatal) == ("nvlink-down", False)
    assert "GPU 1 (0000:2a:00.0) has 17 of 18 up" in finding.message


def test_amd() -> None:
    told = amd_tool("amd-mi300x-documented.json")
    assert health.findings(amd_facts(told)) == []
    told["metric"]["gpu_data"][1]["ecc"]["total_uncorrectable_count"] = 1
    told["static"]["gpu_data"][0]["ras"]["bad_page_threshold_exceeded"] = "True"
    assert [each.name for each in health.findings(amd_facts(told))] == ["ecc-uncorrectable", "error-threshold"]
    assert "amd-smi reset --gpureset" in health.findings(amd_facts(told))[0].remedy
    (finding,) = health.findings(Facts("amd-smi", "driver not initialized", 255))
    assert finding.name == "gpu-tool-error"


def test_sentences_end_once() -> None:
    text = report(H100, dram_uncorrectable="1", gpu_recovery_action="Reboot", remapped_row_failure="Yes")
    for finding in health.findings(facts(text, CSV)):
        assert ".." not in str(finding)
        assert finding.message[0] != " "
