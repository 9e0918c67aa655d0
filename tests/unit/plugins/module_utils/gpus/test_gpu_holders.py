"""Whose the processes on a GPU are: from /proc, and from what docker and podman answer."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from ansible_collections.baremetal.vllm.plugins.module_utils.gpus.cgroup import Place, place
from ansible_collections.baremetal.vllm.plugins.module_utils.gpus.holders import holders
from ansible_collections.baremetal.vllm.plugins.module_utils.gpus.model import Facts, Gpu, Process
from hypothesis import given
from hypothesis import strategies as st
from recorded_gpus import facts, report

ID = "9ec39b91f3d70e1beff50a308f77067065ea6be0d91a3378375056cd4422cf3d"
POD = "7e44ee88-1e65-4a16-8cdf-9a90c819180e"
SLICE = POD.replace("-", "_")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0::/system.slice/vllm-qwen.service\n", Place("vllm-qwen.service")),
        (f"0::/system.slice/docker-{ID}.scope\n", Place(f"docker-{ID}.scope", "docker", ID)),
        (f"0::/docker/{ID}\n", Place("", "docker", ID)),
        # cgroup v1 with Docker's own driver: the path of every controller, systemd's among them.
        (f"10:devices:/docker/{ID}\n1:name=systemd:/docker/{ID}\n0::/system.slice/docker.service\n",
         Place("docker.service", "docker", ID)),
        # Both versions at once, and systemd on the second one.
        ("9:name=systemd:/\n8:pids:/\n0::/system.slice/notebook.service\n", Place("notebook.service")),
        ("2:name=systemd:/system.slice/notebook.service\n1:pids:/\n0::/\n", Place("notebook.service")),
        (f"0::/machine.slice/libpod-{ID}.scope/container\n", Place(f"libpod-{ID}.scope", "podman", ID)),
        (f"0::/user.slice/user-1000.slice/user@1000.service/user.slice/libpod-{ID}.scope/container\n",
         Place(f"libpod-{ID}.scope", "podman", ID)),
        (f"0::/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod{SLICE}.slice/cri-containerd-{ID}.scope\n",
         Place(f"cri-containerd-{ID}.scope", "kubernetes", ID, POD)),
        (f"0::/kubepods.slice/kubepods-pod{SLICE}.slice/crio-{ID}.scope\n",
         Place(f"crio-{ID}.scope", "kubernetes", ID, POD)),
        (f"0::/kubepods/besteffort/pod{POD}/{ID}\n", Place("", "kubernetes", ID, POD)),
        (f"0::/system.slice/nerdctl-{ID}.scope\n", Place(f"nerdctl-{ID}.scope", "containerd", ID)),
        ("0::/lxc.payload.gpu-box/system.slice/ollama.service\n", Place("ollama.service", "lxc", "", "gpu-box")),
        ("0::/machine.slice/systemd-nspawn@lab1.service/payload/system.slice/x.service\n",
         Place("x.service", "systemd-nspawn", "", "lab1")),
        ("0::/machine.slice/machine-old\\x2dbox.scope\n", Place("machine-old-box.scope", "machine", "", "old-box")),
        ("0::/user.slice/user-1000.slice/user@1000.service/app.slice/jupyter.service\n", Place("jupyter.service")),
        ("0::/user.slice/user-0.slice/session-3.scope\n", Place("session-3.scope")),
        ("0::/\n", Place()),
        ("", Place()),
        # Not every long number is a container's.
        ("0::/system.slice/build-0123456789abcdef.service\n", Place("build-0123456789abcdef.service")),
    ],
)  # fmt: skip
def test_a_control_group_says_whose_a_process_is(text: str, expected: Place) -> None:
    assert place(text) == expected


@given(st.text())
def test_any_text_is_a_place(text: str) -> None:
    assert isinstance(place(text), Place)


def proc(root: Path, pid: int, *, name: str, uid: int, cgroup: str, ticks: int = 100_000, exe: str = "") -> None:
    """A process as /proc shows it."""
    directory = root / "proc" / str(pid)
    directory.mkdir(parents=True)
    (directory / "status").write_text(f"Name:\t{name}\nUid:\t0\t{uid}\t{uid}\t{uid}\n")
    (directory / "cgroup").write_text(f"0::{cgroup}\n")
    (directory / "cmdline").write_bytes(b"vllm\0serve\0--api-key\0sk-secret\0")
    # A name may hold anything, parentheses and blanks too.
    (directory / "stat").write_text(f"{pid} (a) b ({name}) S " + "0 " * 18 + f"{ticks} 0 0\n")
    (root / "proc" / "uptime").write_text("5000.00 1.00\n")
    if exe:
        os.symlink(exe, directory / "exe")


def on(*processes: tuple[int, Process]) -> Facts:
    gpus = {index: [p for at, p in processes if at == index] for index, __ in processes}
    return Facts(
        "nvidia-smi",
        returncode=0,
        gpus=tuple(Gpu(i, "nvidia", "G", f"U{i}", "", processes=tuple(p)) for i, p in gpus.items()),
    )


def test_a_process_is_told_once_with_its_memory_on_each_gpu(tmp_path: Path) -> None:
    proc(
        tmp_path,
        4242,
        name="VLLM::EngineCor",
        uid=0,
        cgroup=f"/system.slice/docker-{ID}.scope",
        exe="/usr/bin/python3.12",
    )
    asked: list[list[str]] = []

    def ask(argv: list[str]) -> tuple[int, str, str]:
        asked.append(argv)
        return 1, f"{ID} /old-vllm unless-stopped\n", "Error: No such object: 00"

    seen = holders(
        on((0, Process(4242, "VLLM::EngineCore", "C", 38 * 2**30)), (1, Process(4242, "VLLM::EngineCore", "C", None))),
        tmp_path,
        ask,
    )
    assert len(seen) == 1
    assert (seen[0].user, seen[0].executable, seen[0].title) == ("root", "/usr/bin/python3.12", "VLLM::EngineCore")
    assert (seen[0].runtime, seen[0].container, seen[0].name, seen[0].restart) == (
        "docker",
        ID,
        "old-vllm",
        "unless-stopped",
    )
    assert seen[0].memory == {"0": 38 * 2**30, "1": None}
    assert seen[0].seconds == pytest.approx(5000 - 100_000 / os.sysconf("SC_CLK_TCK"))
    assert [argv[:2] for argv in asked] == [["docker", "inspect"]]


@pytest.mark.parametrize(
    ("answer", "restart", "name"),
    [
        ((0, f"{ID} /old-vllm no\n", ""), "", "old-vllm"),
        ((124, "", "docker did not answer within 5 s"), "", ""),
        ((127, "", "docker is not installed"), "", ""),
        ((0, "permission denied\n", ""), "", ""),
    ],
    ids=["named", "hangs", "not-there", "nonsense"],
)
def test_a_runtime_that_does_not_answer_leaves_the_container_without_a_name(
    tmp_path: Path, answer: tuple[int, str, str], restart: str, name: str
) -> None:
    proc(tmp_path, 7, name="python3", uid=0, cgroup=f"/docker/{ID}")
    [seen] = holders(on((0, Process(7, "python3", "C", 1))), tmp_path, lambda argv: answer)
    assert (seen.container, seen.name, seen.restart) == (ID, name, restart)


def test_no_runtime_is_asked_for_a_process_outside_of_containers(tmp_path: Path) -> None:
    proc(tmp_path, 7, name="python3", uid=4_000_000, cgroup="/user.slice/user-1000.slice/session-3.scope")

    def ask(argv: list[str]) -> tuple[int, str, str]:
        raise AssertionError(argv)

    [seen] = holders(on((0, Process(7, "/usr/bin/python3", "C", 1))), tmp_path, ask)
    # The user is one that this host has no name for.
    assert (seen.user, seen.unit, seen.executable) == ("4000000", "session-3.scope", "/usr/bin/python3")


def test_a_process_of_another_pid_namespace_is_told_as_not_found(tmp_path: Path) -> None:
    (tmp_path / "proc").mkdir()
    [seen] = holders(on((0, Process(99, "", "C", 5))), tmp_path)
    assert (seen.found, seen.user, seen.seconds, seen.memory) == (False, "", None, {"0": 5})


def test_no_argument_of_a_process_is_read_or_told(tmp_path: Path) -> None:
    text = report(
        "gtx1070-418.56.xml", process_name="python3 -m vllm.entrypoints.openai.api_server --api-key sk-secret"
    )
    read = facts(text)
    assert read.gpus[0].processes[0].name == "python3"
    proc(tmp_path, read.gpus[0].processes[0].pid, name="python3", uid=0, cgroup="/")
    assert "sk-secret" not in repr((read, holders(read, tmp_path)))


def test_a_real_process_is_found_on_this_machine() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", "input()", "--api-key", "sk-secret"], stdin=subprocess.PIPE
    ) as process:
        try:
            [seen] = holders(on((0, Process(process.pid, "python", "C", 1))))
        finally:
            process.communicate(b"\n")
    assert seen.found
    assert Path(seen.executable).name.startswith("python")
    assert seen.seconds is not None
    assert seen.seconds < 60
    assert "sk-secret" not in repr(seen)
