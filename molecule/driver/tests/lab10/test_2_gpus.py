"""GPUs that are not what the inventory declares, or not well: told by name, and nothing is changed."""

from __future__ import annotations

from typing import Any

import pytest
from gpu_lab import A100, NVSWITCH, OTHER, SECOND, asked, driver, hardware, packages, works
from testlab import host, show


@pytest.fixture(autouse=True)
def plain_hardware() -> Any:
    yield
    hardware(OTHER, gpus=[A100, A100], switches=[], faults=[])


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"gpus": []}, ["no-gpu"]),
        ({"gpus": [A100]}, ["fewer-gpus-on-the-bus"]),
        ({"faults": ["fell-off"]}, ["nvidia-smi knows 1; missing: 0000:2b:00.0", "nvidia_driver_reboot"]),
        ({"faults": ["ecc"]}, ["uncorrectable"]),
        ({"faults": ["remap-pending"]}, ["remap"]),
        ({"faults": ["gpu-lost"]}, ["GPU is lost"]),
    ],
    ids=["none", "fewer", "fell-off", "ecc", "remapping", "lost"],
)
def test_a_fault_is_told_by_name_and_nothing_is_changed(changes: dict[str, Any], words: list[str]) -> None:
    before = packages(OTHER)
    hardware(OTHER, **changes)
    run = asked(OTHER, SECOND)
    assert run.rc != 0
    assert run.changed == 0
    for word in words:
        assert word in run.text
    assert packages(OTHER) == before


def test_an_accepted_finding_is_passed_over() -> None:
    hardware(OTHER, faults=["fell-off"])
    assert driver(OTHER, nvidia_driver_accept=["gpu-fell-off", "fewer-gpus"], gpu_count=1).rc == 0


def test_nvswitches_bring_a_fabric_manager_of_the_drivers_version() -> None:
    hardware(OTHER, switches=[NVSWITCH] * 2)
    assert asked(OTHER, SECOND).rc == 0
    assert packages(OTHER)["nvidia-fabricmanager"].startswith(SECOND)
    assert show(host(OTHER), "nvidia-fabricmanager.service", "ActiveState") == {"ActiveState": "active"}
    works(OTHER, SECOND)
    assert asked(OTHER, SECOND).changed == 0
    # The board is exchanged for one without: the fabric manager would fail at each boot.
    hardware(OTHER, switches=[])
    assert asked(OTHER, SECOND).rc == 0
    works(OTHER, SECOND)
