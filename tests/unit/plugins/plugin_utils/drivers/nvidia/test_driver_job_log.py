"""The log of driver jobs: it begins anew where it has become large, and never under a job that is being watched."""

from __future__ import annotations

from pathlib import Path

import pytest
from ansible_collections.baremetal.vllm.plugins.module_utils.host import job
from ansible_collections.baremetal.vllm.plugins.modules import driver


class Systemd:
    """What systemd shows of the unit; what it is told is kept."""

    def __init__(self, shown: str = "") -> None:
        self.shown = shown
        self.told: list[list[str]] = []

    def __call__(self, argv: list[str]) -> tuple[int, str, str]:
        self.told.append(argv)
        return 0, self.shown if argv[1] == "show" else "", ""


RUNNING = "ActiveState=active\nSubState=running\nDescription=install\n"


@pytest.fixture
def log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(job, "LARGEST", 100)
    return tmp_path / "vllm-driver.log"


def jobs(log: Path, systemd: Systemd) -> job.Logged:
    return job.Logged(job.Job("x.service", systemd, log.parent), log)


@pytest.mark.parametrize(("size", "offset", "kept"), [(0, 0, False), (100, 100, False), (101, 0, True)])
def test_a_large_log_is_put_aside_before_a_job(log: Path, size: int, offset: int, kept: bool) -> None:
    log.write_text("x" * size)
    assert jobs(log, Systemd()).start("install", ["true"], {})["offset"] == offset
    aside = log.with_name("vllm-driver.log.1")
    assert aside.exists() is kept
    assert log.stat().st_size == offset


def test_a_job_that_runs_keeps_its_log(log: Path) -> None:
    log.write_text("x" * 200)
    systemd = Systemd(RUNNING)
    assert jobs(log, systemd).start("other", ["true"], {}) == {"busy": "install", "offset": 200}
    assert [argv[:2] for argv in systemd.told] == [["systemctl", "show"]]


def test_a_job_keeps_needrestart_asleep(log: Path) -> None:
    systemd = Systemd()
    jobs(log, systemd).start("install", ["apt-get", "install", "x"], driver.ENVIRONMENT)
    assert any("--setenv=NEEDRESTART_SUSPEND=1" in argv for argv in systemd.told)


@pytest.mark.parametrize(
    ("shown", "rc"),
    [
        ("ActiveState=active\nSubState=exited\nExecMainStatus=0\nExecMainCode=1\nResult=success\n", 0),
        ("ActiveState=failed\nSubState=failed\nExecMainStatus=100\nExecMainCode=1\nResult=exit-code\n", 100),
        ("ActiveState=failed\nSubState=failed\nExecMainStatus=9\nExecMainCode=2\nResult=signal\n", 137),
        ("ActiveState=failed\nSubState=failed\nExecMainStatus=0\nExecMainCode=0\nResult=resources\n", 1),
    ],
)
def test_how_a_job_ended(log: Path, shown: str, rc: int) -> None:
    log.write_text("old\nnew\nbuilding 10 %\rbuilding 90 %\rlast")
    seen = jobs(log, Systemd(shown)).watch(4, patience=9)
    assert seen == {"done": True, "rc": rc, "lines": ["new", "last"], "offset": log.stat().st_size}


def test_of_a_job_that_runs_only_whole_lines_are_told(log: Path) -> None:
    log.write_text("one\ntw")
    seen = jobs(log, Systemd(RUNNING)).watch(0, patience=9)
    assert seen == {"done": False, "rc": None, "lines": ["one"], "offset": 4}


def test_a_systemd_that_does_not_answer_has_ended_no_job(log: Path) -> None:
    log.write_text("one\n")
    mute = job.Logged(job.Job("x.service", lambda argv: (124, "", "systemctl did not answer within 60 s")), log)
    with pytest.raises(job.JobError, match="did not answer"):
        mute.watch(0, patience=9)
