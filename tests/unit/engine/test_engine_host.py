from __future__ import annotations

import json
from pathlib import Path

import pytest
from ansible_collections.baremetal.vllm.plugins.module_utils.engine import installed
from ansible_collections.baremetal.vllm.plugins.module_utils.engine.prune import is_release, prunable
from hypothesis import given
from hypothesis import strategies as st

MARKER = {
    "release": "0.32.0",
    "accelerator": "cpu",
    "lock_sha256": "ab" * 32,
    "python": "3.11.2",
    "finished_at": "2026-11-23T10:00:00+00:00",
}


@pytest.mark.parametrize(
    ("present", "planned", "used", "removed"),
    [
        ([], ["0.32.0"], {}, []),
        (["0.32.0"], ["0.32.0"], {}, []),
        (["0.31.0", "0.32.0"], ["0.32.0"], {}, ["0.31.0"]),
        (["0.31.0", "0.32.0"], ["0.32.0"], {"0.31.0": ["vllm-a.service"]}, []),
        (["0.31.0", "0.32.0"], ["0.32.0"], {"0.31.0": ["generation 3"]}, []),
        (["0.31.0", "0.32.0"], ["0.32.0"], {"0.31.0": ["process 77 (python)"]}, []),
        (["0.31.0", "0.32.0"], ["0.32.0"], {"0.31.0": []}, ["0.31.0"]),
        (["0.30.0", "0.31.0", "0.32.0"], ["0.32.0"], {"0.31.0": ["vllm-a.service"]}, ["0.30.0"]),
        (["0.31.0", "0.32.0"], ["0.33.0"], {}, ["0.31.0", "0.32.0"]),
        (["0.31.0", "python", ".staging-0.33.0", "models"], ["0.33.0"], {}, ["0.31.0"]),
        (["0.33.0rc1", "0.33.0"], ["0.33.0"], {}, ["0.33.0rc1"]),
    ],
)
def test_which_releases_go(
    present: list[str], planned: list[str], used: dict[str, list[str]], removed: list[str]
) -> None:
    assert prunable(present, planned, used) == removed


@given(
    st.sets(st.sampled_from(["0.30.0", "0.31.0", "0.32.0", "0.33.0"])), st.sets(st.sampled_from(["0.31.0", "0.32.0"]))
)
def test_nothing_planned_or_used_ever_goes(present: set[str], used: set[str]) -> None:
    gone = set(prunable(present, ["0.33.0"], {release: ["x"] for release in used}))
    assert gone == present - used - {"0.33.0"}


@pytest.mark.parametrize("name", ["0.32.0", "0.33.0rc1", "1.0", "0.32.0+cpu", "0.32.0.post1"])
def test_names_of_releases(name: str) -> None:
    assert is_release(name)


@pytest.mark.parametrize("name", ["python", "bin", ".staging-0.32.0", "0", "v0.32.0", "", "..", "0.32.0/x"])
def test_names_of_other_things(name: str) -> None:
    assert not is_release(name)


def lay(root: Path, release: str, marker: object = None) -> Path:
    directory = root / release
    (directory / "bin").mkdir(parents=True)
    for name in ("vllm", "python"):
        (directory / "bin" / name).write_text("#!/bin/sh\n")
    if marker is not None:
        (directory / installed.MARKER).write_text(marker if isinstance(marker, str) else json.dumps(marker))
    return directory


@pytest.mark.parametrize(
    "marker",
    [
        None,
        "",
        "{",
        "[]",
        "null",
        {},
        {**MARKER, "release": "0.31.0"},
        {**MARKER, "lock_sha256": None},
        {key: value for key, value in MARKER.items() if key != "finished_at"},
    ],
)
def test_an_installation_without_a_right_marker_is_unfinished(tmp_path: Path, marker: object) -> None:
    lay(tmp_path, "0.32.0", marker)
    assert installed.releases(tmp_path) == {"0.32.0": {}}


def test_a_marker_is_read(tmp_path: Path) -> None:
    lay(tmp_path, "0.32.0", MARKER)
    (tmp_path / "python").mkdir()
    assert installed.releases(tmp_path) == {"0.32.0": MARKER}


def test_an_installation_whose_python_is_gone_is_unfinished(tmp_path: Path) -> None:
    directory = lay(tmp_path, "0.32.0", MARKER)
    (directory / "bin" / "python").unlink()
    (directory / "bin" / "python").symlink_to("/usr/bin/python3.99")
    assert installed.releases(tmp_path) == {"0.32.0": {}}


def test_no_directory_at_all(tmp_path: Path) -> None:
    assert installed.releases(tmp_path / "none") == {}


def test_units_generations_and_processes_use_releases(tmp_path: Path) -> None:
    root = Path("/opt/vllm")
    unit = tmp_path / "vllm-a.service"
    unit.write_text("[Service]\nExecStart=/opt/vllm/0.31.0/bin/vllm serve x \\\n  --port 1\n")
    assert installed.used_by_units(root, str(tmp_path / "vllm-*.service")) == {"0.31.0": ["vllm-a.service"]}
    for number, text in ((4, '{"releases": ["0.30.0"]}'), (5, "broken"), (6, "[]")):
        (tmp_path / str(number)).mkdir()
        (tmp_path / str(number) / "manifest.json").write_text(text)
    assert installed.used_by_generations(str(tmp_path / "*" / "manifest.json")) == {"0.30.0": ["generation 4"]}
    proc = tmp_path / "proc"
    by_command, by_map, other = proc / "10", proc / "11", proc / "12"
    for directory in (by_command, by_map, other):
        directory.mkdir(parents=True)
    (by_command / "cmdline").write_bytes(b"/opt/vllm/0.32.0/bin/python\0/opt/vllm/0.32.0/bin/vllm\0serve\0")
    (by_map / "cmdline").write_bytes(b"VLLM::EngineCore\0")
    (by_map / "maps").write_text("7f00-7f01 r-xp 0 00:00 1 /opt/vllm/0.29.0/lib/python3.11/x.so\n")
    (other / "cmdline").write_bytes(b"/usr/bin/less\0/var/log/syslog\0/opt/vllm/0.28.0/bin/vllm\0")
    assert installed.used_by_processes(root, str(proc)) == {
        "0.32.0": ["process 10 (python)"],
        "0.29.0": ["process 11 (VLLM::EngineCore)"],
    }


def test_packages_that_dpkg_knows(tmp_path: Path) -> None:
    status = tmp_path / "status"
    status.write_text(
        "Package: libgomp1\nStatus: install ok installed\n\n"
        "Package: libnuma1\nStatus: deinstall ok config-files\n\n"
        "Package: libgl\nStatus: install ok installed\nProvides: libgl1 (= 1.6), libgl-any\n\n"
    )
    asked = ["libgomp1", "libnuma1", "libgl1", "g++"]
    assert installed.missing_packages(asked, str(status)) == ["libnuma1", "g++"]
    assert installed.missing_packages([], str(status)) == []


@pytest.mark.parametrize(
    ("text", "family"),
    [
        ("ID=debian\n", "debian"),
        ('ID=ubuntu\nID_LIKE=debian\nVERSION_ID="22.04"\n', "debian"),
        ('ID="rocky"\nID_LIKE="rhel centos fedora"\n', "rhel"),
        ("ID=arch\n", ""),
        ("", ""),
    ],
)
def test_families_of_distributions(tmp_path: Path, text: str, family: str) -> None:
    (tmp_path / "os-release").write_text(text)
    assert installed.family(["debian", "rhel"], str(tmp_path / "os-release")) == family


def test_this_machine_has_a_python_and_room(tmp_path: Path) -> None:
    assert all(python["version"] for python in installed.pythons())
    assert installed.free_bytes(tmp_path / "not" / "there") > 0
