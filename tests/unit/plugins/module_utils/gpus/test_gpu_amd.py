"""amd-smi in the shapes of ROCm 6 and 7."""

from __future__ import annotations

import pytest
from ansible_collections.baremetal.vllm.plugins.module_utils.gpus import amd
from recorded_gpus import amd_facts, amd_tool

MIB = 2**20
WARNING = "WARNING: User is missing the following required groups: render, video. Please add user to these groups.\n"


def test_rocm_6_prints_lists() -> None:
    read = amd_facts(
        amd_tool("amd-rx6600.json"),
        version="AMDSMI Tool: 24.7.1+8dc45db | AMDSMI Library version: 25.1.0.0 | ROCm version: 6.3.3\n",
    )
    gpu = read.gpus[0]
    assert (read.tool, read.error, read.driver, read.cuda, len(read.gpus)) == ("amd-smi", "", "7.0.0-3-pve", "6.3.3", 1)
    assert (gpu.name, gpu.address, gpu.serial, gpu.arch) == ("Navi 23 [Radeon RX 6600/6600 XT", "0000:0b:00.0", "", "")
    assert (gpu.memory, gpu.memory_used, gpu.numa) == (8176 * MIB, 202 * MIB, 0)
    assert (gpu.power_limit, gpu.power_limit_min, gpu.power_limit_max) == (100.0, 94.0, 100.0)
    assert (gpu.pcie_width, gpu.pcie_width_max, gpu.pcie_generation_max) == (8, 16, 4)
    assert (gpu.temperature, gpu.max_graphics_clock, gpu.errors.uncorrectable) == (37.0, 2750, 0)


def test_rocm_7_wraps_them_and_nests_power_limits() -> None:
    read = amd_facts(amd_tool("amd-mi355x-26.2.1.json"))
    gpu = read.gpus[0]
    assert (gpu.name, gpu.uuid, gpu.address) == (
        "AMD Instinct MI355X",
        "11111111-0000-1000-8000-000000000001",
        "0000:05:00.0",
    )
    assert (gpu.power_limit, gpu.power_limit_min, gpu.power_limit_max) == (1400.0, None, 1400.0)
    assert gpu.memory == 294896 * MIB
    assert [(each.pid, each.name, each.memory) for each in gpu.processes] == [(42, "", 0)]


def test_several_gpus_and_their_links() -> None:
    read = amd_facts(amd_tool("amd-mi300x-documented.json"))
    assert read.topology == {"0-1": "XGMI"}
    assert [(gpu.index, gpu.links, gpu.links_down, gpu.arch, gpu.numa) for gpu in read.gpus] == [
        (0, 1, 0, "gfx942", 0),
        (1, 1, 0, "gfx942", 1),
    ]
    assert [gpu.errors.threshold for gpu in read.gpus] == [False, False]
    assert [gpu.processes for gpu in read.gpus] == [(), ()]


def test_what_stands_above_the_json_is_passed_over() -> None:
    told = amd_tool("amd-mi300x-documented.json")
    assert amd_facts(told, before=WARNING) == amd_facts(told)


@pytest.mark.parametrize(
    ("status", "slowdown"),
    [("ACTIVE", ("hbm thermal",)), (["N/A", "ACTIVE"], ("hbm thermal",)), ("NOT ACTIVE", ()), ("N/A", ())],
)
def test_heat(status: object, slowdown: tuple[str, ...]) -> None:
    told = amd_tool("amd-mi300x-documented.json")
    told["metric"]["gpu_data"][0]["throttle"]["hbm_thermal_violation_status"] = status
    assert amd_facts(told).gpus[0].slowdown == slowdown


@pytest.mark.parametrize(
    ("answer", "returncode", "error"),
    [
        ((127, "", "amd-smi is not installed"), None, "amd-smi is not installed"),
        (
            (255, "", "ERROR:root:Unable to get devices, driver not initialized (amdgpu not found in modules)\n"),
            255,
            "Unable to get devices, driver not",
        ),
        ((0, "", ""), 0, "amd-smi said nothing and ended with status 0"),
    ],
)
def test_failures_are_kept(answer: tuple[int, str, str], returncode: int | None, error: str) -> None:
    read = amd.read(lambda argv: answer)
    assert (read.returncode, read.gpus) == (returncode, ())
    assert error in read.error
