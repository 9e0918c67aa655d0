"""A disk that takes no more: what was there stays whole, the error has the file's name, and nothing was stopped before."""

from __future__ import annotations

import errno
import resource
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.baremetal.vllm.plugins.module_utils.host import labels, systemd
from ansible_collections.baremetal.vllm.plugins.module_utils.host.hostfile import HostFile
from ansible_collections.baremetal.vllm.plugins.module_utils.units import generations, host
from ansible_collections.baremetal.vllm.plugins.module_utils.units.decide import UnitStep
from ansible_collections.baremetal.vllm.plugins.module_utils.units.planned import PlannedUnit

LARGE = "x" * 8192


@contextmanager
def full() -> Iterator[None]:
    """The kernel refuses to let files grow beyond a page, as it refuses every page of a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)


def file(path: Path, text: str) -> HostFile:
    found = path.parent.stat()
    return HostFile(str(path), text, 0o644, uid=found.st_uid, gid=found.st_gid)


def unit(text: str, name: str = "m", weights: str = "/m") -> PlannedUnit:
    return PlannedUnit(f"vllm-{name}.service", text, "d", name=name, release="1", weights=weights)


def test_a_file_that_cannot_be_written_is_named_and_stays_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "vllm-m.service"
    file(path, "before").write()
    with full(), pytest.raises(OSError, match="too large") as failed:
        file(path, LARGE).write()
    assert (failed.value.errno, failed.value.filename) == (errno.EFBIG, str(path))
    assert {each.name: each.read_text() for each in tmp_path.iterdir()} == {path.name: "before"}


def test_a_generation_that_cannot_be_written_is_named_and_leaves_nothing(tmp_path: Path) -> None:
    assert generations.write_generation(tmp_path, [unit("text")]) == 1
    with full(), pytest.raises(OSError, match="too large") as failed:
        generations.write_generation(tmp_path, [unit(LARGE)])
    assert failed.value.filename == str(tmp_path / "2")
    assert [each.name for each in tmp_path.iterdir()] == ["1"]


def test_an_outcome_that_cannot_be_written_is_named_and_the_manifest_stays(tmp_path: Path) -> None:
    assert generations.write_generation(tmp_path, [unit("text", weights=LARGE)]) == 1
    with full(), pytest.raises(OSError, match="too large") as failed:
        generations.set_outcome(tmp_path, 1, "active")
    assert failed.value.filename == str(tmp_path / "1" / "manifest.json")
    assert [found.outcome for found in generations.read_generations(tmp_path)] == ["pending"]
    assert sorted(each.name for each in (tmp_path / "1").iterdir()) == ["manifest.json", "vllm-m.service"]


@pytest.fixture
def called(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[str]:
    calls: list[str] = []

    def run(argv: Any, timeout: float = 0) -> str:
        calls.append(" ".join(argv))
        return ""

    monkeypatch.setattr(systemd, "run", run)
    monkeypatch.setattr(systemd, "show", lambda units: {})
    monkeypatch.setattr(host, "UNITS", tmp_path / "units")
    monkeypatch.setattr(host, "GENERATIONS", tmp_path / "generations")
    (tmp_path / "units").mkdir()
    return calls


def test_nothing_is_stopped_where_a_unit_cannot_be_written(called: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: HostFile) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", self.path)

    monkeypatch.setattr(HostFile, "write", refuse)
    steps = [
        UnitStep("vllm-m.service", "start", "new", write=True),
        UnitStep("vllm-old.service", "remove", "no longer planned"),
    ]
    with pytest.raises(OSError, match="No space left"):
        host.apply([unit("text")], steps, [], "", returned=False)
    assert not any("vllm-old" in call or "restart" in call for call in called), called


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOSPC, "No space left on device", "/x"),
        labels.LabelError(["restorecon", "-R", "/x"], "No such file or directory"),
    ],
)
def test_a_failed_unit_is_stopped_where_its_earlier_file_cannot_come_back_and_the_others_are_seen_to(
    called: list[str], monkeypatch: pytest.MonkeyPatch, error: OSError
) -> None:
    units = [unit("earlier", name) for name in ("a", "gone", "b")]
    generations.write_generation(host.GENERATIONS, units)
    generations.set_outcome(host.GENERATIONS, 1, "active")
    for name in ("a", "b"):
        (host.UNITS / f"vllm-{name}.service").write_text("new")

    def refuse(self: HostFile) -> None:
        if self.path.endswith("vllm-a.service"):
            raise error

    monkeypatch.setattr(HostFile, "write", refuse)
    assert host.restore(2, [each.unit for each in units]) == {
        "vllm-a.service": "stopped",
        "vllm-gone.service": "restored",
        "vllm-b.service": "restored",
    }
    assert "systemctl stop vllm-a.service" in called
    assert "systemctl restart --no-block vllm-gone.service vllm-b.service" in called
