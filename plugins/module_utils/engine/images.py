"""Engines as images on a host: one file, mounted at the release's directory by a unit of the host's.

    /var/lib/vllm/images/<digest>/engine.squashfs   the image; <digest> is its SHA-256
    /var/lib/vllm/images/<digest>/checked.json      the file as it was when it was last read whole
    /etc/systemd/system/opt-vllm-0.32.0.mount       mounts it, after
    /etc/systemd/system/image-vllm-0.32.0.service   has read it whole once more: at every boot, and whenever it is mounted

Never an image of a service's own: with `RootImage=` or `MountImages=` systemd opens loop and block devices to a unit whose
`DevicePolicy=` is closed (systemd.exec(5)). Standard library only.
"""

from __future__ import annotations

import json
import os
import re
import shutil
from pathlib import Path
from typing import TypedDict

from ansible_collections.baremetal.vllm.plugins.module_utils.engine.lock import sha256_of
from ansible_collections.baremetal.vllm.plugins.module_utils.host.command import run

IMAGES = Path("/var/lib/vllm/images")
UNITS = Path("/etc/systemd/system")
# What the kernel calls the kind of file system, and mount(8) as well.
KIND = "squashfs"
FILE = f"engine.{KIND}"
CHECKED = "checked.json"
_DIGEST = re.compile(r"[0-9a-f]{64}")


class MountedImage(TypedDict):
    """A release that its mount unit brings from an image: the file's digest, whether it is mounted now, and what is wrong with
    the file ("" for nothing)."""

    digest: str
    mounted: bool
    problem: str


def escape(path: str) -> str:
    """A path as systemd writes it in the name of a unit (systemd.unit(5), "String Escaping for Inclusion in Unit Names").

    >>> escape("/opt/vllm/0.33.0+rocm100")
    'opt-vllm-0.33.0\\\\x2brocm100'
    """
    bare = re.sub(r"/+", "/", path).strip("/")
    if not bare:
        return "-"
    escaped = "".join(
        "-" if byte == 0x2F else chr(byte) if re.match(r"[A-Za-z0-9:_.]", chr(byte)) else f"\\x{byte:02x}"
        for byte in bare.encode()
    )
    return f"\\x2e{escaped[1:]}" if escaped.startswith(".") else escaped


def mount_unit(path: str) -> str:
    """The unit that mounts something at a path; systemd takes no other name for it (systemd.mount(5))."""
    return f"{escape(path)}.mount"


def check_unit(release: str) -> str:
    """The unit that reads a release's image whole before it is mounted."""
    return f"image-vllm-{escape(release)}.service"


def file_of(digest: str, images: Path = IMAGES) -> Path:
    """Where the image of a digest lies."""
    return images / digest / FILE


def digest_in(unit: Path) -> str:
    """The digest of the image that a mount unit names; "" where it is not there, or mounts something else."""
    try:
        text = unit.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return ""
    found = re.search(rf"(?m)^What=.*/([0-9a-f]{{64}})/{re.escape(FILE)}$", text)
    return found[1] if found else ""


def is_mounted(path: Path, mounts: Path = Path("/proc/self/mountinfo")) -> bool:
    """Whether an image is mounted at a path, above all else that may be (proc_pid_mountinfo(5))."""
    kinds = []
    for line in mounts.read_text(encoding="utf-8", errors="replace").splitlines():
        place, __, rest = line.partition(" - ")
        if place.split()[4] == str(path):
            kinds.append(rest.split()[0])
    return kinds[-1:] == [KIND]


def of_releases(root: Path, units: Path = UNITS, images: Path = IMAGES) -> dict[str, MountedImage]:
    """By release what its mount unit says, of all releases below `root`."""
    found: dict[str, MountedImage] = {}
    prefix = escape(str(root))
    for unit in sorted(units.glob(f"{glob_escape(prefix)}-*.mount")):
        digest = digest_in(unit)
        release = unescape(unit.name[len(prefix) + 1 : -len(".mount")])
        if digest:
            found[release] = {
                "digest": digest,
                "mounted": is_mounted(root / release),
                "problem": problem(digest, images),
            }
    return found


def glob_escape(text: str) -> str:
    """A text in which a pattern's signs stand for themselves; escaped names hold backslashes, which pathlib takes as they are."""
    return re.sub(r"([*?[])", r"[\1]", text)


def unescape(name: str) -> str:
    """The last part of a path out of an escaped name.

    >>> unescape(r"0.33.0\\x2brocm100")
    '0.33.0+rocm100'
    """
    return re.sub(r"\\x([0-9a-f]{2})", lambda found: chr(int(found[1], 16)), name)


def problem(digest: str, images: Path = IMAGES) -> str:
    """What is wrong with the file of an image, "" for nothing.

    It is read whole only where it is not as it was when that was last done (size, times and inode): a look at a thousand hosts
    reads no terabytes. What changes on a disk without a write is found at the next boot, by the unit that reads it whole.
    """
    path = file_of(digest, images)
    try:
        found = _stamp(path)
    except OSError:
        return f"{path} is not there"
    try:
        if json.loads((path.with_name(CHECKED)).read_text(encoding="utf-8")) == found:
            return ""
    except (OSError, ValueError):
        pass
    try:
        read = sha256_of(path)
    except OSError as error:
        return f"{path} cannot be read: {error.strerror}"
    if read != digest:
        return f"{path} is not what it was: its SHA-256 is {read[:12]}… instead of {digest[:12]}…"
    if os.geteuid() == 0:
        note_checked(path)
    return ""


def note_checked(path: Path) -> None:
    """Remember how a file was that has just been read whole and found right. Raises OSError."""
    stamp, draft = path.with_name(CHECKED), path.with_name(f".{CHECKED}.draft")
    draft.write_text(json.dumps(_stamp(path)) + "\n", encoding="utf-8")
    draft.chmod(0o644)
    draft.replace(stamp)


def _stamp(path: Path) -> dict[str, int]:
    found = path.stat()
    # A reboot changes none of these; reading changes none either.
    return {"bytes": found.st_size, "mtime": found.st_mtime_ns, "ctime": found.st_ctime_ns, "inode": found.st_ino}


def held(images: Path = IMAGES) -> list[str]:
    """The digests of images that lie here whole."""
    if not images.is_dir():
        return []
    names = sorted(entry.name for entry in images.iterdir() if _DIGEST.fullmatch(entry.name))
    return [name for name in names if not problem(name, images)]


def idle(units: Path = UNITS, images: Path = IMAGES) -> list[str]:
    """The digests of images that no mount unit names."""
    if not images.is_dir():
        return []
    named = {digest_in(unit) for unit in units.glob("*.mount")}
    return sorted(e.name for e in images.iterdir() if _DIGEST.fullmatch(e.name) and e.name not in named)


def hindrance(root: Path = Path("/")) -> str:
    """Why this host can mount no image, with the remedy; "" where it can."""
    known = (root / "proc/filesystems").read_text(encoding="utf-8").split()
    if KIND not in known and not _loads(KIND):
        return f"its kernel has no {KIND} (modprobe {KIND} fails): install the kernel's further modules"
    if not (root / "dev/loop-control").exists() and not _loads("loop"):
        return "it has no loop devices (/dev/loop-control is not there): modprobe loop, and give them to a container"
    return ""


def _loads(module: str) -> bool:
    """Whether the kernel has a module, loaded or not; nothing is loaded."""
    return shutil.which("modprobe") is not None and run(["modprobe", "--dry-run", "--quiet", module])[0] == 0
