"""GPUs that are not what the inventory declares, or not well: told by name, and nothing is changed."""

from __future__ import annotations

from typing import Any

import pytest
from gpu_lab import A100, DEBIAN, NVSWITCH, SECOND, asked, driver, hardware, packages, works
from testlab import host, show


@pytest.fixture(autouse=True)
def plain_hardware() -> Any:
    yield
    hardware(DEBIAN, gpus=[A100, A100], switches=[], faults=[])


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
    before = packages(DEBIAN)
    hardware(DEBIAN, **changes)
    run = asked(DEBIAN, SECOND)
    assert run.rc != 0
    assert run.changed == 0
    for word in words:
        assert word in run.text
    assert packages(DEBIAN) == before


def test_an_accepted_finding_is_passed_over() -> None:
    hardware(DEBIAN, faults=["fell-off"])
    assert driver(DEBIAN, nvidia_driver_accept=["gpu-fell-off", "fewer-gpus"], gpu_count=1).rc == 0


def test_nvswitches_bring_a_fabric_manager_of_the_drivers_version() -> None:
    hardware(DEBIAN, switches=[NVSWITCH] * 2)
    assert asked(DEBIAN, SECOND).rc == 0
    assert packages(DEBIAN)["nvidia-fabricmanager"].startswith(SECOND)
    assert show(host(DEBIAN), "nvidia-fabricmanager.service", "ActiveState") == {"ActiveState": "active"}
    works(DEBIAN, SECOND)
    assert asked(DEBIAN, SECOND).changed == 0
    # The board is exchanged for one without: the fabric manager would fail at each boot.
    hardware(DEBIAN, switches=[])
    assert asked(DEBIAN, SECOND).rc == 0
    works(DEBIAN, SECOND)
