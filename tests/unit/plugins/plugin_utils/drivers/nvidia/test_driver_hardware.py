"""GPUs by device number: generation, and whether open modules can or must drive them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from ansible_collections.baremetal.vllm.plugins.module_utils.drivers.nvidia.model import Device
from ansible_collections.baremetal.vllm.plugins.plugin_utils.drivers.nvidia import hardware
from hypothesis import given
from hypothesis import strategies as st
from offered import B200, H100, V100

RECORDED = (Path(__file__).parent / "data" / "pci" / "nvidia.txt").read_text(encoding="utf-8").splitlines()
CHIPS = {
    "GK": "Kepler",
    "GM": "Maxwell",
    "GP": "Pascal",
    "GV": "Volta",
    "TU": "Turing",
    "GA": "Ampere",
    "AD": "Ada Lovelace",
    "GH": "Hopper",
    "GB": "Blackwell",
}
INSTALLED = Path("/usr/share/misc/pci.ids")


@pytest.mark.parametrize("line", RECORDED, ids=lambda line: line[:4])
def test_recorded_numbers(line: str) -> None:
    number, name = line.split("  ", 1)
    assert hardware.generation(number).name == CHIPS[name[:2]]


@pytest.mark.skipif(not INSTALLED.is_file(), reason="the package pci.ids is not installed here")
def test_installed_numbers() -> None:
    text = INSTALLED.read_text(encoding="utf-8", errors="replace")
    ours = re.split(r"^[0-9a-f]{4}  .*$", text[text.index("\n10de  ") + 1 :], maxsplit=2, flags=re.MULTILINE)[1]
    for number, name in re.findall(r"^\t([0-9a-f]{4})  ((?:G[KMPVAHB]|TU|AD)\d.*)$", ours, flags=re.MULTILINE):
        if not re.search("Audio|USB|UCSI|I2C|NVSwitch", name):
            assert hardware.generation(number).name == CHIPS[name[:2]], name


@pytest.mark.parametrize(
    ("number", "open_modules"),
    [
        ("1db4", "no"),
        ("1eb8", "yes"),
        ("20b0", "yes"),
        ("2330", "yes"),
        ("2342", "must"),
        ("2901", "must"),
        ("3fff", "must"),
    ],
)
def test_open_modules(number: str, open_modules: str) -> None:
    assert hardware.generation(number).open == open_modules


@given(st.integers(0, 0xFFFF))
def test_every_number_has_a_generation(number: int) -> None:
    assert hardware.generation(f"{number:04x}").open in ("no", "yes", "must")


def test_generations_of_a_host() -> None:
    amd = Device("0000:03:00.0", "1002", "74a1", "120000")
    assert [each.name for each in hardware.generations((B200, H100, V100, H100, amd))] == [
        "Volta",
        "Hopper",
        "Blackwell",
    ]


def test_an_old_gpu_for_the_console_does_not_count() -> None:
    console = Device("0000:04:00.0", "10de", "128b", "030000")  # GT 710
    assert hardware.driven((console, H100)) == (H100,)
    assert [each.name for each in hardware.generations((console, H100))] == ["Hopper"]
    assert hardware.driven((console,)) == (console,)


@pytest.mark.parametrize(
    ("capability", "name"), [((7, 5), "Turing"), ((8, 6), "Ampere"), ((8, 9), "Ada Lovelace"), ((12, 0), "Blackwell")]
)
def test_of_capability(capability: tuple[int, int], name: str) -> None:
    assert hardware.of_capability(capability).name == name


@pytest.mark.parametrize(
    ("gpus", "switches", "needed"),
    [((H100,) * 8, 4, True), ((H100,) * 8, 0, False), ((B200,) * 8, 0, True), ((B200,) * 4, 0, False)],
)
def test_needs_fabric_manager(gpus: tuple[Device, ...], switches: int, needed: bool) -> None:
    assert hardware.needs_fabric_manager(gpus, switches) is needed
