"""The one look says that the GPUs of a host differ where the roles for drivers and GPUs would do or refuse something, and only there."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.baremetal.vllm.plugins.module_utils.drivers.acceptance import record
from ansible_collections.baremetal.vllm.plugins.module_utils.drivers.acceptance.model import AcceptanceSight
from ansible_collections.baremetal.vllm.plugins.module_utils.drivers.acceptance.record import Record
from ansible_collections.baremetal.vllm.plugins.module_utils.drivers.nvidia.model import ServiceState
from ansible_collections.baremetal.vllm.plugins.module_utils.gpus.model import Errors, Facts, Gpu
from ansible_collections.baremetal.vllm.plugins.plugin_utils.actions import gpu_look
from ansible_collections.baremetal.vllm.plugins.plugin_utils.actions.ahead import read_ahead
from ansible_collections.baremetal.vllm.plugins.plugin_utils.drivers.nvidia import repository
from ansible_collections.baremetal.vllm.plugins.plugin_utils.drivers.nvidia.judge import PATHS
from ansible_collections.baremetal.vllm.plugins.plugin_utils.places import DATA, ROOT
from ansible_collections.baremetal.vllm.plugins.plugin_utils.planned.fleet import Declared, HostPlan
from simulated_host import PERSISTENCE, Host
from simulated_hosts import H100, bare, with_driver
from simulated_role import Run

VERSION = "580.95.05"
MIRROR = {
    "mirror": "https://mirror.example/cuda",
    "mirror_key": str(Path(__file__).parent / "data" / "keys" / "ed25519.asc"),
}
ASKED = {"version": "580", **MIRROR}
PLANNED = HostPlan(host=Declared("cuda", release="0.33.0", gpu_count=2, driver="580"))


def inputs(**driver: Any) -> dict[str, dict[str, Any]]:
    found = {}
    for role in gpu_look.ROLES:
        defaults = yaml.safe_load((ROOT / "roles" / role / "defaults" / "main.yml").read_text(encoding="utf-8"))
        found[role] = {name.removeprefix(f"{role}_"): value for name, value in defaults.items()}
    found["nvidia_driver"].update(driver)
    return found


def facts(host: Host) -> Facts:
    gpus = tuple(
        Gpu(index, "nvidia", "NVIDIA H100 80GB HBM3", f"GPU-{index}", device.address)
        for index, device in enumerate(host.gpus)
    )
    return Facts("nvidia-smi", returncode=0, driver=host.userspace, cuda="13.0", gpus=gpus)


def seen(host: Host, **more: Any) -> dict[str, Any]:
    found = more.pop("facts", facts(host))
    accepted = Record(True, 3, "2026-11-01T10:00:00Z", 900, ("GPU-0", "GPU-1"), host.userspace, "4.4.2", {})
    return {
        "driver": {
            "state": asdict(host.look(False)),
            "texts": {path: host.texts[path] for path in PATHS if path in host.texts},
        },
        "settings": {"steps": [], "refusals": []},
        "facts": asdict(found),
        "bus": [asdict(device) for device in host.gpus],
        "holders": [],
        "units": {},
        "sight": asdict(AcceptanceSight(found, record=record.write(accepted))),
        **more,
    }


def play(host: Host) -> Run:
    return Run(host, {f"nvidia_driver_{name}": value for name, value in ASKED.items()}).play()


@pytest.fixture
def settled() -> Host:
    host = with_driver(bare("debian 12", (H100, replace(H100, address="0000:2a:00.0"))), VERSION)
    assert play(host).failure == ""
    host.commands.clear()
    return host


def judged(host: Host, required: bool = False, **more: Any) -> gpu_look.Judged:
    return gpu_look.judge("gpu1", PLANNED, seen(host, **more), inputs(**ASKED), required=required)


def differs(host: Host, **more: Any) -> dict[str, str]:
    found = judged(host, **more)
    assert found.refused == {}
    return found.differs


def test_a_host_that_the_role_left_differs_in_nothing(settled: Host) -> None:
    assert differs(settled) == {}
    assert differs(settled, required=True) == {}


def test_what_judges_a_host_is_read_before_the_first_one(settled: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    read_ahead()

    def closed(self: Path, *given: Any, **more: Any) -> str:
        assert DATA not in self.parents, f"each worker would read {self} anew"
        return opened(self, *given, **more)

    opened = Path.read_text
    monkeypatch.setattr(Path, "read_text", closed)
    assert differs(settled) == {}


def held_back(host: Host) -> None:
    host.held.clear()
    del host.texts[repository.PREFERENCES]


def stopped(host: Host) -> None:
    host.units[PERSISTENCE] = ServiceState("inactive", False)


def unpinned(host: Host) -> None:
    del host.texts[repository.PREFERENCES]


def unloaded(host: Host) -> None:
    host.loaded = None
    host.sisters = set()


def untouched(host: Host) -> None:
    pass


@pytest.mark.parametrize(
    ("change", "seen_there"),
    [(held_back, True), (stopped, True), (unpinned, True), (unloaded, True), (untouched, False)],
)
def test_what_the_role_would_do_is_seen_and_nothing_else(
    settled: Host, change: Callable[[Host], None], seen_there: bool
) -> None:
    change(settled)
    assert bool(differs(settled).get("driver")) is seen_there
    run = play(settled)
    assert bool(settled.commands or run.written) is seen_there
    assert "driver" not in differs(settled)


def test_a_host_without_a_driver_differs(settled: Host) -> None:
    assert "driver" in differs(bare("debian 12"), facts=Facts("nvidia-smi"))


def test_a_driver_that_is_somebody_elses_is_left_alone(settled: Host) -> None:
    unpinned(settled)
    left = gpu_look.judge("gpu1", PLANNED, seen(settled), inputs(**ASKED), managed=False)
    assert left.differs == left.refused == {}


def test_a_driver_that_cannot_be_had_is_refused(settled: Host) -> None:
    settled.gpus = ()
    assert "driver" in judged(settled, facts=Facts("nvidia-smi")).refused


def test_sick_and_missing_gpus_are_refused(settled: Host) -> None:
    well = facts(settled)
    sick = replace(well, gpus=(well.gpus[0], replace(well.gpus[1], errors=Errors(remap_failed=True))))
    assert "remap" in judged(settled, facts=sick).refused["gpus"]
    assert "gpus" in judged(settled, facts=replace(well, gpus=well.gpus[:1]), bus=[asdict(settled.gpus[0])]).refused


def test_settings_that_differ_or_are_refused_are_seen(settled: Host) -> None:
    steps = {"steps": ["GPU 0: power limit 400 W"], "refusals": []}
    assert differs(settled, settings=steps) == {"settings": "GPU 0: power limit 400 W"}
    assert judged(settled, settings={**steps, "refusals": ["GPU 1: too low"]}).refused == {"settings": "GPU 1: too low"}


def test_a_host_that_must_be_accepted_and_is_not_is_refused(settled: Host) -> None:
    never = {"sight": asdict(AcceptanceSight(facts(settled)))}
    assert set(judged(settled, required=True, **never).refused) == {"acceptance"}
    told = judged(settled, **never)
    assert told.differs == told.refused == {}
    assert any("has not been accepted" in line for line in told.lines)
