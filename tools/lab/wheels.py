"""Make the lab's wheel of torchvision, which image models need: ``wheels.py DIRECTORY``.

The package index has no build of torchvision for CPUs that goes with torch's. The compiled part of the one it has wants CUDA, and
two modules alone need that part: they are emptied, and the wheel is named apart, so that nobody takes it for the original.
"""

from __future__ import annotations

import re
import sys
import tempfile
import zipfile
from pathlib import Path

from ansible_collections.baremetal.vllm.plugins.plugin_utils.engine.sources import Target
from ansible_collections.baremetal.vllm.plugins.plugin_utils.engine.tools import pip_download
from ansible_collections.baremetal.vllm.plugins.plugin_utils.engine.wheels import WheelError, write_wheel

# What goes with the torch of the lab's engines, and a Python that they run on.
VERSION = "0.28.0"
ENGINES = Target("0.32.0", "cpu", "3.11")
LOCAL = "cpu.lab"
EMPTIED = ("torchvision/_meta_registrations.py", "torchvision/_autograd_registrations.py")


def adapt_wheel(source: Path, directory: Path, local: str, emptied: tuple[str, ...]) -> Path:
    """Repack a wheel with some modules emptied, as local version `+<local>`.

    Raises WheelError when a module to empty is not in it.
    """
    name, version, tags = source.stem.split("-", 2)
    old, new = f"{name}-{version}.dist-info/", f"{name}-{version}+{local}.dist-info/"
    with zipfile.ZipFile(source) as archive:
        files = {entry: archive.read(entry) for entry in archive.namelist() if not entry.endswith("/")}
    missing = [module for module in emptied if module not in files]
    if missing:
        raise WheelError(f"{source.name} has no {', '.join(missing)}: this release of {name} needs no such adaptation")
    for module in emptied:
        files[module] = b""
    moved = {new + entry[len(old) :] if entry.startswith(old) else entry: data for entry, data in files.items()}
    headers = moved[f"{new}METADATA"].decode()
    headers = re.sub(r"(?m)^Version: .*$", f"Version: {version}+{local}", headers, count=1)
    moved[f"{new}METADATA"] = headers.encode()
    moved.pop(f"{new}RECORD", None)
    return write_wheel(directory, f"{name}-{version}+{local}", tags, moved, zipfile.ZIP_DEFLATED)


def main(directory: Path) -> None:
    """Put the wheel there unless it is; says so where it is made."""
    directory.mkdir(parents=True, exist_ok=True)
    if any(directory.glob(f"torchvision-{VERSION}+{LOCAL}-*.whl")):
        return
    with tempfile.TemporaryDirectory() as scratch:
        pip_download(ENGINES, Path(scratch), [f"torchvision=={VERSION}"], "fetching torchvision")
        print("made", adapt_wheel(next(Path(scratch).glob("*.whl")), directory, LOCAL, EMPTIED))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
