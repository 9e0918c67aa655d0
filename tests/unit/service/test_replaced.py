"""Libraries that an update replaced under a process: as real processes show them, and what is none."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from ansible_collections.baremetal.vllm.plugins.module_utils.service import observe, replaced, systemd

LINES = [
    ("7f00-7f01 r-xp 00028000 08:01 1234 /usr/lib/x86_64-linux-gnu/libc.so.6 (deleted)", "/usr/lib/x86_64-linux-gnu/libc.so.6"),
    ("7f00-7f01 r-xp 00000000 08:01 12 /lib64/libssl.so.3;65a3b2c1 (deleted)", "/lib64/libssl.so.3"),
    ("7f00-7f01 r-xp 00000000 08:01 12 /usr/lib/libz.so.1.dpkg-tmp (deleted)", "/usr/lib/libz.so.1"),
    ("55e0-55e1 r-xp 00000000 08:01 12 /usr/bin/python3.11 (deleted)", "/usr/bin/python3.11"),
    ("7f00-7f01 r-xp 00000000 08:01 12 /opt/vllm/0.33.0/lib/a b.so (deleted)", "/opt/vllm/0.33.0/lib/a b.so"),
    # Still there, or no code of a package.
    ("7f00-7f01 r-xp 00028000 08:01 1234 /usr/lib/x86_64-linux-gnu/libc.so.6", ""),
    ("7f00-7f01 r--p 00000000 08:01 1234 /usr/lib/locale/locale-archive (deleted)", ""),
    ("7f00-7f01 rw-s 00000000 00:01 2051 /dev/shm/psm_3f2a (deleted)", ""),
    ("7f00-7f01 rwxs 00000000 00:01 2051 /memfd:doublemapper (deleted)", ""),
    ("7f00-7f01 rwxs 00000000 00:01 2051 /dev/zero (deleted)", ""),
    ("7f00-7f01 rw-s 00000000 00:01 32769 /SYSV00000000 (deleted)", ""),
    ("7f00-7f01 r-xp 00000000 08:01 12 /var/cache/vllm/triton/ab/cuda_utils.so (deleted)", ""),
    ("7f00-7f01 r-xp 00000000 08:01 12 /tmp/nccl_allocator.so (deleted)", ""),
    ("7ffd-7ffe r-xp 00000000 00:00 0 [vdso]", ""),
    ("7f00-7f01 rwxp 00000000 00:00 0 ", ""),
    ("nonsense", ""),
]  # fmt: skip


@pytest.mark.parametrize(("line", "path"), LINES, ids=[line.split(" ", 5)[-1] for line, _ in LINES])
def test_a_mapped_file_that_is_gone_counts_where_packages_put_it(line: str, path: str) -> None:
    assert replaced.replaced_in(f"{line}\n") == ({path} if path else set())


@pytest.fixture
def running(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[int, Path]]:
    """A real process that runs from a program of its own, and that program."""
    program = tmp_path / "usr" / "sleeper"
    program.parent.mkdir()
    shutil.copy(shutil.which("sleep") or "", program)
    monkeypatch.setattr(replaced, "_PLACES", (f"{tmp_path}/usr/",))
    with subprocess.Popen([program, "300"]) as process:
        yield process.pid, program
        process.kill()


def test_a_file_that_is_renamed_over_is_seen_under_the_process(running: tuple[int, Path]) -> None:
    pid, program = running
    assert replaced.replaced([pid]) == []
    new = program.with_suffix(".new")
    shutil.copy(program, new)
    os.replace(new, program)
    assert replaced.replaced([pid]) == [str(program)]
    assert replaced.replaced([os.getpid()]) == []


def test_a_process_that_is_gone_has_nothing() -> None:
    done = subprocess.Popen([sys.executable, "-c", ""])
    done.wait()
    assert replaced.replaced([done.pid]) == []


def test_all_processes_of_a_unit_are_asked_or_at_least_its_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(replaced, "CGROUPS", tmp_path)
    group = "/system.slice/vllm-m.service"
    assert replaced.processes(group, 7) == [7]
    for root in ("systemd", "."):
        path = tmp_path / root / group.lstrip("/") / "cgroup.procs"
        path.parent.mkdir(parents=True)
        path.write_text("7\n8\n9\n")
        assert replaced.processes(group, 7) == [7, 8, 9]
    assert replaced.processes(group, 0) == []
    assert replaced.processes("", 7) == [7]


def test_only_units_that_shall_be_fresh_are_looked_at_for_a_restart(
    running: tuple[int, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pid, program = running
    program.unlink()
    units = ("vllm-a.service", "vllm-b.service")
    monkeypatch.setattr(observe, "UNITS", tmp_path)
    monkeypatch.setattr(observe, "GENERATIONS", tmp_path)
    show = {unit: systemd.parse_show(f"Id={unit}\nActiveState=active\nMainPID={pid}\n")[unit] for unit in units}
    monkeypatch.setattr(systemd, "show", lambda names: show)
    assert [seen.replaced for seen in observe.observe(units, "").observed.values()] == [(), ()]
    seen = observe.observe(units, "", ["vllm-b.service"]).observed
    assert {unit: each.replaced for unit, each in seen.items()} == {units[0]: (), units[1]: (str(program),)}


@pytest.mark.parametrize(
    ("paths", "words"),
    [
        (["/usr/lib/libc.so.6"], "libc.so.6"),
        (["/a/libc.so.6", "/b/libc.so.6"], "libc.so.6"),
        ([f"/usr/lib/lib{i}.so" for i in range(3)], "lib0.so, lib1.so, lib2.so"),
        ([f"/usr/lib/lib{i}.so" for i in range(9)], "lib0.so, lib1.so, lib2.so and 6 more"),
    ],
)
def test_a_few_names_are_told_and_the_others_counted(paths: list[str], words: str) -> None:
    assert replaced.told(paths) == words
