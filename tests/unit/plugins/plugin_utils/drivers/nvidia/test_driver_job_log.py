"""The log of driver jobs: it begins anew where it has become large, and never under a job that is being watched."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from ansible_collections.baremetal.vllm.plugins.module_utils.host import job
from ansible_collections.baremetal.vllm.plugins.modules import driver


@pytest.fixture
def log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "vllm-driver.log"
    monkeypatch.setattr(job, "LOG", path)
    monkeypatch.setattr(job, "LARGEST", 100)
    monkeypatch.setattr(job, "_run", lambda argv: subprocess.CompletedProcess(argv, 0, "", ""))
    return path


@pytest.mark.parametrize(("size", "offset", "kept"), [(0, 0, False), (100, 100, False), (101, 0, True)])
def test_a_large_log_is_put_aside_before_a_job(log: Path, size: int, offset: int, kept: bool) -> None:
    log.write_text("x" * size)
    assert job.start("install", ["true"], {})["offset"] == offset
    aside = log.with_name("vllm-driver.log.1")
    assert aside.exists() is kept
    assert log.stat().st_size == offset


def test_a_job_that_runs_keeps_its_log(log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log.write_text("x" * 200)
    monkeypatch.setattr(
        job, "state", lambda: {"ActiveState": "active", "SubState": "running", "Description": "install"}
    )
    assert job.start("install", ["true"], {}) == {"busy": "install", "offset": 200}


def test_a_job_keeps_needrestart_asleep(log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ran: list[list[str]] = []

    def run(argv: list[str]) -> subprocess.CompletedProcess[str]:
        ran.append(argv)
        return subprocess.CompletedProcess(argv, 0, "", "")

    monkeypatch.setattr(job, "_run", run)
    job.start("install", ["apt-get", "install", "x"], driver.ENVIRONMENT)
    assert any("--setenv=NEEDRESTART_SUSPEND=1" in argv for argv in ran)
