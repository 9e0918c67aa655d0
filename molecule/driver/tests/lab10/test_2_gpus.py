"""GPUs that are not what the inventory declares, or not well: told by name, and nothing is changed."""

from __future__ import annotations

from typing import Any

import pytest
from gpu_lab import A100, INVENTORY, NVSWITCH, OTHER, SECOND, asked, driver, hardware, packages, works
from testlab import Run, host, playbook, show


@pytest.fixture(autouse=True)
def plain_hardware() -> Any:
    yield
    hardware(OTHER, gpus=[A100, A100], switches=[], faults=[], processes=[])


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


def shared_with_a_notebook(**args: Any) -> Run:
    """Bring up the GPUs of a host on which a model is planned beside what is there."""
    models = {"planned": {"model": "/srv/planned", "kind": "chat", "hosts": OTHER, "gpus": [1], "args": args}}
    return playbook("driver", "--limit", OTHER, inventories=[INVENTORY], vllm_models=models)


def test_who_is_on_a_gpu_is_named_and_what_cannot_start_beside_is_refused() -> None:
    target = host(OTHER)
    target.check_output("systemd-run --quiet --unit=notebook --uid=nobody sleep 900")
    try:
        pid = int(show(target, "notebook.service", "MainPID")["MainPID"])
        hardware(OTHER, processes=[[1, pid, 40000]])
        refused = shared_with_a_notebook()
        fits = shared_with_a_notebook(**{"gpu-memory-utilization": 0.4})
    finally:
        target.check_output("systemctl stop notebook.service")
    assert refused.rc != 0
    assert "gpu-no-room: vllm_models.planned asks" in refused.text
    assert f"pid {pid} (/usr/bin/sleep, user nobody, notebook.service" in " ".join(refused.text.split())
    assert "sleep 900" not in refused.text, "arguments are nobody's business"
    assert (fits.rc, fits.changed) == (0, 0)
    assert "gpu-occupied" in fits.text
    # Nobody is there any more.
    hardware(OTHER, processes=[])
    assert shared_with_a_notebook().rc == 0


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
