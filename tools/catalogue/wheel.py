"""What the sources say of the wheel that is built from them: its CUDA release, its GPU architectures, its Python."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

# In setup.py up to 0.10.2, in vllm/envs.py from 0.11.0 on.
_CUDA = (
    ("vllm/envs.py", re.compile(r'^\s+VLLM_MAIN_CUDA_VERSION: str = "([\d.]+)"', re.M)),
    ("setup.py", re.compile(r'^MAIN_CUDA_VERSION = "([\d.]+)"', re.M)),
)
# In sources, and in what stands for them where a release is published as wheels only.
_PYTHON = (
    ("pyproject.toml", re.compile(r'^requires-python\s*=\s*"([^"]+)"', re.M)),
    ("METADATA", re.compile(r"^Requires-Python: (.+)$", re.M)),
)
_BRANCH = re.compile(
    r"(?P<test>(?:else)?if\s*\([^)]*VERSION_GREATER_EQUAL\s+(?P<least>[\d.]+)\s*\))"
    r"|set\(CUDA_SUPPORTED_ARCHS\s+\"(?P<archs>[\d.a-z;]+)\"\)"
)


def read_wheel(source: Path) -> dict[str, Any]:
    """`cuda`, `capabilities` and `python` of a release's source tree; raises LookupError for what is not there.

    A tree that comes from a wheel has no CMakeLists.txt: its capabilities are not known, and left empty.
    """
    cuda = _first(source, _CUDA)
    # Wheels and sources write the same limits in another order.
    python = sorted(_first(source, _PYTHON).split(","), key=lambda limit: _numbers(limit.strip(" <>=!~")))
    return {"cuda": cuda, "capabilities": _capabilities(source, cuda), "python": ",".join(python)}


def _first(source: Path, places: tuple[tuple[str, re.Pattern[str]], ...]) -> str:
    for name, pattern in places:
        path = source / name
        found = pattern.search(path.read_text(encoding="utf-8")) if path.exists() else None
        if found:
            return found[1].strip()
    raise LookupError(f"{source}: found none of {', '.join(pattern.pattern for _, pattern in places)}")


def _capabilities(source: Path, cuda: str) -> list[str]:
    """The list that CMakeLists.txt sets for a CUDA compiler of this release: the first branch whose floor it reaches."""
    path = source / "CMakeLists.txt"
    if not path.exists():
        return []
    floor: tuple[int, ...] = ()
    for match in _BRANCH.finditer(path.read_text(encoding="utf-8")):
        if match["test"]:
            floor = _numbers(match["least"])
        elif _numbers(cuda) >= floor:
            return str(match["archs"]).split(";")
        else:
            # What follows without a test of its own is the `else` branch.
            floor = ()
    raise LookupError(f"{path} sets no CUDA_SUPPORTED_ARCHS")


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split("."))
