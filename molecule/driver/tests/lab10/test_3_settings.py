"""Power limits, clocks and compute modes: set, kept over a boot, refused where no GPU takes them, and taken back."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ElementTree
from typing import Any

from gpu_lab import OTHER, SECOND, asked, reboot
from testlab import Run, host, show

UNIT = "gpu-settings.service"
# What the stand-in's recording says of itself.
DEFAULT = [("500.00 W", "Default")] * 2
WANTED = {"gpu_power_limit": {0: 300, 1: 400}, "gpu_compute_mode": {1: "exclusive_process"}, "gpu_clocks": 1200}


def wanted(*arguments: str, **settings: Any) -> Run:
    # The plan refuses them for the lab's hosts without GPUs.
    return asked(OTHER, SECOND, *arguments, vllm_group="lab_drivers", **settings)


def gpus() -> list[tuple[str | None, str | None]]:
    """Power limit and compute mode of each GPU, as the driver tells them."""
    root = ElementTree.fromstring(host(OTHER).check_output("nvidia-smi -q -x"))
    return [
        (gpu.findtext("gpu_power_readings/current_power_limit"), gpu.findtext("compute_mode"))
        for gpu in root.findall("gpu")
    ]


def clocks() -> list[str | None]:
    """The clocks that each GPU is locked to; no nvidia-smi tells them, but this stand-in notes them."""
    told = json.loads(host(OTHER).check_output("cat /run/standin-gpu/settings.json"))
    return [told[index].get("clocks") for index in ("0", "1")]


def test_check_mode_tells_what_would_be_set_and_sets_nothing() -> None:
    run = wanted("--check", "--diff", **WANTED)
    assert run.rc == 0
    assert run.changed == 1
    assert "-pl 300" in run.text
    assert gpus() == DEFAULT
    assert not host(OTHER).file(f"/etc/systemd/system/{UNIT}").exists


def test_what_is_asked_is_set_once_and_is_there_after_a_boot() -> None:
    held = [("300.00 W", "Default"), ("400.00 W", "Exclusive_Process")]
    assert wanted(**WANTED).rc == 0
    assert gpus() == held
    assert wanted(**WANTED).changed == 0
    reboot(OTHER)
    assert show(host(OTHER), UNIT, "ActiveState") == {"ActiveState": "active"}
    assert (gpus(), clocks()) == (held, ["0,1200"] * 2)
    assert wanted(**WANTED).changed == 0


def test_a_limit_changed_by_hand_is_set_again() -> None:
    host(OTHER).check_output("nvidia-smi -i 0 -pl 450")
    assert wanted(**WANTED).changed == 1
    assert gpus()[0] == ("300.00 W", "Default")


def test_a_limit_that_the_gpu_does_not_take_is_refused_with_its_range() -> None:
    before = gpus()
    run = wanted(gpu_power_limit=900)
    assert run.rc != 0
    assert "gpu_power_limit 900 W is outside what" in run.text
    assert "write 100 to 500 W" in run.text
    assert gpus() == before


def test_what_is_asked_no_more_goes_back_to_the_gpus_own() -> None:
    assert wanted().rc == 0
    assert (gpus(), clocks()) == (DEFAULT, [None, None])
    assert not host(OTHER).file(f"/etc/systemd/system/{UNIT}").exists
    assert wanted().changed == 0
