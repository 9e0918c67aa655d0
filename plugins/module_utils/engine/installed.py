"""What a host has: releases with their markers, what uses them, Pythons, packages, room. Standard library only."""

from __future__ import annotations

import glob
import grp
import json
import os
import platform
import pwd
import re
import shutil
import stat
import subprocess
from pathlib import Path
from typing import TypedDict

from ansible_collections.baremetal.vllm.plugins.module_utils.engine import images
from ansible_collections.baremetal.vllm.plugins.module_utils.engine.kernels import KernelRecord
from ansible_collections.baremetal.vllm.plugins.module_utils.engine.prune import is_release, prunable

MARKER = ".complete.json"
# Beside a release's directory from the moment that its build begins: the lock of builds, and what is not installed yet.
BUILDING, STAGING = ".building-", ".staging-"
_MARKER_KEYS = ("release", "accelerator", "lock_sha256", "python", "finished_at")


class Marker(TypedDict, total=False):
    """What an installation's marker says; {} for none. `finished_at` in ISO 8601; `kernels` as kernel_proof.prove returned it,
    in markers of engines that need kernels."""

    release: str
    accelerator: str
    lock_sha256: str
    python: str
    finished_at: str
    kernels: KernelRecord


class Survey(TypedDict):
    """What lies in the directory of engines: every release with its marker, those that come from an image, what uses them, which
    may go, which are somebody else's, and why the directory is `unsafe`, a line each."""

    installed: dict[str, Marker]
    images: dict[str, images.MountedImage]
    used: dict[str, list[str]]
    prunable: list[str]
    foreign: list[str]
    unsafe: list[str]


def read_marker(directory: Path) -> Marker:
    """Return an installation's marker, {} where it is absent, unreadable or names another release."""
    try:
        marker: Marker = json.loads((directory / MARKER).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    if not isinstance(marker, dict) or any(not isinstance(marker.get(key), str) for key in _MARKER_KEYS):
        return {}
    return marker if marker["release"] == directory.name else {}


def is_whole(directory: Path) -> bool:
    """Tell whether the parts a service needs still stand: the command, and the Python that its links lead to."""
    return all(os.path.exists(directory / "bin" / name) for name in ("vllm", "python"))


def releases(root: Path) -> dict[str, Marker]:
    """Return every release directory below `root` with its marker; {} for one that is unfinished or broken."""
    found: dict[str, Marker] = {}
    if root.is_dir():
        for entry in sorted(root.iterdir()):
            if entry.is_dir() and is_release(entry.name):
                found[entry.name] = read_marker(entry) if is_whole(entry) else {}
    return found


def is_ours(directory: Path) -> bool:
    """Whether a release's directory is an installation of this collection, or one that was begun; a link never is."""
    signs = (directory / MARKER, *(directory.with_name(sign + directory.name) for sign in (BUILDING, STAGING)))
    return not directory.is_symlink() and any(sign.exists() for sign in signs)


def foreign(root: Path) -> list[str]:
    """Names of directories below `root` that are called like releases and are somebody else's."""
    return [name for name in releases(root) if not is_ours(root / name)]


def unsafe(root: Path) -> list[str]:
    """A line for each directory on the way to `root`, itself included, through which another user than root could exchange what
    lies there; what is not there yet is made by root.

    A directory that others may write to lets them rename what is in it, whosever that is, unless it is sticky (unlink(2)).
    """
    lines = []
    real = Path(os.path.realpath(root))
    for place in dict.fromkeys(path for whole in (root, real) for path in (*reversed(whole.parents), whole)):
        try:
            found = place.lstat()
        except OSError:
            continue
        if found.st_uid != 0:
            lines.append(f"{place} belongs to {_user(found.st_uid)} and not to root (chown root: {place})")
        elif stat.S_ISDIR(found.st_mode) and found.st_mode & 0o022 and not found.st_mode & stat.S_ISVTX:
            who = "everybody" if found.st_mode & 0o002 else f"the group {_group(found.st_gid)}"
            lines.append(f"{place} can be written by {who} (chmod go-w {place})")
        elif not stat.S_ISDIR(found.st_mode) and not stat.S_ISLNK(found.st_mode):
            lines.append(f"{place} is no directory (move it away)")
    return lines


def _user(number: int) -> str:
    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return str(number)


def _group(number: int) -> str:
    try:
        return grp.getgrgid(number).gr_name
    except KeyError:
        return str(number)


def _mentioned(root: Path, text: str) -> set[str]:
    return set(re.findall(re.escape(str(root)) + r"/([^/\s\"']+)/", text))


def _read(path: str) -> str:
    try:
        with open(path, "rb") as stream:
            return stream.read().decode("utf-8", "replace")
    except OSError:
        return ""


def used_by_units(root: Path, units: str = "/etc/systemd/system/vllm-*.service") -> dict[str, list[str]]:
    """Return, per release, the units whose text names its directory."""
    used: dict[str, list[str]] = {}
    for path in sorted(glob.glob(units)):
        for release in _mentioned(root, _read(path)):
            used.setdefault(release, []).append(os.path.basename(path))
    return used


def used_by_generations(
    pattern: str = "/var/lib/vllm/generations/*/manifest.json",
) -> dict[str, list[str]]:
    """Return, per release, the generations that may go back to it; a manifest that cannot be read keeps nothing."""
    used: dict[str, list[str]] = {}
    for path in sorted(glob.glob(pattern)):
        try:
            named = json.loads(_read(path)).get("releases", [])
        except (ValueError, AttributeError):
            continue
        for release in named:
            used.setdefault(str(release), []).append(f"generation {os.path.basename(os.path.dirname(path))}")
    return used


def used_by_processes(root: Path, proc: str = "/proc") -> dict[str, list[str]]:
    """Return, per release, the processes that run from it.

    The executable of a virtual environment is the Python behind a link: command lines and mapped files tell.
    """
    used: dict[str, list[str]] = {}
    for pid in filter(str.isdigit, os.listdir(proc)):
        if int(pid) == os.getpid():
            continue
        command = _read(f"{proc}/{pid}/cmdline").split("\0")
        named = _mentioned(root, "\n".join(command[:2])) or _mentioned(root, _read(f"{proc}/{pid}/maps"))
        for release in named:
            used.setdefault(release, []).append(f"process {pid} ({os.path.basename(command[0])})")
    return used


def merge(*parts: dict[str, list[str]]) -> dict[str, list[str]]:
    """Join several answers about what uses which release."""
    merged: dict[str, list[str]] = {}
    for used in parts:
        for release, users in used.items():
            merged.setdefault(release, []).extend(users)
    return merged


def usage(root: Path) -> dict[str, list[str]]:
    """Return, per release, the units and the generations that name it."""
    return merge(used_by_units(root), used_by_generations())


def survey(root: Path, release: str, keep: list[str], form: str = "") -> Survey:
    """Return installed, images, used, prunable, foreign and unsafe as the module engine tells them. `keep` are planned releases
    beside `release`, `form` is the one that is asked for, "" for either."""
    found, mounted = releases(root), images.of_releases(root)
    # A rebuild hangs on it: what is not there, not right, or in the other form.
    image = mounted.get(release)
    other = bool(image and image["problem"]) or (bool(form) and (form == "image") != bool(image))
    others = foreign(root)
    # What is not ours never goes.
    kept = [release, *keep, *others]
    used = usage(root) if found else {}
    # Looking into every process is the dear part: only where a removal or a rebuild hangs on it.
    if found and (not found.get(release) or other or prunable(found, kept, used)):
        used = merge(used, used_by_processes(root))
    removed = prunable(found, kept, used)
    return {
        "installed": found,
        "images": mounted,
        "used": used,
        "prunable": removed,
        "foreign": others,
        "unsafe": unsafe(root),
    }


def missing_packages(packages: list[str], status: str = "/var/lib/dpkg/status") -> list[str]:
    """Return the packages that are not installed, by dpkg's own records or by asking rpm."""
    if not packages:
        return []
    if os.path.exists(status):
        installed = set()
        for entry in _read(status).split("\n\n"):
            name = re.search(r"(?m)^Package: (.+)$", entry)
            if name and re.search(r"(?m)^Status: \S+ ok installed$", entry):
                installed.add(name[1])
                provided = re.search(r"(?m)^Provides: (.+)$", entry)
                if provided:
                    installed.update(re.sub(r"\s*\([^)]*\)", "", part).strip() for part in provided[1].split(","))
        return [name for name in packages if name not in installed]
    if shutil.which("rpm"):
        asked = {
            name: subprocess.run(
                ["rpm", "-q", "--whatprovides", name], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False
            ).returncode
            for name in packages
        }
        return [name for name, code in asked.items() if code != 0]
    return list(packages)


_PYTHON = re.compile(r"/python3(\.\d+)?$")
_ASK_PYTHON = """
import os, platform, sysconfig
headers = os.path.exists(os.path.join(sysconfig.get_path("include"), "Python.h"))
print(platform.python_implementation(), platform.python_version(), int(headers))
"""


def pythons(extra: str = "") -> list[dict[str, object]]:
    """Return the CPythons of this host, newest first: path, full version, whether C headers are there.

    `extra` is a path to ask beside the usual places.
    """
    candidates = [extra] if extra else []
    for directory in ("/usr/bin", "/usr/local/bin"):
        candidates += sorted(path for path in glob.glob(f"{directory}/python3*") if _PYTHON.search(path))
    found: dict[str, tuple[list[int], dict[str, object]]] = {}
    for path in candidates:
        real = os.path.realpath(path)
        if real in found:
            continue
        try:
            asked = subprocess.run(
                [path, "-I", "-c", _ASK_PYTHON], stdout=subprocess.PIPE, text=True, timeout=20, check=True
            )
            implementation, version, headers = asked.stdout.split()
        except (OSError, ValueError, subprocess.SubprocessError):
            continue
        if implementation == "CPython":
            order = [int(part) for part in re.findall(r"\d+", version)[:3]]
            shown = path if path == extra else real
            found[real] = (order, {"path": shown, "version": version, "headers": headers == "1"})
    return [python for _order, python in sorted(found.values(), key=lambda entry: entry[0], reverse=True)]


def free_bytes(path: Path) -> int:
    """Return the free space where `path` is or will be."""
    while not path.exists():
        path = path.parent
    return shutil.disk_usage(path).free


def libc() -> str:
    """Return the version of glibc, or '' elsewhere."""
    name, version = platform.libc_ver()
    return version if name == "glibc" else ""


def systemd() -> int | None:
    """Return the version of systemd, None where it cannot be told."""
    try:
        done = subprocess.run(["systemctl", "--version"], capture_output=True, text=True, timeout=30, check=False)
    except OSError:
        return None
    words = done.stdout.split()
    return int(words[1]) if words[:1] == ["systemd"] and words[1:] and words[1].isdecimal() else None


def machine() -> str:
    """Return the kind of processor as uname -m says it, such as x86_64."""
    return platform.machine()


def family(families: list[str], release: str = "/etc/os-release") -> str:
    """Return which of `families` this distribution is or descends from, by os-release's ID and ID_LIKE; '' for none."""
    fields = dict(line.split("=", 1) for line in _read(release).splitlines() if "=" in line)
    names = [fields.get("ID", "").strip("\"'"), *fields.get("ID_LIKE", "").strip("\"'").split()]
    return next((name for name in names if name in families), "")
