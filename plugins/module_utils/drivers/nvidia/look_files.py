"""Reading a host's files below a root directory, so that a tree in a test is read like a host."""

from __future__ import annotations

import os
import re
from collections import deque
from collections.abc import Iterator
from pathlib import Path

# modprobe.d(5), kmod 30: of files of one name the first directory's counts.
MODPROBE = ("etc/modprobe.d", "run/modprobe.d", "usr/local/lib/modprobe.d", "usr/lib/modprobe.d", "lib/modprobe.d")
_LINKS = 40


def text(path: Path) -> str:
    """The content of a file without surrounding white space; "" where it cannot be read."""
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""


def entries(directory: Path) -> list[Path]:
    """What lies in a directory, by name; [] where there is none."""
    try:
        return sorted(directory.iterdir())
    except OSError:
        return []


def real(root: Path, path: str) -> Path | None:
    """Where a path of the host ends when every link is followed below `root`; None where nothing is there."""
    parts = deque(path.split("/"))
    at, links = root, 0
    while parts:
        part = parts.popleft()
        if part in ("", "."):
            continue
        if part == "..":
            at = at.parent if at != root else at
            continue
        step = at / part
        if not step.is_symlink():
            at = step
            continue
        links += 1
        if links > _LINKS:
            return None
        target = os.readlink(step)
        at = root if target.startswith("/") else at
        parts.extendleft(reversed(target.split("/")))
    return at if at.exists() else None


def modprobe_lines(root: Path) -> Iterator[tuple[list[str], Path]]:
    """The words of every line in force of modprobe's configuration, with the file that says it."""
    seen: set[str] = set()
    for directory in MODPROBE:
        for path in entries(root / directory):
            if not path.name.endswith(".conf") or path.name in seen:
                continue
            seen.add(path.name)
            found = real(root, f"{directory}/{path.name}")
            for line in re.sub(r"\\\n", " ", text(found) if found else "").splitlines():
                words = line.split("#")[0].split()
                if words:
                    yield words, path
