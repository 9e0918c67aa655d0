"""What is seen on a host and run there, with commands that answer from a table and files below a folder."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from ansible_collections.baremetal.vllm.plugins.module_utils.drivers.acceptance import job, observe
from ansible_collections.baremetal.vllm.plugins.module_utils.gpus.model import Facts, Gpu, Process
from ansible_collections.baremetal.vllm.plugins.module_utils.host.job import JobError

DEVICES = tuple(
    Gpu(
        i,
        "nvidia",
        "H100",
        f"GPU-{i}",
        "",
        processes=(Process(70 + i, "python3", "C", None), Process(9, "Xorg", "G", None)),
    )
    for i in range(2)
)
Answer = tuple[int, str, str]


class Host:
    """Commands by how they begin; what was called is kept."""

    def __init__(self, answers: dict[str, Answer]) -> None:
        self.answers = answers
        self.calls: list[str] = []

    def __call__(self, argv: list[str]) -> Answer:
        line = " ".join(argv)
        self.calls.append(line)
        return next((answer for start, answer in self.answers.items() if line.startswith(start)), (0, "", ""))


def shown(active: str, sub: str, status: int = 0, code: int = 1, result: str = "success") -> dict[str, Answer]:
    text = (
        f"ActiveState={active}\nSubState={sub}\nExecMainStatus={status}\nExecMainCode={code}\nResult={result}\n"
        "ExecMainStartTimestampMonotonic=1000000\nExecMainExitTimestampMonotonic=61000000\n"
    )
    return {"systemctl show": (0, text, "")}


@pytest.mark.parametrize(
    ("out", "version"),
    [
        ((0, "\ndcgmi  version: 4.5.2\n", ""), "4.5.2"),
        ((0, "dcgmi  version: 3.3.9\n\n", ""), "3.3.9"),
        ((127, "", "not installed"), ""),
        ((1, "error while loading shared libraries", ""), ""),
    ],
)
def test_the_version_of_dcgm(out: Answer, version: str) -> None:
    assert observe.dcgm_version(Host({"dcgmi --version": out})) == version


def test_units_and_processes_that_use_the_gpus(tmp_path: Path) -> None:
    for pid, group in ((70, "0::/system.slice/vllm-chat.service"), (71, "0::/user.slice/user-0.slice/session-4.scope")):
        (tmp_path / "proc" / str(pid)).mkdir(parents=True)
        (tmp_path / "proc" / str(pid) / "cgroup").write_text(group + "\n")
    listing = "vllm-chat.service loaded active running vLLM chat\nvllm-b.service loaded activating start vLLM b\n"
    units = observe.model_units(Host({"systemctl list-units": (0, listing, "")}))
    users = observe.gpu_users(Facts("nvidia-smi", gpus=DEVICES), tmp_path)
    assert units == ("vllm-b.service", "vllm-chat.service")
    assert [(user.pid, user.unit) for user in users] == [(70, "vllm-chat.service"), (71, "session-4.scope")]


def test_a_host_without_tools_is_seen_without_an_error(tmp_path: Path) -> None:
    def nothing(argv: list[str]) -> Answer:
        return 127, "", f"{argv[0]} is not installed"

    sight = observe.look("cuda", nothing, tmp_path)
    assert (sight.dcgm, sight.units, sight.record, sight.run.state) == ("", (), "", "")
    assert sight.facts.error


def start(host: Host, root: Path, units: tuple[str, ...] = ("vllm-a.service",), parameters: str = "") -> None:
    (root / "run").mkdir(exist_ok=True)
    job.start(host, 3, parameters, 7200, units, root)


def test_units_are_stopped_before_and_known_after(tmp_path: Path) -> None:
    host = Host(shown("inactive", "dead"))
    start(host, tmp_path, parameters="pcie.is_allowed=true;memory.is_allowed=true")
    assert host.calls[0] == "systemctl stop vllm-a.service"
    command = host.calls[-1]
    assert "RuntimeMaxSec=7200" in command
    assert command.endswith("dcgmi diag --run 3 --json --parameters pcie.is_allowed=true;memory.is_allowed=true")
    found = job.state(Host(shown("active", "running")), tmp_path)
    assert (found.state, found.level, found.stopped, found.output) == ("running", 3, ("vllm-a.service",), "")


@pytest.mark.parametrize(
    ("unit", "status", "result", "seconds"),
    [
        (shown("active", "exited"), 0, "success", 60),
        (shown("failed", "failed", 226, 1, "exit-code"), 226, "exit-code", 60),
        (shown("failed", "failed", 15, 2, "timeout"), 143, "timeout", 60),
    ],
)
def test_how_a_run_ended(tmp_path: Path, unit: dict[str, Answer], status: int, result: str, seconds: int) -> None:
    start(Host({}), tmp_path)
    (tmp_path / "run/gpu-acceptance/output").write_text("{}")
    found = job.state(Host(unit), tmp_path)
    assert (found.state, found.status, found.result, found.seconds) == ("ended", status, result, seconds)
    assert found.output == "{}"


def test_a_refusal_of_systemd_starts_again_what_was_stopped(tmp_path: Path) -> None:
    host = Host({**shown("inactive", "dead"), "systemd-run": (1, "", "Failed to start transient service unit")})
    with pytest.raises(JobError, match="Failed to start transient"):
        start(host, tmp_path)
    assert host.calls[-1] == "systemctl start --no-block vllm-a.service"
    assert not (tmp_path / "run/gpu-acceptance").exists()


def test_a_running_diagnostic_is_never_replaced(tmp_path: Path) -> None:
    start(Host({}), tmp_path)
    host = Host(shown("active", "running"))
    with pytest.raises(JobError, match="run again to follow it"):
        start(host, tmp_path)
    assert not any("stop" in call or "systemd-run" in call for call in host.calls)


def test_settling_leaves_nothing_and_starts_what_is_named(tmp_path: Path) -> None:
    start(Host({}), tmp_path)
    host = Host({})
    job.settle(host, (), tmp_path)
    assert not any(call.startswith("systemctl start") for call in host.calls)
    assert job.state(host, tmp_path).state == ""


def test_a_broken_note_is_no_run(tmp_path: Path) -> None:
    start(Host({}), tmp_path)
    (tmp_path / "run/gpu-acceptance/note.json").write_text("{")
    assert job.state(Host({}), tmp_path).state == ""


def test_files_are_written_whole_and_only_where_they_differ(tmp_path: Path) -> None:
    path = tmp_path / "var/lib/vllm/acceptance.json"
    assert job.save(path, "{}\n")
    assert not job.save(path, "{}\n")
    assert [p.name for p in path.parent.iterdir()] == ["acceptance.json"]
    assert path.stat().st_mode & 0o777 == 0o644


@pytest.mark.parametrize(
    ("out", "busy"),
    [
        ((0, "97, 64, 512.50\n99, 66, 530.10\n", ""), {"gpus": 2, "use": 98, "heat": 66, "watts": 1043}),
        ((0, "[N/A], 64, [N/A]\n", ""), {"gpus": 1, "heat": 64}),
        ((2, 'Field "power.draw" is not a valid field to query.\n', ""), {}),
        ((124, "", "did not answer"), {}),
    ],
)
def test_what_the_gpus_do_meanwhile(out: Answer, busy: dict[str, float]) -> None:
    assert job.busy(Host({"nvidia-smi": out})) == busy


def test_dcgm_itself_is_no_user_of_the_gpus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "proc/70").mkdir(parents=True)
    (tmp_path / "proc/70/cgroup").write_text("0::/system.slice/nvidia-dcgm.service\n")
    (tmp_path / "var/lib/vllm").mkdir(parents=True)
    (tmp_path / "var/lib/vllm/acceptance.json").write_text(json.dumps({"passed": True}))
    one = Facts("nvidia-smi", gpus=(replace(DEVICES[0]),))
    monkeypatch.setattr(observe, "read_facts", lambda accelerator, run: one)
    sight = observe.look("cuda", Host({}), tmp_path)
    assert sight.users == ()
    assert "passed" in sight.record
