"""What a process was started from, as the host still tells it: its file, an earlier generation, or an edit by hand."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.baremetal.vllm.plugins.module_utils.host import systemd
from ansible_collections.baremetal.vllm.plugins.module_utils.host.secrets import (
    IDENTITY,
    matching_identity,
    secret_lines,
    secrets_digest,
)
from ansible_collections.baremetal.vllm.plugins.module_utils.units import generations, host, observe
from ansible_collections.baremetal.vllm.plugins.module_utils.units.decide import UnitStep, decide
from ansible_collections.baremetal.vllm.plugins.module_utils.units.planned import PlannedUnit
from ansible_collections.baremetal.vllm.plugins.module_utils.units.unitfile import DIGEST, read_unit
from hypothesis import given
from hypothesis import strategies as st

UNIT = "vllm-m.service"
STATE = {
    "Id": UNIT, "ActiveState": "active", "SubState": "running", "UnitFileState": "enabled", "MainPID": "7",
    "NeedDaemonReload": "no",
}  # fmt: skip


class Host:
    """A host's directories in a temporary one, with one unit and its process."""

    def __init__(self, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.units, self.generations = root / "units", root / "generations"
        self.units.mkdir()
        self.environment: dict[str, str] | None = {}
        self.argv: tuple[str, ...] = ()
        self.state = dict(STATE)
        monkeypatch.setattr(observe, "UNITS", self.units)
        monkeypatch.setattr(observe, "GENERATIONS", self.generations)
        monkeypatch.setattr(systemd, "show", lambda units: {UNIT: systemd._state(self.state)})
        monkeypatch.setattr(systemd, "process_environment", lambda pid: self.environment)
        monkeypatch.setattr(systemd, "process_argv", lambda pid: self.argv)

    def write(self, text: str, ago: float = 100) -> None:
        path = self.units / UNIT
        path.write_text(text)
        os.utime(path, (time.time() - ago, time.time() - ago))

    def keep(self, unit: Any) -> None:
        generations.write_generation(self.generations, [host_unit(unit)])

    def runs(self, unit: Any, ago: float = 50, **environment: str) -> None:
        self.environment = {DIGEST: unit.digest, **environment}
        self.argv = tuple(read_unit(unit.text).command)
        self.state["ExecMainStartTimestampMonotonic"] = str(int((time.clock_gettime(time.CLOCK_MONOTONIC) - ago) * 1e6))

    def step(self, planned: Any, identity: str | None = "") -> UnitStep:
        sight = observe.observe([UNIT], identity)
        return decide(PlannedUnit(UNIT, planned.text, planned.digest), sight.observed[UNIT])


def host_unit(unit: Any) -> PlannedUnit:
    return PlannedUnit(unit.unit, unit.text, unit.digest, name="m", release="1", weights="/m")


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Host:
    return Host(tmp_path, monkeypatch)


@pytest.fixture
def old(unit: Any) -> Any:
    return unit({"max-model-len": "16k"})


@pytest.fixture
def new(unit: Any) -> Any:
    return unit({"max-model-len": "32k"})


WHY = "max-model-len 16k → 32k"


def test_what_runs_from_its_file_is_compared_with_that_file(machine: Host, old: Any, new: Any) -> None:
    machine.write(old.text)
    # What a drop-in of the operator adds stays in force and is no reason for anything.
    machine.runs(old, VLLM_X="of a drop-in")
    assert (machine.step(old).verb, machine.step(old).changes) == ("keep", False)
    assert (machine.step(new).verb, machine.step(new).why) == ("restart", WHY)


def test_a_process_older_than_its_file_is_compared_with_the_generation_it_came_from(
    machine: Host, old: Any, new: Any
) -> None:
    machine.keep(old)
    machine.keep(new)
    machine.write(new.text, ago=10)
    machine.runs(old, ago=50)
    step = machine.step(new)
    assert (step.verb, step.why, step.write) == ("restart", WHY, False)


def test_without_any_text_of_its_own_the_command_line_tells(machine: Host, old: Any, new: Any) -> None:
    machine.write(new.text, ago=10)
    machine.runs(old, ago=50)
    assert machine.step(new).why == WHY
    machine.argv = ()
    assert machine.step(new).why == "its command, environment or limits changed"


def test_an_edit_by_hand_that_runs_is_undone_with_a_restart(machine: Host, old: Any) -> None:
    machine.write(old.text.replace("16k", "24k"), ago=80)
    machine.runs(old, ago=50)
    step = machine.step(old)
    assert (step.verb, step.why, step.write) == (
        "restart", "its unit file was edited by hand, max-model-len 24k → 16k", True,
    )  # fmt: skip


@pytest.mark.parametrize("how", ["older process", "not read in"])
def test_an_edit_by_hand_that_never_ran_is_undone_without(machine: Host, old: Any, how: str) -> None:
    machine.keep(old)
    machine.write(old.text.replace("16k", "24k"), ago=10 if how == "older process" else 80)
    machine.runs(old, ago=50)
    machine.state["NeedDaemonReload"] = "yes" if how == "not read in" else "no"
    step = machine.step(old)
    assert (step.verb, step.write) == ("keep", True)
    assert "edited by hand" in step.why


def test_without_root_the_command_line_and_the_file_must_do(machine: Host, old: Any, new: Any) -> None:
    machine.write(old.text)
    machine.runs(old)
    machine.environment = None
    assert machine.step(old, None).verb == "keep"
    assert machine.step(new, None).why == WHY
    assert not observe.observe([UNIT], None).whole
    machine.argv = ()
    assert machine.step(old, None).verb == "keep", "a hidden command line is no other one"


def test_the_drop_ins_of_the_operator_are_listed_with_their_keys_and_never_their_values(
    machine: Host, old: Any, tmp_path: Path
) -> None:
    machine.write(old.text)
    machine.runs(old, ago=50)
    own, loaded = machine.units / f"{UNIT}.d" / "a.conf", tmp_path / "vllm-.service.d" / "b.conf"
    for path, text in ((own, "[Service]\nEnvironment=HF_TOKEN=abc\nNice=3\n"), (loaded, "[Unit]\nPartOf=x\n")):
        path.parent.mkdir()
        path.write_text(text)
    os.utime(loaded, (0, 0))
    machine.state["DropInPaths"] = f"{loaded} /usr/lib/systemd/system/service.d/10-distribution.conf"
    sight = observe.observe([UNIT], "")
    facts = observe.facts(UNIT, sight.texts[UNIT], sight.states[UNIT])
    assert facts["drop_ins"] == [
        {"path": str(own), "sets": ["Environment", "Nice"], "newer": True},
        {"path": str(loaded), "sets": ["PartOf"], "newer": False},
    ]
    assert (facts["release"], facts["gpus"], facts["port"], facts["kind"], facts["drift"]) == (
        "0.32.0",
        [0],
        8001,
        "chat",
        [],
    )
    assert observe.facts(UNIT, None, sight.states[UNIT]) == {"drop_ins": facts["drop_ins"]}


SECRETS = st.dictionaries(st.sampled_from(["VLLM_API_KEY", "A", "B"]), st.text('ab"\\ é$', max_size=5))


@given(
    held=SECRETS | st.none() | st.sampled_from(["", "x", f'#\n{IDENTITY}="00"\n', f'{IDENTITY}="00"\nA="a"\n']),
    wanted=SECRETS,
)
def test_a_digest_says_of_the_secrets_on_a_host_what_the_secrets_themselves_would(
    tmp_path_factory: pytest.TempPathFactory, held: Any, wanted: dict[str, str]
) -> None:
    path = tmp_path_factory.getbasetemp() / "api_key.env"
    path.unlink(missing_ok=True)
    if held is not None:
        path.write_text(held if isinstance(held, str) else host.secrets_file(str(path), held).content)
    text = path.read_text() if path.exists() else None
    said = matching_identity(text, secrets_digest(secret_lines(wanted)))
    written = host.secrets_file(str(path), wanted).content
    if not wanted and held is None:
        assert said == "", "no file is needed, and none is there"
    elif text is not None and written.partition("\n")[2] == text.partition("\n")[2]:
        assert said == host.secrets_identity(written)
    else:
        assert said in ("none yet", "others")


HOUR = 3600.0


@pytest.mark.parametrize(
    ("case", "file_ago", "clock_then", "older"),
    [
        ("edited after the start", 20, -50, True),
        ("written before the start", 100, -50, False),
        # The host was deployed by a clock an hour ahead, which was set right since: the file seems to come from the future.
        ("the clock was set back", 100 - HOUR, -50 + HOUR, False),
        ("nobody says when it started", 20, None, True),
    ],
)
def test_a_clock_that_was_set_does_not_make_a_process_older_than_its_file(
    machine: Host,
    monkeypatch: pytest.MonkeyPatch,
    old: Any,
    case: str,
    file_ago: float,
    clock_then: float | None,
    older: bool,
) -> None:
    machine.write(old.text, ago=file_ago)
    machine.runs(old, ago=50)
    said = "n/a"
    if clock_then is not None:
        said = time.strftime("%a %Y-%m-%d %H:%M:%S UTC", time.gmtime(time.time() + clock_then))
    monkeypatch.setattr(systemd, "run", lambda argv: f"ExecMainStartTimestamp={said}\n")
    assert observe.older(systemd._state(machine.state), machine.units / UNIT) is older
