from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from ansible.module_utils.testing import patch_module_args
from ansible_collections.baremetal.vllm.plugins.module_utils.engine import build, installed
from ansible_collections.baremetal.vllm.plugins.module_utils.engine.prune import is_release, prunable
from ansible_collections.baremetal.vllm.plugins.modules import engine
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


@pytest.mark.parametrize(
    ("sign", "ours"),
    [
        ("0.31.0/.complete.json", True),
        (".building-0.31.0", True),
        (".staging-0.31.0/uv", True),
        ("0.31.0/README", False),
        (".building-0.30.0", False),
    ],
)
def test_only_what_carries_a_sign_of_ours_is_ours_to_remove(tmp_path: Path, sign: str, ours: bool) -> None:
    lay(tmp_path, "0.31.0")
    lay(tmp_path, "0.32.0", MARKER)
    (tmp_path / sign).parent.mkdir(exist_ok=True)
    (tmp_path / sign).write_text("x")
    found = installed.survey(tmp_path, "0.32.0", [])
    assert found["foreign"] == ([] if ours else ["0.31.0"])
    assert found["prunable"] == (["0.31.0"] if ours else [])


def test_a_link_is_nobodys_release_but_the_operators(tmp_path: Path) -> None:
    lay(tmp_path / "elsewhere", "0.31.0", MARKER)
    (tmp_path / "0.31.0").symlink_to(tmp_path / "elsewhere" / "0.31.0")
    assert installed.survey(tmp_path, "0.32.0", [])["prunable"] == []


def test_the_module_that_removes_leaves_others_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for release, marker in (("0.30.0", None), ("0.31.0", {**MARKER, "release": "0.31.0"}), ("0.32.0", MARKER)):
        lay(tmp_path, release, marker)
    (tmp_path / ".building-0.31.0").touch()
    with patch_module_args({"step": "prune", "path": str(tmp_path / "0.32.0")}), pytest.raises(SystemExit):
        engine.main()
    assert json.loads(capsys.readouterr().out)["removed"] == ["0.31.0"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["0.30.0", "0.32.0"]


def test_a_build_replaces_nothing_of_somebody_else(tmp_path: Path) -> None:
    directory = lay(tmp_path / "opt", "0.32.0")
    job = build.BuildJob("0.32.0", "cpu", directory, tmp_path / "bundle", "", "")
    with pytest.raises(
        build.BuildError, match=r"0\.32\.0 is there and not an installation of this collection: move it away"
    ):
        build.build(job)
    assert (directory / "bin" / "vllm").exists()
    assert not (tmp_path / "opt" / ".building-0.32.0").exists(), "a refusal makes it no build of ours"


AS_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="gives directories away")


@AS_ROOT
@pytest.mark.parametrize(
    ("place", "owner", "mode", "told"),
    [
        ("opt/vllm", 0, 0o755, ""),
        ("opt", 0, 0o1777, ""),
        ("opt/vllm", 1234, 0o755, "opt/vllm belongs to 1234 and not to root (chown root: "),
        ("opt", 1234, 0o755, "opt belongs to 1234 and not to root"),
        ("opt/vllm", 0, 0o775, "opt/vllm can be written by the group root (chmod go-w "),
        ("opt", 0, 0o757, "opt can be written by everybody"),
    ],
)
def test_the_way_to_the_engines_is_roots_alone(tmp_path: Path, place: str, owner: int, mode: int, told: str) -> None:
    (tmp_path / "opt" / "vllm").mkdir(parents=True)
    os.chown(tmp_path / place, owner, -1)
    (tmp_path / place).chmod(mode)
    found = installed.survey(tmp_path / "opt" / "vllm", "0.32.0", [])["unsafe"]
    assert len(found) == bool(told)
    assert told in " ".join(found)


@AS_ROOT
def test_a_link_on_the_way_is_followed(tmp_path: Path) -> None:
    (tmp_path / "data" / "vllm").mkdir(parents=True)
    os.chown(tmp_path / "data", 1234, -1)
    (tmp_path / "vllm").symlink_to(tmp_path / "data" / "vllm")
    assert "data belongs to 1234" in " ".join(installed.unsafe(tmp_path / "vllm"))


def test_what_is_not_there_yet_is_no_danger(tmp_path: Path) -> None:
    assert not [line for line in installed.unsafe(tmp_path / "opt" / "vllm") if str(tmp_path / "opt") in line]


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
