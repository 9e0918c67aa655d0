"""A set of files and their unit: what a host gets, when a unit is touched, and what is left when it refuses its new files."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.baremetal.vllm.plugins.module_utils.host import fileset_host as host
from ansible_collections.baremetal.vllm.plugins.module_utils.host import fileset_restore, systemd
from ansible_collections.baremetal.vllm.plugins.module_utils.host import fileset_trial as trial
from ansible_collections.baremetal.vllm.plugins.module_utils.host.fileset import (
    File,
    FilesetRequest,
    FilesetSeen,
    decide,
    masked,
    request_of,
)
from ansible_collections.baremetal.vllm.plugins.module_utils.host.hostfile import HostFile

AS_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="files are given to root")
STATE = systemd.UnitState("u", "loaded", "active", "running", "enabled", 1, 0, "", 0, "", False, False, True, 0.0)
UNIT = "door.service"


class Host:
    """A unit that reads `conf` when it starts or is reloaded, and refuses one that says "bad"; orders are noted."""

    def __init__(self, directory: Path) -> None:
        self.conf = directory / "etc" / "door.conf"
        self.directory = directory
        self.state = replace(STATE, unit=UNIT, active="inactive", sub="dead", enabled="disabled")
        self.read, self.orders = "", [""]
        self.cut_off = False

    def run(self, argv: list[str], timeout: float = 0) -> str:
        verb = argv[1]
        self.orders.append(verb)
        if self.cut_off:
            raise KeyboardInterrupt
        if verb in ("start", "restart", "reload-or-restart"):
            text = self.conf.read_text()
            if "bad" in text:
                self.state = replace(self.state, active="failed")
                raise systemd.SystemdError("Job for door.service failed")
            self.read, self.state = text, replace(self.state, active="active")
        if verb == "enable":
            self.state = replace(self.state, enabled="enabled")
        if verb == "disable":
            self.state = replace(self.state, active="inactive", enabled="disabled")
        return ""

    def request(self, text: str, effect: str = "reload", **more: Any) -> FilesetRequest:
        files = [{"path": str(self.conf), "content": text, "effect": effect, **FILE}]
        files += more.pop("files", [])
        return request_of({"files": files, "secrets": {}, "directories": [], "unit": UNIT, **more})

    def apply(self, request: FilesetRequest, probe: tuple[str, ...] = ()) -> list[str]:
        """One run of the module: the orders that systemd got."""
        self.orders = []
        seen = host.look(request, probe)
        verdict = decide(request, seen)
        host.make_directories(request, verdict)
        host.apply(request, seen, verdict)
        return self.orders


FILE = {"mode": "0644", "owner": "root", "group": "root", "secret": False}


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Host:
    made = Host(tmp_path)
    monkeypatch.setattr(fileset_restore, "NOTES", tmp_path / "notes")
    monkeypatch.setattr(host.systemd, "run", made.run)
    monkeypatch.setattr(host.systemd, "show", lambda units: dict.fromkeys(units, made.state))
    monkeypatch.setattr(host.systemd, "journal", lambda *_args, **_kwargs: ["door: line 1: bad"])
    return made


@AS_ROOT
def test_started_then_reloaded_or_restarted_as_its_files_ask_and_then_left_alone(machine: Host) -> None:
    assert machine.apply(machine.request("1")) == ["enable", "start"]
    assert machine.apply(machine.request("1")) == []
    assert machine.apply(machine.request("2")) == ["reload-or-restart"]
    assert machine.read == "2"
    assert machine.apply(machine.request("3", effect="restart")) == ["restart"]
    assert machine.apply(machine.request("4", effect="none")) == []
    assert machine.apply(machine.request("4"), probe=("false",)) == ["restart"]
    assert machine.apply(machine.request("4"), probe=("true",)) == []


@AS_ROOT
def test_a_unit_that_refuses_its_new_files_gets_the_earlier_ones_back(machine: Host) -> None:
    machine.apply(machine.request("good"))
    beside = Path(f"{machine.conf}.d")
    new = {"path": str(beside), "content": "x", "effect": "reload", **FILE}
    with pytest.raises(host.UnitError, match=r"door: line 1: bad; the earlier files are back and it runs with them"):
        machine.apply(machine.request("bad", files=[new]))
    assert (machine.conf.read_text(), machine.read, machine.state.active) == ("good", "good", "active")
    assert not beside.exists()
    assert machine.apply(machine.request("good")) == []


@AS_ROOT
def test_a_first_start_that_fails_leaves_a_stopped_unit_and_is_tried_again(machine: Host) -> None:
    with pytest.raises(host.UnitError, match="does not start with these files and is stopped"):
        machine.apply(machine.request("bad"))
    assert machine.orders[-1] == "stop"
    assert machine.apply(machine.request("good"))[-1] == "start"


@AS_ROOT
@pytest.mark.parametrize(("effect", "order"), [("reload", "reload-or-restart"), ("restart", "restart")])
def test_a_run_that_was_cut_off_after_the_files_is_made_up_for(machine: Host, effect: str, order: str) -> None:
    machine.apply(machine.request("1"))
    machine.cut_off = True
    with pytest.raises(KeyboardInterrupt):
        machine.apply(machine.request("2", effect=effect))
    assert machine.conf.read_text() == "2"
    machine.cut_off = False
    assert machine.apply(machine.request("2", effect=effect)) == [order]
    assert machine.read == "2"
    assert machine.apply(machine.request("2", effect=effect)) == []


@AS_ROOT
def test_what_is_no_longer_in_the_set_goes_and_what_others_put_beside_stays(machine: Host) -> None:
    own, shared = machine.directory / "own", machine.directory / "shared"
    for directory in (own / "deep", shared):
        directory.mkdir(parents=True)
        (directory / "stranger").write_text("x")
    directories = [{**FILE, "path": str(path), "mode": "0750", "only": path == own} for path in (own, shared)]
    files = [{"path": str(own / "kept"), "content": "k", "effect": "none", **FILE}]
    request = machine.request("1", files=files, directories=directories)
    machine.apply(request)
    assert sorted(path.name for path in own.rglob("*")) == ["deep", "kept"]
    assert (shared / "stranger").exists()
    assert own.stat().st_mode & 0o777 == 0o750
    host.remove(request, host.present(request))
    assert "disable" in machine.orders
    assert not own.exists()
    assert (shared / "stranger").exists()
    assert not machine.conf.exists()
    assert host.present(request) == []


def test_a_request_that_makes_no_sense_is_told_whole() -> None:
    file = {**FILE, "content": None, "effect": "none"}
    files = [
        {**file, "path": "/a"},
        {**file, "path": "/b", "secret": True},
        {**file, "path": "c", "mode": "rw", "content": ""},
    ]
    with pytest.raises(ValueError, match="content is missing") as told:
        request_of({"files": files, "secrets": {"/x": "s"}, "directories": [], "unit": None})
    assert len(str(told.value).splitlines()) == 5


def test_a_unit_without_an_install_section_is_not_enabled_and_daemon_reload_follows_unit_files_alone() -> None:
    def verdict(text: str, path: str) -> Any:
        file = File(path, text, 0o644, "root", "root", False, "reload")
        state = replace(STATE, enabled="disabled")
        return decide(FilesetRequest((file,), (), UNIT), FilesetSeen((path,), (), (), state))

    unit = f"/etc/systemd/system/{UNIT}"
    assert not verdict("[Service]\n", unit).enable
    assert verdict("[Service]\n\n[Install]\nWantedBy=x\n", unit).enable
    assert verdict("", unit).daemon_reload
    assert not verdict("", "/etc/door.conf").daemon_reload


def test_the_words_of_secrets_are_masked_in_what_commands_say() -> None:
    file = File("/k", 'sk-0123456789 alice\n"s3cret-of-bob"\n', 0o600, "root", "root", True, "none")
    told = masked("line 1: sk-0123456789 for alice, s3cret-of-bob", [file])
    assert told == "line 1: ******** for alice, ********"


def can_cover() -> bool:
    return (
        os.geteuid() == 0
        and subprocess.run(["unshare", "--mount", "true"], capture_output=True, check=False).returncode == 0
    )


@pytest.mark.skipif(not can_cover(), reason="a mount namespace is root's")
def test_a_trial_sees_the_new_set_in_place_and_nobody_else_does(tmp_path: Path) -> None:
    scratch, place = tmp_path / "run", tmp_path / "etc"
    for directory in (scratch, place / "own"):
        directory.mkdir(parents=True)
    (place / "kept").write_text("kept")
    (place / "old").write_text("old")
    (place / "own" / "gone").write_text("gone")
    files = [HostFile(str(place / "old"), "new", 0o644), HostFile(str(place / "own" / "added"), "added", 0o600)]
    look = f"cd {place} && cat kept old own/added && ls own && exit 3"
    with pytest.raises(trial.TrialError, match=r"^keptnewaddedadded$"):
        trial.run(["sh", "-c", look], files, [str(place / "own" / "gone")], scratch=str(scratch))
    trial.run(["true"], files, [], scratch=str(scratch))
    assert (place / "old").read_text() == "old"
    assert [path.name for path in (place / "own").iterdir()] == ["gone"]
    assert list(scratch.iterdir()) == []


@AS_ROOT
def test_the_module_shows_no_secret_and_does_nothing_in_check_mode(tmp_path: Path) -> None:
    path = tmp_path / "keys" / "map"
    arguments = {
        "files": [
            {"path": str(path), "secret": True, "mode": "0600"},
            {"path": str(tmp_path / "f"), "content": "text\n"},
        ],
        "secrets": {str(path): "sk-very-secret-key alice\n"},
    }
    before = ask(arguments, check=True)
    assert before["changed"]
    assert not path.exists()
    done = ask(arguments)
    assert (path.read_text(), path.stat().st_mode & 0o777) == ("sk-very-secret-key alice\n", 0o600)
    assert "sk-very-secret-key" not in json.dumps([before, done])
    assert "text" in json.dumps(before["diff"])
    assert not ask(arguments)["changed"]
    assert ask({**arguments, "programs": ["no-such-program"]})["missing"] == ["no-such-program"]
    changed = [arguments["files"][0], {**arguments["files"][1], "content": "other"}]
    nobody = ask({**arguments, "users": ["root", "no-such-user"], "files": changed})
    assert (nobody["missing_users"], nobody["steps"][0]) == (["no-such-user"], "create user no-such-user")
    assert not ask(arguments)["changed"], "nothing was done"
    assert ask({**arguments, "state": "absent"})["changed"]
    assert not path.exists()
    assert not ask({**arguments, "state": "absent"})["changed"]


def ask(arguments: dict[str, Any], check: bool = False) -> dict[str, Any]:
    """The module as Ansible starts it on a host."""
    given = json.dumps({"ANSIBLE_MODULE_ARGS": {**arguments, "_ansible_check_mode": check, "_ansible_diff": True}})
    root = Path(__file__).resolve().parents[5]
    module = root / "plugins" / "modules" / "unit_files.py"
    # Under ansible-test the collection is found by the folders above it.
    env = {**os.environ, "PYTHONPATH": os.pathsep.join([*sys.path, *map(str, root.parents[:3])])}
    done = subprocess.run(
        [sys.executable, str(module)], input=given, capture_output=True, text=True, check=False, env=env
    )
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer
