"""Device nodes of a host's GPUs: indices along the PCI bus, numbers in the order in which the driver found the GPUs."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.baremetal.vllm.plugins.module_utils.host import systemd
from ansible_collections.baremetal.vllm.plugins.module_utils.units import device_nodes
from ansible_collections.baremetal.vllm.plugins.module_utils.units.decide import Observed, UnitStep, decide
from ansible_collections.baremetal.vllm.plugins.module_utils.units.planned import PlannedUnit
from ansible_collections.baremetal.vllm.plugins.module_utils.units.unitdiff import compare_units
from ansible_collections.baremetal.vllm.plugins.module_utils.units.unitfile import edited, stated_digest

# Recorded: `grep 'Device Minor' /proc/driver/nvidia/gpus/*/information` of an HGX A100 host, from a page about Slurm and
# GPU ordinals in a public repository whose name the search index does not give.
A100 = {"07": 2, "0b": 3, "48": 0, "4c": 1, "88": 6, "8b": 7, "c8": 4, "cb": 5}
# The file as open-gpu-kernel-modules, kernel-open/nvidia/nv-procfs.c, prints it.
INFORMATION = """\
Model: \t\t NVIDIA A100-SXM4-80GB
IRQ:   \t\t 185
GPU UUID: \t GPU-????????-????-????-????-????????????
Video BIOS: \t ??.??.??.??.??
Bus Type: \t PCIe
DMA Size: \t 47 bits
DMA Mask: \t 0x7fffffffffff
Bus Location: \t {address}
Device Minor: \t {minor}
GPU Firmware: \t 580.95.05
{excluded}:\t {yes}
"""


def nvidia(root: Path, minors: Mapping[str, int], excluded: tuple[str, ...] = (), word: str = "GPU Excluded") -> Path:
    """/proc/driver/nvidia/gpus with a GPU for each address (or bus)."""
    for place, minor in minors.items():
        address = place if ":" in place else f"0000:{place}:00.0"
        directory = root / "proc/driver/nvidia/gpus" / address
        directory.mkdir(parents=True)
        yes = "Yes" if place in excluded else "No"
        text = INFORMATION.format(address=address, minor=minor, excluded=word, yes=yes)
        (directory / "information").write_text(text)
    return root


def amd(root: Path, *gpus: tuple[int, int, int]) -> Path:
    """A processor and GPUs of (domain, location, render node), as the kernel's `properties` have them."""
    for number, (domain, location, render) in enumerate([(0, 0, 0), *gpus]):
        directory = root / f"sys/class/kfd/kfd/topology/nodes/{number}"
        directory.mkdir(parents=True)
        simds = 304 if render else 0
        told = {"cpu_cores_count": 0 if render else 96, "simd_count": simds, "vendor_id": 4098 if render else 0}
        told |= {"location_id": location, "domain": domain, "drm_render_minor": render, "unique_id": 2**63 + number}
        (directory / "properties").write_text("".join(f"{key} {value}\n" for key, value in told.items()))
    return root


@pytest.mark.parametrize(
    ("minors", "expected"),
    [
        ({}, []),
        ({"18": 0, "2a": 1}, [0, 1]),
        (A100, [2, 3, 0, 1, 6, 7, 4, 5]),
        # Domains come before buses, as numbers and not as text.
        ({"0001:00:00.0": 0, "0000:c1:00.0": 3, "10000:01:00.0": 1}, [3, 0, 1]),
    ],
)
def test_nodes_of_nvidia_follow_the_bus(minors: dict[str, int], expected: list[int], tmp_path: Path) -> None:
    assert device_nodes.numbers(device_nodes.NVIDIA, nvidia(tmp_path, minors)) == expected


@pytest.mark.parametrize("word", ["GPU Excluded", "Blacklisted"])
def test_a_gpu_that_the_driver_leaves_alone_has_no_index(word: str, tmp_path: Path) -> None:
    root = nvidia(tmp_path, {"18": 0, "2a": 1, "3a": 2}, ("2a",), word)
    (root / "proc/driver/nvidia/gpus/0000:4a:00.0").mkdir()
    assert device_nodes.numbers(device_nodes.NVIDIA, root) == [0, 2]


@pytest.mark.parametrize(
    ("gpus", "expected"),
    [
        ([], []),
        ([(0, 0x8400, 128)], [128]),
        # Beside another maker's GPU, which has renderD128.
        ([(0, 0xC100, 130), (0, 0x0500, 129)], [129, 130]),
        # Two partitions of each GPU.
        ([(0, 0x1500, 136), (0, 0x0500, 128), (0, 0x10001500, 137), (0, 0x10000500, 129)], [128, 129, 136, 137]),
        ([(1, 0x0500, 128), (0, 0xC100, 129)], [129, 128]),
    ],
)
def test_nodes_of_amd_follow_the_bus(gpus: list[tuple[int, int, int]], expected: list[int], tmp_path: Path) -> None:
    assert device_nodes.numbers(device_nodes.AMD, amd(tmp_path, *gpus)) == expected


def sent(unit: Any) -> PlannedUnit:
    return PlannedUnit(unit.unit, unit.text, unit.digest, release="1")


def allowed(text: str) -> list[str]:
    lines = (line.partition("=")[2] for line in text.splitlines() if line.startswith("DeviceAllow="))
    return [line.partition(" ")[0] for line in lines if line[11:12].isdigit() or "renderD" in line]


def one(root: Path, unit: Any, installed: str = "") -> tuple[PlannedUnit, list[str]]:
    (resolved,), doubts = device_nodes.resolve([sent(unit)], {unit.unit: installed} if installed else {}, root)
    return resolved, doubts


def test_a_host_whose_numbers_are_the_indices_gets_the_unit_as_planned(unit: Any, tmp_path: Path) -> None:
    planned = unit(gpus=(1, 2))
    root = nvidia(tmp_path, {"18": 0, "2a": 1, "3a": 2, "4a": 3})
    assert one(root, planned) == (sent(planned), [])


def test_a_unit_of_all_gpus_is_the_same_in_whatever_order_they_are(unit: Any, tmp_path: Path) -> None:
    planned = unit(gpus=tuple(range(8)))
    assert one(nvidia(tmp_path, A100), planned) == (sent(planned), [])


def test_where_they_differ_a_unit_gets_its_own_nodes_and_a_digest_that_says_so(unit: Any, tmp_path: Path) -> None:
    planned = unit(gpus=(0, 4))
    resolved, doubts = one(nvidia(tmp_path, A100), planned)
    assert (allowed(resolved.text), doubts) == (["/dev/nvidia2", "/dev/nvidia6"], [])
    assert "X-GPUs=0,4\n" in resolved.text
    assert resolved.digest == stated_digest(resolved.text) != planned.digest
    assert not edited(resolved.text)
    assert resolved.release == "1"
    # Nothing but the nodes and the digest.
    pairs = zip(planned.text.splitlines(), resolved.text.splitlines(), strict=True)
    assert [before.partition("=")[0] for before, after in pairs if before != after] == [
        "Environment", "DeviceAllow", "DeviceAllow",
    ]  # fmt: skip


def test_amd_units_get_their_render_nodes(unit: Any, tmp_path: Path) -> None:
    root = amd(tmp_path, (0, 0xC100, 129), (0, 0x0500, 130))
    resolved, doubts = one(root, unit(accelerator="rocm", gpus=(1,)))
    assert (allowed(resolved.text), doubts) == (["/dev/dri/renderD129"], [])


def test_a_host_without_gpus_is_not_asked(unit: Any, tmp_path: Path) -> None:
    planned = unit(accelerator="cpu", gpus=())
    assert one(tmp_path, planned) == (sent(planned), [])


@pytest.mark.parametrize(
    ("accelerator", "gpus", "words"),
    [
        (
            "cuda",
            (0, 1),
            "vllm-m.service is to have GPU 0, 1, and NVIDIA's driver lists no GPU in /proc/driver/nvidia/gpus",
        ),
        ("rocm", (0,), "AMD's driver lists no GPU in /sys/class/kfd/kfd/topology/nodes"),
    ],
)
def test_without_a_driver_nobody_can_tell(
    accelerator: str, gpus: tuple[int, ...], words: str, unit: Any, tmp_path: Path
) -> None:
    planned = unit(accelerator=accelerator, gpus=gpus)
    resolved, (doubt,) = one(tmp_path, planned)
    assert resolved == sent(planned)
    assert words in doubt
    assert "baremetal.vllm.driver" in doubt


def test_a_gpu_beyond_those_of_the_driver_is_named(unit: Any, tmp_path: Path) -> None:
    __, (doubt,) = one(nvidia(tmp_path, {"18": 1, "2a": 0}), unit(gpus=(1, 2)))
    assert "GPU 1, 2" in doubt
    assert "2 GPUs (0 to 1)" in doubt
    assert "gpu_count" in doubt


def test_without_a_driver_a_unit_keeps_what_was_known_of_the_same_gpus(unit: Any, tmp_path: Path) -> None:
    planned, other = unit({"max-model-len": "16k"}, gpus=(0,)), unit(gpus=(1,))
    known, __ = one(nvidia(tmp_path / "up", A100), planned)
    assert one(tmp_path / "down", planned, known.text) == (known, [])
    assert allowed(one(tmp_path / "down", unit(gpus=(0,)), known.text)[0].text) == ["/dev/nvidia2"]
    # Another GPU, or a file that somebody edited, tells nothing.
    assert one(tmp_path / "down", other, known.text)[1]
    assert one(tmp_path / "down", planned, known.text.replace("/dev/nvidia2", "/dev/nvidia5"))[1]
    assert one(tmp_path / "down", unit(accelerator="rocm", gpus=(0,)), known.text)[1]


def step(planned: PlannedUnit, text: str) -> UnitStep:
    """What becomes of a unit that runs from `text`."""
    shown = {"Id": planned.unit, "ActiveState": "active", "SubState": "running", "UnitFileState": "enabled"}
    state = systemd._state({**shown, "MainPID": "7", "NeedDaemonReload": "no"})
    seen = Observed(text, state, stated_digest(text), True, text)
    return decide(planned, seen)


def test_numbers_that_changed_restart_a_unit_and_are_the_cause(unit: Any, tmp_path: Path) -> None:
    planned = unit(gpus=(0,))
    resolved, __ = one(nvidia(tmp_path, A100), planned)
    assert (step(resolved, resolved.text).verb, step(resolved, resolved.text).changes) == ("keep", False)
    found = step(resolved, planned.text)
    assert (found.verb, found.why) == ("restart", "DeviceAllow /dev/nvidia0 → /dev/nvidia2")


def test_other_gpus_are_one_cause_and_not_what_follows_from_them(unit: Any) -> None:
    before, after = unit(gpus=(0,)).text, unit(gpus=(2, 5)).text
    assert [str(cause) for cause in compare_units(before, after)] == ["gpus 0 → 2,5"]
