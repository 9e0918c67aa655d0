from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from ansible_collections.baremetal.vllm.plugins.plugin_utils.engine.wheels import (
    WheelError,
    metadata_of,
    unpacked_size,
    write_wheel,
)
from ansible_collections.baremetal.vllm.tools.lab.wheels import adapt_wheel


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
    site = tmp_path / "site"
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--python-version", "3.11"]
    options = ["--platform", "manylinux_2_28_x86_64", "--only-binary", ":all:", "--target", str(site)]
    # pip checks RECORD's form, not its digests.
    subprocess.run([*pip, *options, str(path)], check=True)
    assert (site / "thing" / "__init__.py").read_text() == "value = 1\n"
    assert metadata_of(path)["version"] == ["1.0+cpu.lab"]
    assert metadata_of(path)["requires-dist"] == ["torch (==2)"]
    with zipfile.ZipFile(path) as archive:
        assert archive.read("thing/_meta.py") == b""
        assert archive.read("thing/__init__.py") == b"value = 1\n"
    assert unpacked_size(path) > 0


def test_adapting_what_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(WheelError, match=r"thing/_other\.py"):
        adapt_wheel(original(tmp_path), tmp_path, "cpu.lab", ("thing/_other.py",))
