"""A unit may open its own GPUs whatever their nodes are called; /proc/driver is a stand-in, systemd and its word are real."""

from __future__ import annotations

from typing import Any

import pytest
from service_lab import NAME, playbook
from testlab import STANDIN_RELEASE, Run, host, install_standin, show

UNIT = "vllm-seen.service"
OTHER = "vllm-neighbour.service"
DRIVER = "/proc/driver/nvidia/gpus"
SEEN: dict[str, Any] = {"model": "/srv/stand-in", "kind": "chat", "hosts": NAME, "gpus": [0]}
MODELS = {"seen": SEEN, "neighbour": {**SEEN, "gpus": [1, 2]}}


def run(name: str, *arguments: str, models: dict[str, Any]) -> Run:
    # The lab has no GPU and no driver to bring; what is looked at here is the unit.
    gpus = {"vllm_accelerator": "cuda", "gpu_count": 3, "nvidia_driver_manage": False, "gpu_check_accept": ["no-gpu"]}
    return playbook(
        name, "--limit", NAME, *arguments, vllm_version=STANDIN_RELEASE, vllm_models=models, **gpus
    )  # fmt: skip


def driver(*minors: int) -> None:
    """What NVIDIA's driver would show of GPUs with these numbers, along the bus; nothing for no driver."""
    target = host(NAME)
    target.check_output("rm -rf %s", DRIVER)
    for index, minor in enumerate(minors):
        path = f"{DRIVER}/0000:{0x1B + 0x10 * index:02x}:00.0"
        words = f"Bus Location: \\t 0000:{0x1B + 0x10 * index:02x}:00.0\\nDevice Minor: \\t {minor}\\nGPU Excluded:\\t No\\n"
        target.check_output("mkdir -p %s && printf %s > %s/information", path, words, path)


def allowed(unit: str) -> list[str]:
    """The nodes of GPUs that systemd lets a unit open."""
    lines = host(NAME).check_output("systemctl show %s -p DeviceAllow --value", unit).splitlines()
    return sorted(node for node, rights in map(str.split, lines) if rights == "rw" and node[-1].isdigit())


def processes() -> dict[str, str]:
    return {unit: show(host(NAME), unit, "MainPID")["MainPID"] for unit in (UNIT, OTHER)}


@pytest.fixture(autouse=True, scope="module")
def standin() -> Any:
    install_standin(NAME)
    target = host(NAME)
    target.check_output('sed -i \'s/"cpu"/"cuda"/\' /opt/vllm/%s/.complete.json', STANDIN_RELEASE)
    target.check_output("mount -t tmpfs stand-in /proc/driver")
    yield
    cleared = run("site", models={})
    target.check_output("umount /proc/driver")
    target.check_output("rm -rf /opt/vllm/%s /srv/stand-in", STANDIN_RELEASE)
    assert cleared.rc == 0


def test_a_unit_may_open_its_own_gpus_in_whatever_order_the_driver_found_them() -> None:
    assert run("stage", models=MODELS).rc == 0, "engine and weights come without any GPU"
    refused = run("site", models=MODELS)
    assert refused.rc != 0
    assert f"{UNIT} is to have GPU 0, and NVIDIA's driver lists no GPU in {DRIVER}" in refused.text
    assert "load its driver (ansible-playbook baremetal.vllm.driver)" in refused.text
    assert not host(NAME).file(f"/etc/systemd/system/{UNIT}").exists
    checked = run("site", "--check", models=MODELS)
    assert checked.rc == 0, "a check of a host whose driver is yet to come says what would be done"
    assert f"{UNIT} is to have GPU 0" in checked.text

    driver(0, 1, 2)
    assert run("site", models=MODELS).rc == 0
    assert (allowed(UNIT), allowed(OTHER)) == (["/dev/nvidia0"], ["/dev/nvidia1", "/dev/nvidia2"])
    before = processes()
    environ = host(NAME).check_output("tr '\\0' '\\n' < /proc/%s/environ", before[OTHER])
    assert "CUDA_VISIBLE_DEVICES=0,1\n" in environ, "CUDA counts the GPUs that a process may open"
    assert "CUDA_DEVICE_ORDER=PCI_BUS_ID\n" in environ
    same = run("site", models=MODELS)
    assert (same.rc, same.changed, processes()) == (0, 0, before)

    driver(1, 0, 2)
    told = run("plan", "--diff", models=MODELS)
    assert told.rc == 0
    assert "DeviceAllow /dev/nvidia0 → /dev/nvidia1" in told.text
    checked = run("site", "--check", "--diff", models=MODELS)
    assert "-DeviceAllow=/dev/nvidia0 rw" in checked.text
    assert f"{UNIT}: restart (DeviceAllow /dev/nvidia0 → /dev/nvidia1)" in checked.text
    assert processes() == before
    assert run("site", models=MODELS).rc == 0
    assert (allowed(UNIT), allowed(OTHER)) == (["/dev/nvidia1"], ["/dev/nvidia0", "/dev/nvidia2"])
    after = processes()
    assert after[UNIT] != before[UNIT]
    assert run("site", models=MODELS).changed == 0

    # A driver that is away for a while tells nothing new.
    driver()
    told = run("plan", "--diff", models=MODELS)
    assert "2 unchanged" in told.text
    again = run("site", models=MODELS)
    assert (again.rc, again.changed, processes()) == (0, 0, after)
