"""The one distribution of an engine for ROCm that comes as sources alone. Control node only.

Since ROCm 10 its libraries are wheels, and `rocm` is the package that names them: AMD publishes it as sources alone, to be
evaluated where it is installed (TheRock, build_tools/packaging/python/templates/rocm/setup.py). Hosts of ours build nothing
and may have no network, so it is made into a wheel here, once, and travels beside the wheels that an index has.
"""

from __future__ import annotations

import shutil
import sys
import zipfile
from pathlib import Path

from ansible_collections.baremetal.vllm.plugins.module_utils.text.urls import bare
from ansible_collections.baremetal.vllm.plugins.plugin_utils.drivers.amd.builds import Build
from ansible_collections.baremetal.vllm.plugins.plugin_utils.engine import wheels
from ansible_collections.baremetal.vllm.plugins.plugin_utils.engine.sources import Target
from ansible_collections.baremetal.vllm.plugins.plugin_utils.engine.tools import netrc, run_pip, uv_compile

NAME = "rocm"
# Its build looks for a tool that tells the GPUs of this machine; those of the hosts are what counts.
_PATH = "/usr/bin:/bin"


def bundled_wheel(target: Target, build: Build, directory: Path, scratch: Path, default_index: str = "") -> Path:
    """Return the wheel of `rocm` in `directory`, made unless it is there. Raises ToolError and WheelError.

    `default_index` is asked for what its build needs, where that is not pip's own. What is built has the hash that its index
    says, and the wheel is written so that every control node gets the same bytes.
    """
    made = directory / f"{NAME}-{build.rocm}-py3-none-any.whl"
    if made.exists():
        return made
    scratch.mkdir(parents=True, exist_ok=True)
    wanted, found = scratch / "in.txt", scratch / "out.txt"
    wanted.write_text(f"{NAME}=={build.rocm}\n")
    found.unlink(missing_ok=True)
    own = ["--default-index", default_index] if default_index else []
    what = f"building {NAME} {build.rocm}"
    uv_compile(target, wanted, found, ["--no-deps", "--no-binary", NAME, *own], f"finding {NAME} {build.rocm}")
    command = [
        sys.executable,
        "-m",
        "pip",
        "--disable-pip-version-check",
        "--no-input",
        "wheel",
        "--quiet",
        "--no-deps",
    ]
    command += ["--no-binary", NAME, "--require-hashes", "-r", str(found), "--wheel-dir", str(scratch)]
    command += ["--index-url", bare(default_index)] if default_index else []
    for index in target.indexes:
        command += ["--extra-index-url", bare(index)]
    # pip has another pip install what the build needs, and names the indexes on that one's command line.
    with netrc([default_index, *target.indexes]) as users:
        run_pip(command, what, {"PATH": _PATH, "NETRC": users})
    settled = settle(next(scratch.glob(f"{NAME}-*.whl")), directory)
    shutil.rmtree(scratch)
    return settled


def settle(source: Path, directory: Path) -> Path:
    """Rewrite a pure wheel without what differs between the tools that build it: their names, their order, the time.

    Raises WheelError where it is not for any Python and machine.
    """
    stem = source.name.removesuffix("-py3-none-any.whl")
    if stem == source.name:
        raise wheels.WheelError(f"{source.name} is not for any machine, so no other one could use it")
    info = f"{stem}.dist-info/"
    said = wheels.metadata_of(source)
    with zipfile.ZipFile(source) as archive:
        kept = [
            entry
            for entry in archive.namelist()
            if not entry.endswith("/") and (not entry.startswith(info) or entry == f"{info}entry_points.txt")
        ]
        files = {entry: archive.read(entry) for entry in kept}
    lines = ["Metadata-Version: 2.1", f"Name: {said['name'][0]}", f"Version: {said['version'][0]}"]
    for header in ("Requires-Python", "Requires-Dist", "Provides-Extra"):
        lines += [f"{header}: {value}" for value in sorted(said.get(header.lower(), []))]
    wheel = "Wheel-Version: 1.0\nGenerator: baremetal.vllm\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    files[f"{info}METADATA"] = ("\n".join(lines) + "\n").encode()
    files[f"{info}WHEEL"] = wheel.encode()
    return wheels.write_wheel(directory, stem, "py3-none-any", files, zipfile.ZIP_STORED)
