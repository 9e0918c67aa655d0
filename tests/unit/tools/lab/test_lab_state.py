"""The record of what the lab has changed, and processes told apart from later ones with the same id."""

from __future__ import annotations

import os
import signal
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
from ansible_collections.baremetal.vllm.tools.lab import process, sysctl
from ansible_collections.baremetal.vllm.tools.lab.spec import LabError, Machine
from ansible_collections.baremetal.vllm.tools.lab.state import State, from_text, load, save, to_text
from hypothesis import given
from hypothesis import strategies as st

A = Machine("a", "10.1.2.11", packages=("git",))
B = Machine("b", "10.1.2.12", internet=False)
NAMES = st.from_regex(r"[a-z0-9]{1,8}", fullmatch=True)
MACHINES = st.builds(Machine, NAMES, NAMES, st.sampled_from(["bookworm", "trixie"]), st.booleans(), st.tuples(NAMES))


@given(st.builds(State, NAMES, st.dictionaries(NAMES, NAMES), NAMES, st.lists(MACHINES).map(tuple)))
def test_what_is_written_is_read_again(state: State) -> None:
    assert from_text(to_text(state)) == state


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"version": 0, "machines": []}', '{"version": 1, "machines": [1]}'])
def test_a_record_that_cannot_be_read_is_said_to_be_so(text: str) -> None:
    with pytest.raises(LabError, match="cannot be read"):
        from_text(text)


def test_no_record_is_an_empty_lab(tmp_path: Path) -> None:
    assert load(tmp_path / "state.json") == State()
    save(tmp_path / "deep" / "state.json", State(subnet="x"))
    assert load(tmp_path / "deep" / "state.json") == State(subnet="x")


def test_machines_replace_their_namesakes() -> None:
    state = State().having(B).having(A).having(replace(A, suite="trixie"))
    assert state.machines == (replace(A, suite="trixie"), B)
    assert state.without("a").machines == (B,)


def test_settings_go_back_to_what_they_were_before_the_first_change() -> None:
    state = State().remembering({"forward": "0"}, "boot1").remembering({"forward": "1"}, "boot1")
    assert state.settings_to_restore("boot1") == {"forward": "0"}
    # After a restart of the computer the old value says nothing, and the new one counts.
    assert state.settings_to_restore("boot2") == {}
    assert state.remembering({"forward": "1"}, "boot2").settings_to_restore("boot2") == {"forward": "1"}


@pytest.mark.parametrize(("before", "settings"), [("null", {}), ('"0"', {"net/ipv4/ip_forward": "0"})])
def test_a_lab_recorded_by_the_first_version_can_still_be_removed(before: str, settings: dict[str, str]) -> None:
    text = f'{{"version": 1, "subnet": "x", "forwarding": {before}, "boot": "b", "machines": []}}'
    assert from_text(text) == State(subnet="x", boot="b", settings=settings)


def test_settings_of_the_kernel_are_raised_and_never_lowered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sysctl, "ROOT", tmp_path)
    for name, value in {"net/ipv4/ip_forward": "0\n", "fs/inotify/max_user_instances": "8192\n"}.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(value)
    assert not sysctl.suffices(sysctl.read())
    sysctl.raise_all()
    assert sysctl.suffices(sysctl.read())
    assert sysctl.read() == {"net/ipv4/ip_forward": "1", "fs/inotify/max_user_instances": "8192"}


def test_identity_of_a_machine_leaves_out_what_can_change() -> None:
    assert A.identity() == replace(A, internet=False).identity()
    assert A.identity() != replace(A, packages=()).identity()


def test_only_the_very_process_is_ended() -> None:
    with subprocess.Popen(["sleep", "60"]) as sleep:
        real = process.identify(sleep.pid)
        assert real is not None
        for stranger in (replace(real, started=real.started - 1), replace(real, boot="another")):
            assert not stranger.alive()
            assert not stranger.kill()
        assert sleep.poll() is None
        assert process.from_json(real.to_json()) == real
        assert sleep.pid in process.children(os.getpid())
        assert real.kill(signal.SIGTERM)
        # Not reaped yet: a process that only waits for its parent counts as ended.
        assert real.wait(5)


@pytest.mark.parametrize("data", [None, {}, {"pid": "x"}, []])
def test_no_identity_from_nonsense(data: object) -> None:
    assert process.from_json(data) is None
