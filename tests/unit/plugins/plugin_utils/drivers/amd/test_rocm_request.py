"""What an inventory may ask for, and which systems AMD packages it for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from ansible_collections.baremetal.vllm.plugins.module_utils.drivers.amd.model import WantedRocm
from ansible_collections.baremetal.vllm.plugins.module_utils.drivers.nvidia.model import System
from ansible_collections.baremetal.vllm.plugins.module_utils.text.problems import Problems
from ansible_collections.baremetal.vllm.plugins.plugin_utils.drivers.amd import releases, render, versions
from ansible_collections.baremetal.vllm.plugins.plugin_utils.drivers.amd.request import PACKAGES, read_rocm
from hypothesis import given
from hypothesis import strategies as st

TEMPLATES = Path(__file__).resolve().parents[6] / "templates"
HOST = {"vllm_accelerator": "rocm"}


def read(**declared: Any) -> tuple[WantedRocm | None, list[str]]:
    problems = Problems()
    found = read_rocm({**HOST, **declared}, problems, "gpu1")
    return found, [str(problem) for problem in sorted(problems.found)]


def test_nothing_asked() -> None:
    assert read() == (None, [])


def test_a_release_with_its_defaults() -> None:
    assert read(rocm_version="7.2.3") == (WantedRocm("7.2.3", "dkms", "", "", PACKAGES), [])


@pytest.mark.parametrize(
    ("engine", "packages"),
    [
        ({"vllm_version": "0.33.0"}, ("rocminfo", "amd-smi-lib")),
        ({"vllm_version": "0.33.0", "vllm_engine_rocm": "rocm72"}, PACKAGES),
        ({"vllm_version": "0.32.0"}, PACKAGES),
        ({"vllm_version": "0.13.0"}, PACKAGES),
        ({"vllm_version": "0.33.0", "rocm_packages": ["rocm"]}, ("rocm",)),
    ],
)
def test_an_engine_that_brings_its_libraries_leaves_the_tools_to_the_host(
    engine: dict[str, Any], packages: tuple[str, ...]
) -> None:
    found, told = read(rocm_version="7.2.3", **engine)
    assert told == []
    assert found is not None
    assert found.packages == packages


def test_everything_said(tmp_path: Path) -> None:
    key = tmp_path / "key.asc"
    key.write_text("a key")
    asked = {
        "rocm_driver": "kernel",
        "rocm_mirror": "https://mirror/amd/",
        "rocm_mirror_key": str(key),
        "rocm_packages": ["rocm"],
    }
    expected = WantedRocm("7.1.1", "kernel", "https://mirror/amd", str(key), ("rocm",))
    assert read(rocm_version="7.1.1", **asked) == (expected, [])


WRONG = [
    ({"rocm_driver": "dkms"}, "gpu1.rocm_version: is missing"),
    ({"rocm_version": "7.2"}, "'7.2' is not a ROCm release known here"),
    ({"rocm_version": 7.2}, "Known are: 6.4.3, 7.0.0, "),
    ({"rocm_version": "7.2.3", "rocm_driver": "kernal"}, 'Did you mean "kernel"'),
    ({"rocm_version": "7.2.3", "rocm_mirror": "https://me:hush@mirror.example.org"}, "holds a user and a password"),
    ({"rocm_version": "7.2.3", "rocm_mirror": "mirror.example.org"}, "'mirror.example.org' is not a URL"),
    ({"rocm_version": "7.2.3", "rocm_mirror_key": "/nowhere.asc"}, "'/nowhere.asc' is no file here"),
    ({"rocm_version": "7.2.3", "rocm_packages": "rocm"}, "gpu1.rocm_packages: is not a list of packages"),
    ({"rocm_version": "7.2.3", "vllm_accelerator": "cuda"}, "is for AMD GPUs; the accelerator of this host is 'cuda'"),
]


@pytest.mark.parametrize(("declared", "words"), WRONG)
def test_mistakes_are_named_with_what_to_write(declared: dict[str, Any], words: str) -> None:
    found, told = read(**declared)
    assert found is None
    assert len(told) == 1
    assert words in told[0]


def test_all_mistakes_at_once() -> None:
    assert len(read(rocm_version="9", rocm_driver="x", rocm_mirror="y", rocm_mirror_key="z", rocm_packages=[1])[1]) == 5


SYSTEMS = [
    *(System("debian", version) for version in ("11", "12", "13")),
    *(System("ubuntu", version) for version in ("20.04", "22.04", "24.04", "26.04")),
    *(
        System(name, version)
        for name in ("rhel", "ol", "rocky", "almalinux")
        for version in ("8.10", "9.6", "9.7", "10.1")
    ),
]
CELLS = [(version, system) for version in releases.releases() for system in SYSTEMS]


@pytest.mark.parametrize(("version", "system"), CELLS, ids=lambda cell: str(getattr(cell, "name", cell)))
def test_each_release_is_for_a_system_or_not(version: str, system: System) -> None:
    known = releases.release(version)
    assert known is not None
    if not releases.fits(known, system):
        assert system.version not in known.systems.get(system.name, ())
        assert known.titles()
        return
    for driver in ("dkms", "kernel"):
        wanted = WantedRocm(version, driver, "https://mirror/amd")
        found = releases.repositories(known, system, driver == "dkms", wanted.mirror)
        assert any("/amdgpu/" in each["url"] for each in found) == (driver == "dkms")
        assert all(each["url"].startswith("https://mirror/amd/") for each in found)
        assert all(bool(each["suite"]) == (releases.family(system) == "debian") for each in found)
        assert all("{" not in text for text in render.files(TEMPLATES, wanted, known, system).values())


def test_the_cells_that_fit_are_as_many_as_amd_names() -> None:
    fitting = [cell for cell in CELLS if releases.fits(releases.release(cell[0]), cell[1])]  # type: ignore[arg-type]
    # 6.4.3: 7, 7.0.0: 8, 7.0.2: 9, 7.1.1: 11, 7.2.x: 12 each.
    assert len(fitting) == 7 + 8 + 9 + 11 + 3 * 12
    assert not [
        system for __, system in fitting if system.name == "almalinux" or system.version in ("11", "20.04", "26.04")
    ]


def test_only_x86_64() -> None:
    known = releases.release("7.2.3")
    assert known is not None
    assert not releases.fits(known, System("ubuntu", "24.04", arch="aarch64"))


# Folders as AMD's installation guides of these releases have them.
URLS = [
    ("7.0.0", System("ubuntu", "24.04"), ["rocm/apt/7.0", "graphics/7.0/ubuntu", "amdgpu/30.10/ubuntu"]),
    ("6.4.3", System("debian", "12"), ["rocm/apt/6.4.3", "amdgpu/6.4.3/ubuntu"]),
    ("7.2.3", System("debian", "13"), ["rocm/apt/7.2.3", "graphics/7.2.3/ubuntu", "amdgpu/30.30.3/ubuntu"]),
    (
        "7.2.3",
        System("rhel", "9.6"),
        ["rocm/el9/7.2.3/main", "graphics/7.2.3/el/9.6/main/x86_64/", "amdgpu/30.30.3/el/9.6/main/x86_64/"],
    ),
    (
        "7.2.3",
        System("rhel", "8.10"),
        ["rocm/el8/7.2.3/main", "graphics/7.2.3/el/8/main/x86_64/", "amdgpu/30.30.3/el/8.10/main/x86_64/"],
    ),
    (
        "7.2.3",
        System("ol", "10.1"),
        ["rocm/el10/7.2.3/main", "graphics/7.2.3/el/10/main/x86_64/", "amdgpu/30.30.3/el/10/main/x86_64/"],
    ),
]


@pytest.mark.parametrize(("version", "system", "folders"), URLS)
def test_repositories_lie_where_amd_has_them(version: str, system: System, folders: list[str]) -> None:
    known = releases.release(version)
    assert known is not None
    found = [each["url"] for each in releases.repositories(known, system, driver=True)]
    assert found == [f"https://repo.radeon.com/{folder}" for folder in folders]


# Versions as they stand in AMD's repositories and in public reports of what is installed.
VERSIONS = [
    ("7.2.4.70204-93~24.04", "7.2.4", "7.2.4"),
    ("25.5.1.60403-128.el9", "6.4.3", "6.4.3"),
    ("1:6.12.12.60404-2202139.24.04", "6.4.4", "6.4.4"),
    ("1:6.16.13.30300400-2341068.24.04", "", "30.30.4"),
    ("30.10.2.0.30100200-2226257.24.04", "", "30.10.2"),
    ("1:6.14.14.30100000-2193512.24.04", "", "30.10"),
    ("6.14.14-2226257.el10", "", ""),
    ("", "", ""),
]


@pytest.mark.parametrize(("version", "rocm", "driver"), VERSIONS)
def test_the_release_in_a_packages_version(version: str, rocm: str, driver: str) -> None:
    assert (versions.rocm(version), versions.driver(version)) == (rocm, driver)


@given(st.text())
def test_any_version_is_read(version: str) -> None:
    assert isinstance(versions.rocm(version) + versions.driver(version), str)
