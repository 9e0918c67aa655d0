"""Setting the GPUs of a host: settable_gpus.py in the place of nvidia-smi, a table of states in that of systemd."""

from __future__ import annotations

import shlex
import sys
from copy import deepcopy
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.baremetal.vllm.plugins.module_utils.gpus import settings_host as host
from ansible_collections.baremetal.vllm.plugins.module_utils.gpus.settings import GpuSetting, from_dicts
from ansible_collections.baremetal.vllm.plugins.module_utils.gpus.settings_decide import left
from ansible_collections.baremetal.vllm.plugins.module_utils.gpus.settings_unit import read_units, unit_commands
from ansible_collections.baremetal.vllm.plugins.module_utils.host import systemd
from ansible_collections.baremetal.vllm.plugins.module_utils.host.hostfile import HostFile
from ansible_collections.baremetal.vllm.plugins.module_utils.units import quoting
from ansible_collections.baremetal.vllm.plugins.plugin_utils.gpus.settings_render import render_units
from hypothesis import HealthCheck, given
from hypothesis import settings as how
from hypothesis import strategies as st

sys.path.insert(0, str(Path(__file__).parent))
from settable_gpus import Box

TEMPLATES = Path(__file__).resolve().parents[5] / "templates"
NONE = systemd.UnitState("", "not-found", "inactive", "dead", "", 0, 0, "", 0, "", False, False, True, 0.0)


class Host:
    """A host with GPUs, and what systemd does with the two units."""

    def __init__(self, units: Path, kinds: list[str]) -> None:
        self.units, self.box = units, Box(kinds)
        self.active: set[str] = set()
        self.enabled: set[str] = set()

    def systemctl(self, argv: list[str], timeout: float = 0) -> str:
        verb, names = argv[1], [word for word in argv[2:] if not word.startswith("-")]
        if verb == "enable":
            self.enabled |= set(names)
        elif verb == "disable":
            self.enabled -= set(names)
        elif verb == "stop":
            self.active -= set(names)
        elif verb == "restart":
            for name in names:
                self.start(name)
        return ""

    def start(self, name: str) -> None:
        self.active.discard(name)
        for line in (self.units / name).read_text().splitlines():
            if line.startswith("ExecStart="):
                status, out, err = self.box.run(shlex.split(line.partition("=")[2]))
                if status:
                    raise systemd.SystemdError(out + err)
        self.active.add(name)

    def show(self, names: Any) -> dict[str, systemd.UnitState]:
        def state(name: str) -> systemd.UnitState:
            enabled = "enabled" if name in self.enabled else ""
            return replace(NONE, unit=name, active="active" if name in self.active else "inactive", enabled=enabled)

        return {name: state(name) for name in names}

    def boot(self) -> None:
        self.box.reboot()
        self.active = set()
        for name in ("gpu-mig.service", "gpu-settings.service"):
            if name in self.enabled:
                self.start(name)

    def set(self, *wanted: GpuSetting) -> list[str]:
        """One run of the module; what it did. The second look must find nothing."""
        planned = render_units(TEMPLATES, wanted)
        seen = host.look(planned, wanted)
        if seen.verdict.refusals:
            raise AssertionError(seen.verdict.refusals)
        if seen.changes:
            host.apply(seen, planned)
            assert left(host.look(planned, wanted).verdict) == []
        return seen.changes

    def refused(self, *wanted: GpuSetting) -> str:
        return "\n".join(host.look(render_units(TEMPLATES, wanted), wanted).verdict.refusals)


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Host:
    made = Host(tmp_path, ["H100", "A100", "L40S"])
    monkeypatch.setattr(host, "UNITS", tmp_path)
    monkeypatch.setattr(HostFile, "differs", lambda file: file.current() != file.content)
    monkeypatch.setattr(HostFile, "write", lambda file: Path(file.path).write_text(file.content))
    monkeypatch.setattr(host.command, "run", lambda argv, timeout=30: made.box.run(argv, timeout))
    monkeypatch.setattr(host.systemd, "run", made.systemctl)
    monkeypatch.setattr(host.systemd, "show", made.show)
    monkeypatch.setattr(host.systemd, "journal", lambda *_args, **_kwargs: [])
    return made


CAP = GpuSetting(0, power_limit=500, clocks=(0, 1500))
EXCLUSIVE = GpuSetting(2, compute_mode="exclusive_process")
HALVES = GpuSetting(0, mig=("3g.40gb", "3g.40gb"), power_limit=500)
SEVENTH = GpuSetting(1, mig=("1g.10gb",))


def test_nothing_asked_and_nothing_set_asks_no_gpu(machine: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(host.smi, "read", lambda *__: pytest.fail("nvidia-smi was called"))
    assert machine.set() == []


def test_set_and_still_there_after_a_boot_and_then_nothing_to_do(machine: Host) -> None:
    assert machine.set(CAP, EXCLUSIVE)
    assert (machine.box.gpus[0]["power"], machine.box.gpus[0]["clocks"]) == (500, "0,1500")
    assert machine.box.gpus[2]["mode"] == "Exclusive_Process"
    assert machine.set(CAP, EXCLUSIVE) == []
    machine.boot()
    assert (machine.box.gpus[0]["power"], machine.box.gpus[0]["clocks"]) == (500, "0,1500")
    assert machine.set(CAP, EXCLUSIVE) == []


def test_what_somebody_changed_by_hand_is_set_again(machine: Host) -> None:
    machine.set(CAP)
    machine.box.run(["nvidia-smi", "-i", "0", "-pl", "650"])
    assert machine.set(CAP) == ["GPU 0: power limit 650 → 500 W"]
    assert machine.box.gpus[0]["power"] == 500


def test_cut_now_with_the_reset_that_an_a100_needs_and_again_at_boot(machine: Host) -> None:
    machine.set(HALVES, SEVENTH)
    assert machine.box.gpus[0]["slices"] == ["3g.40gb", "3g.40gb"]
    assert machine.box.gpus[0]["power"] == 500
    assert machine.box.gpus[1]["slices"] == ["1g.10gb"]
    assert ["-i", "1", "--gpu-reset"] in machine.box.log
    assert ["-i", "0", "--gpu-reset"] not in machine.box.log
    machine.boot()
    assert [gpu["slices"] for gpu in machine.box.gpus] == [["3g.40gb", "3g.40gb"], ["1g.10gb"], []]
    assert machine.set(HALVES, SEVENTH) == []


def test_one_gpu_is_cut_anew_while_another_ones_slices_are_in_use(machine: Host) -> None:
    machine.set(HALVES, SEVENTH)
    machine.box.busy = {0: [(42, "VLLM::EngineCore")]}
    machine.box.log.clear()
    machine.set(HALVES, GpuSetting(1, mig=("7g.80gb",)))
    assert machine.box.gpus[1]["slices"] == ["7g.80gb"]
    assert not [words for words in machine.box.log if "mig" in words and words[words.index("-i") + 1] != "1"]


def test_a_new_power_limit_touches_no_slice(machine: Host) -> None:
    machine.set(HALVES)
    machine.box.busy = {0: [(42, "VLLM::EngineCore")]}
    machine.box.log.clear()
    machine.set(replace(HALVES, power_limit=400))
    assert machine.box.log == [["-i", "0", "-pl", "400"]]


def test_what_is_no_longer_asked_goes_back_to_its_default_and_the_units_go(machine: Host) -> None:
    fresh = deepcopy(machine.box.gpus)
    machine.set(replace(HALVES, clocks=(0, 1500)), SEVENTH, EXCLUSIVE)
    assert len(list(machine.units.iterdir())) == 2
    machine.set()
    assert machine.box.gpus == fresh
    assert list(machine.units.iterdir()) == []
    assert machine.enabled == machine.active == set()
    assert machine.set() == []


def test_without_a_tool_the_units_still_go(machine: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    machine.set(CAP)
    monkeypatch.setattr(host.command, "run", lambda argv, timeout=30: (127, "", f"{argv[0]} is not installed"))
    machine.set()
    assert list(machine.units.iterdir()) == []


REFUSED = [
    (
        GpuSetting(0, power_limit=900),
        "gpu_power_limit 900 W is outside what GPU 0 (NVIDIA H100 80GB HBM3) allows: write 200 to 700 W",
    ),
    (
        GpuSetting(1, clocks=(0, 1980)),
        "gpu_clocks up to 1980 MHz are more than GPU 1 (NVIDIA A100-SXM4-80GB) has: write 1410 MHz or less",
    ),
    (GpuSetting(2, mig=("1g.10gb",)), "GPU 2 (NVIDIA L40S) cannot be cut: it has no MIG mode"),
    (GpuSetting(7, power_limit=300), "GPU 7 is not there: nvidia-smi shows 0, 1, 2"),
    (SEVENTH, "whole → 1g.10gb: VLLM::EngineCore (pid 42) runs on it. Stop the units on this GPU"),
]


@pytest.mark.parametrize(("setting", "words"), REFUSED)
def test_refused_with_what_the_gpu_allows(machine: Host, setting: GpuSetting, words: str) -> None:
    machine.box.busy = {1: [(42, "VLLM::EngineCore")]}
    assert words in machine.refused(setting)


def test_all_refusals_at_once(machine: Host) -> None:
    machine.box.busy = {1: [(42, "VLLM::EngineCore")]}
    assert len(machine.refused(*(setting for setting, __ in REFUSED if setting.index != 1), SEVENTH).splitlines()) == 4


def test_power_limits_want_persistence_mode(machine: Host) -> None:
    machine.box.persistence = False
    assert "GPU 0 (NVIDIA H100 80GB HBM3) is not in persistence mode" in machine.refused(CAP)
    assert machine.refused(EXCLUSIVE) == ""


def test_a_gpu_that_cannot_be_reset_says_what_to_do(machine: Host) -> None:
    machine.box.run = lambda argv, timeout=30, ask=machine.box.run: (  # type: ignore[method-assign, misc]
        (1, "", "In use by another client") if "--gpu-reset" in argv else ask(argv, timeout)
    )
    with pytest.raises(host.SettingError, match=r"In use by another client\. Stop what holds the GPU \(nvidia-dcgm"):
        machine.set(SEVENTH)


def layouts() -> st.SearchStrategy[tuple[str, ...] | None]:
    return st.sampled_from([None, (), ("1g.10gb",), ("3g.40gb", "3g.40gb"), ("2g.20gb", "1g.10gb")])


def gpu_settings(index: int, top: int, watts: tuple[int, int], cut: bool) -> st.SearchStrategy[GpuSetting]:
    return st.builds(
        GpuSetting,
        index=st.just(index),
        mig=layouts() if cut else st.none(),
        power_limit=st.none() | st.integers(*watts),
        clocks=st.none() | st.tuples(st.integers(0, 500), st.integers(500, top)),
        compute_mode=st.sampled_from(["", "default", "exclusive_process", "prohibited"]),
    )


HOSTS = st.tuples(
    gpu_settings(0, 1980, (200, 700), True),
    gpu_settings(1, 1410, (100, 400), True),
    gpu_settings(2, 2520, (100, 350), False),
)


@given(st.lists(HOSTS, min_size=1, max_size=3))
@how(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_follows_whatever_the_host_ends_as_asked_and_boots_so(
    machine: Host, sequence: list[tuple[GpuSetting, ...]]
) -> None:
    for wanted in sequence:
        machine.set(*wanted)
        machine.boot()
        assert machine.set(*wanted) == []
    machine.set()
    assert [gpu["clocks"] for gpu in machine.box.gpus] == [None, None, None]
    assert [gpu["slices"] for gpu in machine.box.gpus] == [[], [], []]
    assert [gpu["power"] for gpu in machine.box.gpus] == [700, 400, 350]


@given(HOSTS)
def test_units_tell_what_they_set(wanted: tuple[GpuSetting, ...]) -> None:
    commands = [[f"ExecStart={quoting.command(argv)}" for argv in argvs] for argvs in unit_commands(wanted).values()]
    texts = ["\n".join(["[Service]", *lines]) for lines in commands]
    # A GPU that is not cut needs no command at boot.
    said = [replace(setting, mig=setting.mig or None) for setting in wanted]
    assert read_units(texts) == tuple(setting for setting in said if not setting.empty)


@given(HOSTS)
def test_through_json_and_back(wanted: tuple[GpuSetting, ...]) -> None:
    assert from_dicts([asdict(setting) for setting in wanted]) == wanted


@given(st.text())
def test_units_of_others_are_no_settings(text: str) -> None:
    for whole in (text, f"[Service]\nExecStart={text}", f"[Service]\nExecStart=/x -i 0 -pl {text}"):
        assert all(isinstance(setting, GpuSetting) for setting in read_units([whole]))
