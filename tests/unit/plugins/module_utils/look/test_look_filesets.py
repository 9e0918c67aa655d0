"""A set of files that cannot be compared says why; the look goes on."""

from __future__ import annotations

import grp
import os
import pwd
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.baremetal.vllm.plugins.module_utils.host import systemd
from ansible_collections.baremetal.vllm.plugins.module_utils.host.secrets import secrets_digest
from ansible_collections.baremetal.vllm.plugins.module_utils.look.filesets import differ, differs, read


def fileset(path: str, **more: Any) -> dict[str, Any]:
    file = {"path": path, "content": "x\n", "mode": "0644", "owner": "root", "group": "root", "secret": False}
    return {
        "state": "present", "files": [{**file, "effect": "none"}], "secrets": {}, "directories": [], "programs": [],
        "users": [], "validate": [], "unit": None, "probe": [], "opening": None, "selinux": None, **more,
    }  # fmt: skip


def test_a_file_that_is_not_there_is_written(tmp_path: Path) -> None:
    path = str(tmp_path / "f")
    assert differs(fileset(path)) == {"steps": [f"write {path}"], "warnings": [], "unknown": []}


def test_what_the_host_lacks_comes_first(tmp_path: Path) -> None:
    found = differs(fileset(str(tmp_path / "f"), programs=["no-such-program"], users=["no-such-user"]))
    assert found["steps"][:2] == ["install no-such-program", "create user no-such-user"]


def test_a_set_that_goes_is_gone_where_nothing_is_there(tmp_path: Path) -> None:
    asked = fileset(str(tmp_path / "f"), state="absent")
    assert differs(asked)["steps"] == []
    (tmp_path / "f").write_text("")
    assert differs(asked)["steps"] == [f"remove {tmp_path / 'f'}"]


@pytest.mark.parametrize(
    ("broken", "why"),
    [
        ({"secrets": {"/a": "s"}}, "secrets./a: no file of that path is marked as secret"),
        ({"unit": "x.timer"}, "systemctl show: no bus"),
    ],
)
def test_what_cannot_be_compared_says_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, broken: Any, why: str
) -> None:
    def refuse(*__: object) -> None:
        raise systemd.SystemdError("systemctl show:\n no bus")

    monkeypatch.setattr(systemd, "show", refuse)
    assert differs(fileset(str(tmp_path / "f"), **broken)) == {"steps": [], "warnings": [], "unknown": [why]}


def test_what_a_set_leaves_out_is_as_unit_files_has_it(tmp_path: Path) -> None:
    path = str(tmp_path / "f")
    assert differs(read({"files": [{"path": path, "content": "x\n"}]}))["steps"] == [f"write {path}"]
    with pytest.raises(ValueError, match="missing required arguments: path"):
        read({"files": [{"content": "x\n"}]})


@pytest.mark.parametrize(
    ("lies", "mode", "steps"),
    [("s3cret\n", 0o600, 0), ("other\n", 0o600, 1), ("s3cret\n", 0o644, 1), ("", 0o600, 1), (None, 0, 1)],
)
def test_a_secret_file_is_compared_by_its_digest_alone(tmp_path: Path, lies: str | None, mode: int, steps: int) -> None:
    path = tmp_path / "key"
    if lies is not None:
        path.write_text(lies)
        path.chmod(mode)
    file = {"path": str(path), "secret": True, "mode": "0600"}
    mine = {"owner": pwd.getpwuid(os.getuid()).pw_name, "group": grp.getgrgid(os.getgid()).gr_name}
    told = read({"files": [{**file, **mine}], "digests": {str(path): secrets_digest("s3cret\n")}})
    assert len(differs(told)["steps"]) == steps


def test_a_digest_of_what_is_no_secret_is_refused(tmp_path: Path) -> None:
    path = str(tmp_path / "f")
    told = read({"files": [{"path": path, "content": "x\n"}], "digests": {path: secrets_digest("x\n")}})
    assert differs(told)["unknown"] == [f"secrets.{path}: no file of that path is marked as secret"]


def test_sets_of_one_topic_are_told_as_one(tmp_path: Path) -> None:
    first, second = ({"files": [{"path": str(tmp_path / name), "content": "x\n"}]} for name in "ab")
    assert differ([first, second])["steps"] == [f"write {tmp_path / 'a'}", f"write {tmp_path / 'b'}"]
