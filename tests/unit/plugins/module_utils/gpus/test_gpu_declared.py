"""What the inventory declares against what is there."""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import Any

import pytest

pytest.importorskip("ansible.plugins", reason="ansible-test runs what lies here as on a host: without the control node")

from ansible_collections.baremetal.vllm.plugins.action.gpu_facts import judge
from ansible_collections.baremetal.vllm.plugins.module_utils.gpus.model import Facts
from ansible_collections.baremetal.vllm.plugins.plugin_utils.gpus.declared import Declared, GpuKind, compare
from ansible_collections.baremetal.vllm.plugins.plugin_utils.gpus.health import findings
from recorded_gpus import A100_MIG, H100, T4, V100S, amd_facts, amd_tool, facts, report

READ = facts(report(H100), "0, 00000000:18:00.0, 9.0\n1, 00000000:2A:00.0, 9.0\n")
BUS = ("0000:18:00.0", "0000:2a:00.0")
RIGHT = Declared("cuda", release="0.8.5", gpu_count=2, gpu_name="H100-80GB", driver="565")
MIB = 2**20


def told(declared: Declared, read: Facts = READ, bus: tuple[str, ...] | None = BUS) -> list[tuple[str, bool]]:
    return [(finding.name, finding.fatal) for finding in compare(declared, read, bus, "gpu1")]


def test_nothing_is_said_where_all_is_as_declared() -> None:
    assert told(RIGHT) == []
    assert told(replace(RIGHT, driver="565.57.01")) == []
    assert told(Declared("cuda")) == []


CASES: list[tuple[dict[str, Any], list[tuple[str, bool]]]] = [
    ({"gpu_count": 1}, [("more-gpus", False)]),
    ({"gpu_count": 3}, [("fewer-gpus", True)]),
    ({"gpu_name": "A100-80GB"}, [("other-gpu", True)]),
    ({"gpu_name": "H200"}, [("other-gpu", True), ("less-memory", True)]),
    ({"gpu_name": "", "gpu_memory": 94 * 2**30}, [("less-memory", True)]),
    ({"gpu_name": "", "gpu_memory": 80 * 2**30}, []),
    ({"driver": "580"}, [("other-driver", True)]),
    ({"driver": "565.77"}, [("other-driver", True)]),
    ({"driver": "56"}, [("other-driver", True)]),
    # Its wheel is built for CUDA 12.8, which came with 570.
    ({"release": "0.9.0"}, [("driver-older-than-cuda", False)]),
    # Its wheel is built for CUDA 13, which needs 580.
    ({"release": "0.33.0"}, [("driver-too-old", True)]),
    ({"gpu_count": 8, "driver": "580", "release": "0.33.0"}, [("fewer-gpus", True), ("other-driver", True), ("driver-too-old", True)]),
    ({"accelerator": "cpu", "gpu_count": 8}, []),
]  # fmt: skip


@pytest.mark.parametrize(("changed", "expected"), CASES)
def test_differences(changed: dict[str, Any], expected: list[tuple[str, bool]]) -> None:
    assert told(replace(RIGHT, **changed)) == expected


def test_a_gpu_on_the_bus_that_is_not_listed_is_named() -> None:
    (finding,) = compare(replace(RIGHT, gpu_count=3), READ, (*BUS, "0000:5d:00.0"))
    assert "2 of the 3 GPUs" in finding.message
    assert "on the PCI bus and not listed: 0000:5d:00.0" in finding.message
    (finding,) = compare(replace(RIGHT, gpu_count=3), READ, BUS)
    assert "the PCI bus has 2 too" in finding.message
    assert "gpu_count: 2" in finding.remedy


def test_another_model_is_named_with_what_to_write() -> None:
    (finding,) = compare(replace(RIGHT, gpu_name="A100-80GB"), READ, BUS)
    assert "gpu_name is A100-80GB, and GPU 0 (0000:18:00.0) is a NVIDIA H100 80GB HBM3" in finding.message
    assert 'gpu_name: "NVIDIA H100 80GB HBM3"' in finding.remedy


def test_a_name_of_two_sizes_is_told_with_the_size_that_is_there() -> None:
    read = facts(report("rtx3080-windows-536.40.xml"))
    gpu = replace(read.gpus[0], name="NVIDIA GeForce RTX 4060 Ti", memory=16380 * 2**20)
    read = replace(read, gpus=(gpu,))
    (finding,) = compare(Declared("cuda", gpu_count=1, gpu_name="RTX 3070"), read)
    assert finding.name == "other-gpu"
    assert 'gpu_name: "RTX 4060 Ti 16GB"' in finding.remedy
    assert compare(Declared("cuda", gpu_count=1, gpu_name="RTX 4060 Ti 16GB"), read) == []


def test_the_right_driver_is_named() -> None:
    (finding,) = compare(replace(RIGHT, release="0.33.0", driver=""), READ, BUS)
    assert "driver 565.57.01 cannot run vLLM 0.33.0" in finding.message
    assert "580" in finding.remedy


def test_a_gpu_too_old_for_the_wheel() -> None:
    read = facts(report("gtx1070-418.56.xml"), "0, 00000000:01:00.0, 6.1\n")
    found = {finding.name: finding for finding in compare(Declared("cuda", release="0.20.0", gpu_count=1), read)}
    assert "compute capability 6.1" in found["gpu-too-old"].message
    assert "driver-too-old" in found


@pytest.mark.parametrize(
    ("seen", "declared"),
    [
        # What drivers say, and how operators and data/gpus.yml call it.
        (T4, Declared("cuda", gpu_count=1, gpu_name="T4", driver="515")),
        (V100S, Declared("cuda", gpu_count=1, gpu_name="V100-32GB")),
        (A100_MIG, Declared("cuda", gpu_count=1, gpu_name="A100-80GB", cut=(0,))),
        (
            "rtx-pro-6000-590.44.01.xml",
            Declared("cuda", release="0.33.0", gpu_count=1, gpu_name="RTX PRO 6000 Blackwell"),
        ),
    ],
)
def test_names_and_sizes_of_drivers_are_those_of_the_catalogue(seen: str, declared: Declared) -> None:
    assert compare(declared, facts(report(seen))) == []


def test_a_driver_that_states_a_little_less_is_right() -> None:
    # T4 under driver 418: 15079 MiB.
    assert told(Declared("cuda", gpu_count=1, gpu_name="T4"), facts(report(T4, total="15079 MiB")), None) == []


def test_memory_that_ecc_takes_is_told_with_what_to_write() -> None:
    read = facts(report("a5000-590.44.01.xml", total="23028 MiB", current_ecc="Enabled"))
    (finding,) = compare(Declared("cuda", gpu_count=1, gpu_name="RTX A5000"), read)
    assert finding.name == "less-memory"
    assert "22.5 GiB (ECC is on, which takes 6 %), expected 24.0 GiB" in finding.message
    assert "gpu_memory_gib: 22.4" in finding.remedy


def test_unified_memory_is_not_compared() -> None:
    read = facts(report("rtx-pro-6000-590.44.01.xml", product_name="NVIDIA GB10", total="N/A"))
    assert told(Declared("cuda", gpu_count=1, gpu_name="GB10"), read, None) == []


def test_a_name_that_is_not_known_yet_passes_by_its_capability() -> None:
    def named(capability: str) -> Facts:
        text = report(H100, product_name="NVIDIA H100 Next").replace("NVIDIA H100 80GB HBM3", "NVIDIA H100 Next")
        return facts(text, f"0, 00000000:18:00.0, {capability}\n1, 00000000:2A:00.0, {capability}\n")

    assert told(RIGHT, named("9.0")) == []
    assert next(name for name, __ in told(RIGHT, named("10.0"))) == "other-gpu"


NONE = Facts("nvidia-smi", "nvidia-smi is not installed", None)


@pytest.mark.parametrize(
    ("accelerator", "read", "bus", "expected"),
    [
        ("cuda", NONE, (), [("no-gpu", True)]),
        ("rocm", replace(NONE, tool="amd-smi"), (), [("no-gpu", True)]),
        ("cuda", NONE, BUS, [("tool-missing", True)]),
        ("cuda", NONE, None, [("tool-missing", True)]),
        ("cuda", Facts("nvidia-smi", "Failed to initialize NVML: …", 18), BUS, []),
        ("cuda", Facts("nvidia-smi", "No devices were found", 6), (), [("no-gpu", True)]),
        ("cpu", NONE, (), []),
    ],
)
def test_no_gpus(accelerator: str, read: Facts, bus: tuple[str, ...] | None, expected: list[tuple[str, bool]]) -> None:
    assert told(Declared(accelerator, gpu_count=2), read, bus) == expected


def test_a_host_without_gpus_is_told_the_way_out() -> None:
    (finding,) = compare(Declared("cuda", gpu_count=8), NONE, ())
    assert "vllm_accelerator: cpu" in finding.remedy


def test_a_gpu_that_is_cut_and_should_not_be() -> None:
    read = facts(report(A100_MIG))
    assert told(Declared("cuda", gpu_count=1), read) == [("gpu-cut", True)]


def test_amd() -> None:
    read = amd_facts(amd_tool("amd-mi300x-documented.json"))
    declared = Declared("rocm", release="0.33.0", gpu_count=2, gpu_name="MI300X")
    assert told(declared, read, None) == []
    assert told(replace(declared, gpu_name="MI210"), read, None) == [("other-gpu", True)]
    assert told(replace(declared, gpu_name="MI325X"), read, None) == [("other-gpu", True), ("less-memory", True)]


MIX = facts(report(H100, product_name="NVIDIA L4"), "0, 00000000:18:00.0, 8.9\n1, 00000000:2A:00.0, 9.0\n")
KINDS = (GpuKind("L4"), GpuKind("H100-80GB"))


def test_kinds_that_are_declared_by_index_are_no_fault() -> None:
    declared = replace(RIGHT, gpu_name="", gpus=KINDS)
    assert [name for name, __ in told(declared, MIX)] == []
    answer = {"facts": asdict(MIX), "bus": []}
    assert "mixed-gpus" not in {finding.name for finding in judge(answer, declared, "gpu1")}
    assert "mixed-gpus" in {finding.name for finding in judge(answer, Declared("cuda"), "gpu1")}


def test_kinds_in_another_order_are_named_with_what_to_write() -> None:
    (finding,) = compare(replace(RIGHT, gpu_name="", gpus=KINDS[::-1]), MIX, BUS)
    assert finding.name == "other-gpu"
    assert "GPU 0 (0000:18:00.0) is a NVIDIA L4, declared as H100-80GB" in finding.message
    assert finding.remedy == 'Write gpu_name: ["NVIDIA L4", "NVIDIA H100 80GB HBM3"], in the order of nvidia-smi'


def test_an_undeclared_mix_names_the_key() -> None:
    (finding,) = compare(replace(RIGHT, gpu_name="H100-80GB"), MIX, BUS)
    assert finding.fatal
    assert 'gpu_name: ["NVIDIA L4", "NVIDIA H100 80GB HBM3"]' in finding.remedy
    (undeclared,) = [finding for finding in findings(MIX) if finding.name == "mixed-gpus"]
    assert "gpu_name: ['NVIDIA L4', 'NVIDIA H100 80GB HBM3']" in undeclared.remedy


def test_memory_is_compared_by_index() -> None:
    small = replace(RIGHT, gpu_name="", gpus=(GpuKind("", 20 * 2**30), GpuKind("", 94 * 2**30)))
    (finding,) = [finding for finding in compare(small, MIX, BUS) if finding.name == "less-memory"]
    assert "GPU 1" in finding.message
    assert "GPU 0" not in finding.message
    assert "expected 94.0 GiB" in finding.message
    first, second = (f"{(gpu.memory or 0) / 2**30 - 0.05:.1f}" for gpu in MIX.gpus)
    assert f"gpu_memory_gib: [{first}, {second}]" in finding.remedy
