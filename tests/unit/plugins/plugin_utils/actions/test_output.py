"""Files that an operator names for us to write: whatever is there already."""

from __future__ import annotations

import os
import socket
import stat
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from ansible_collections.baremetal.vllm.plugins.plugin_utils.actions import output
from ansible_collections.baremetal.vllm.plugins.plugin_utils.actions.output import unwritable, write_output
from ansible_collections.baremetal.vllm.plugins.plugin_utils.actions.refusal import Refusal


def write(path: Path | str, text: str = "new\n", **how: bool) -> bool:
    done = write_output("vllm_plan_json", str(path), text, **how)
    assert done["path"] == str(path)
    return bool(done["changed"])


def test_a_new_file_has_the_mode_that_the_umask_leaves_and_is_written_once(tmp_path: Path) -> None:
    path, mask = tmp_path / "plan.json", os.umask(0o027)
    try:
        assert write(path)
    finally:
        os.umask(mask)
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    assert path.read_text() == "new\n"
    assert not write(path)
    assert [entry.name for entry in tmp_path.iterdir()] == ["plan.json"]


def test_a_file_is_replaced_whole_and_keeps_its_mode(tmp_path: Path) -> None:
    path = tmp_path / "plan.json"
    path.write_text("the old one, longer\n")
    path.chmod(0o600)
    reader = path.open()
    assert write(path)
    assert (path.read_text(), stat.S_IMODE(path.stat().st_mode)) == ("new\n", 0o600)
    # Who has it open goes on reading what was there.
    assert reader.read() == "the old one, longer\n"
    reader.close()


@pytest.mark.parametrize("there", [True, False])
def test_a_symbolic_link_stays_one(tmp_path: Path, there: bool) -> None:
    target, link = tmp_path / "store" / "plan.json", tmp_path / "latest.json"
    target.parent.mkdir()
    if there:
        target.write_text("old\n")
    link.symlink_to("store/plan.json")
    assert write(link)
    assert link.is_symlink()
    assert target.read_text() == "new\n"


def test_another_name_of_the_file_has_the_new_content(tmp_path: Path) -> None:
    path, other = tmp_path / "plan.json", tmp_path / "other"
    path.write_text("old\n")
    os.link(path, other)
    assert write(path)
    assert other.read_text() == "new\n"


def test_a_pipe_is_written_to_and_stays_one(tmp_path: Path) -> None:
    path, read = tmp_path / "pipe", []
    os.mkfifo(path)
    reader = threading.Thread(target=lambda: read.append(path.read_text()))
    reader.start()
    assert not write(path, "x" * 200_000)
    reader.join()
    assert read == ["x" * 200_000]
    assert stat.S_ISFIFO(path.stat().st_mode)


def test_a_pipe_without_a_reader_is_an_error_and_no_wait_for_ever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(output, "_READER", 0.0)
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(Refusal):
        write(tmp_path / "pipe")
    assert "pipe cannot be written: nobody reads this pipe." in capsys.readouterr().out


def test_a_device_is_written_to_and_stays_one() -> None:
    before = os.stat("/dev/null")
    assert not write("/dev/null")
    assert (os.stat("/dev/null").st_ino, os.stat("/dev/null").st_mode) == (before.st_ino, before.st_mode)


def test_a_file_descriptor_of_the_shell_is_written_to(tmp_path: Path) -> None:
    reader, writer = os.pipe()
    write(f"/dev/fd/{writer}")
    os.close(writer)
    assert os.read(reader, 100) == b"new\n"
    os.close(reader)


def test_check_mode_writes_nothing_and_says_that_it_would(tmp_path: Path) -> None:
    assert write(tmp_path / "plan.json", check_mode=True)
    assert list(tmp_path.iterdir()) == []


def test_the_difference_is_told_on_request(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("old\n")
    told = write_output("vllm_migrate_file", str(tmp_path / "a"), "new\n", diff=True)["diff"]
    assert (told["before"], told["after"]) == ("old\n", "new\n")


def _socket(folder: Path) -> str:
    listening = socket.socket(socket.AF_UNIX)
    listening.bind(str(folder / "socket"))
    listening.close()
    return str(folder / "socket")


WRONG: list[tuple[Callable[[Path], str], str, str]] = [
    (lambda folder: str(folder / "a" / "b.json"), "the folder {}/a is not there", "Make it: mkdir -p {}/a"),
    (lambda folder: str(folder), "{} is a folder", "Name a file in it"),
    (lambda folder: str(folder / "file" / "b.json"), "cannot be looked at (Not a directory)", "Name another file"),
    (lambda folder: " ", "is empty", "Name a file, or leave it out"),
    (lambda folder: str(folder / "loop"), "loop", "Name another file"),
    (_socket, "{}/socket is a socket", "Name a file or a pipe"),
    (lambda folder: str(folder / ("n" * 300)), "cannot be looked at (File name too long)", "Name another file"),
    (lambda folder: str(folder / "a\0b"), "cannot be looked at", "Name another file"),
]


@pytest.mark.parametrize(("make", "reason", "remedy"), WRONG)
def test_what_cannot_be_written_is_told_with_its_variable_before_anything_is(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], make: Callable[[Path], str], reason: str, remedy: str
) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    path = make(tmp_path)
    told = unwritable(path)
    assert reason.format(tmp_path) in told[0]
    assert told[1] == remedy.format(tmp_path)
    with pytest.raises(Refusal):
        write(path)
    assert "[ERROR]: vllm_plan_json: " in capsys.readouterr().out


@pytest.mark.parametrize("path", ["/dev/stdout", "/dev/stderr", "/dev/null", "plan.json"])
def test_what_can_be_written_is_not_refused(path: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert unwritable(path) == ("", "")
