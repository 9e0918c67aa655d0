"""Libraries that an update replaced under a process: as real processes show them, and what is none."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from ansible_collections.baremetal.vllm.plugins.module_utils.host import systemd
from ansible_collections.baremetal.vllm.plugins.module_utils.units import observe, replaced

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


@pytest.mark.parametrize(("line", "path"), LINES, ids=[line.split(" ", 5)[-1] for line, __ in LINES])
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


DRIVER = [
    ("libcuda.so.535.154.05", [], True),
    ("libcuda.so.535.154.05", ["libcuda.so.535.183.01"], True),
    ("libnvidia-ml.so.535.154.05", ["libnvidia-ml.so.535.183.01"], True),
    ("libnvidia-ptxjitcompiler.so.550.40", [], True),
    ("libnvcuvid.so.535.154.05", [], True),
    # Installed anew, or the module has followed.
    ("libcuda.so.535.154.05", ["libcuda.so.535.154.05"], False),
    ("libcuda.so.525.60.13", ["libcuda.so.535.154.05"], False),
    # Not the driver's, or not made for one module.
    ("libnvidia-container.so.1.17.4", [], False),
    ("libcudart.so.12.4.127", [], False),
    ("compat/libcuda.so.550.54.15", [], False),
    ("libc.so.6", [], False),
]


@pytest.mark.parametrize(("gone", "there", "ahead"), DRIVER)
def test_a_driver_is_ahead_where_none_of_the_loaded_modules_version_is_left(
    tmp_path: Path, gone: str, there: list[str], ahead: bool
) -> None:
    for name in there:
        (tmp_path / name).touch()
    path = f"{tmp_path}/{gone}"
    assert replaced.driver_ahead([path], "535.154.05") == ([path] if ahead else [])


def test_without_a_module_no_library_of_a_driver_serves(tmp_path: Path) -> None:
    (tmp_path / "libcuda.so.535.183.01").touch()
    path = f"{tmp_path}/libcuda.so.535.154.05"
    assert replaced.driver_ahead([path], "") == [path]


def test_a_unit_under_which_the_driver_was_replaced_is_never_restarted_for_libraries(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(replaced, "MODULE", tmp_path / "version")
    monkeypatch.setattr(observe, "UNITS", tmp_path)
    monkeypatch.setattr(observe, "GENERATIONS", tmp_path)
    unit, libc, libcuda = "vllm-a.service", "/usr/lib/libc.so.6", f"{tmp_path}/libcuda.so.535.154.05"
    show = systemd.parse_show(f"Id={unit}\nActiveState=active\nMainPID={os.getpid()}\n")
    monkeypatch.setattr(systemd, "show", lambda names: show)
    monkeypatch.setattr(observe, "replaced", lambda pids: [libc, libcuda])
    (tmp_path / "version").write_text("535.154.05\n")
    assert observe.observe([unit], "", [unit]).observed[unit].replaced == ()
    told = observe.facts(unit, "[Service]\n", show[unit])
    assert (told["replaced"], told["replaced_driver"]) == ([libc, libcuda], [libcuda])
    # The module of the new libraries is loaded: an engine that still has the old ones is one like any other.
    (tmp_path / "version").write_text("535.183.01\n")
    (tmp_path / "libcuda.so.535.183.01").touch()
    assert observe.observe([unit], "", [unit]).observed[unit].replaced == (libc, libcuda)


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
