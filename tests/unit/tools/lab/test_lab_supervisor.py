"""The program that keeps a machine on, with a stand-in for systemd-nspawn."""

from __future__ import annotations

import json
import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.baremetal.vllm.tools.lab import process, supervisor


@pytest.fixture(autouse=True)
def _bare(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No control groups, and this process's own signal handlers afterwards."""
    monkeypatch.setattr(supervisor, "cgroups_of", lambda name: [])
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGHUP)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def supervise(tmp_path: Path, script: str) -> dict[str, Any]:
    settings = {
        "argv": ["sh", "-c", script],
        "environment": {"LAB": "yes"},
        "cgroup": "none",
        "console": str(tmp_path / "console.log"),
        "status": str(tmp_path / "status.json"),
    }
    (tmp_path / "supervisor.json").write_text(json.dumps(settings))
    assert supervisor.main(str(tmp_path / "supervisor.json")) == 0
    return json.loads((tmp_path / "status.json").read_text())


@pytest.mark.parametrize("status", [0, 1, 137])
def test_a_machine_that_reboots_is_started_again_and_one_that_ends_is_not(tmp_path: Path, status: int) -> None:
    script = f'echo "boot $LAB"; test "$(wc -l < {tmp_path}/console.log)" -ge 3 && exit {status}; exit 133'
    told = supervise(tmp_path, script)
    assert told["boots"] == 3
    assert told["ended"]["status"] == status
    assert (tmp_path / "console.log").read_text() == "boot yes\n" * 3


def test_what_is_written_identifies_the_processes(tmp_path: Path) -> None:
    told = supervise(tmp_path, "exit 0")
    found = process.from_json(told["supervisor"])
    assert found is not None
    assert found.alive()
    ended = process.from_json(told["nspawn"])
    assert ended is not None
    assert not ended.alive()


def test_power_is_cut_on_request(tmp_path: Path) -> None:
    threading.Timer(0.5, os.kill, (os.getpid(), signal.SIGTERM)).start()
    told = supervise(tmp_path, "sleep 60 & wait; exit 133")
    assert told["ended"]["by_request"]
    assert told["boots"] == 1
