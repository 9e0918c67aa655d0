"""Installed kernels: their headers, the nvidia module that each would load, and nouveau in their early boot."""

from __future__ import annotations

import re
from pathlib import Path

from ansible_collections.baremetal.vllm.plugins.module_utils.drivers.nvidia.look_files import (
    entries,
    modprobe_lines,
    real,
    text,
)
from ansible_collections.baremetal.vllm.plugins.module_utils.drivers.nvidia.model import Kernel, Module
from ansible_collections.baremetal.vllm.plugins.module_utils.host.command import MISSING, Run

# Debian gives the modules other names than NVIDIA (nvidia-current, nvidia-current-open), and modprobe a rule for NVIDIA's.
_MODULE = re.compile(r"(?:.*/)?(nvidia(?:[-_](?:current|open|tesla|legacy)[-_\w]*)?)\.ko(?:\.(?:gz|xz|zst))?")
_SISTER = re.compile(r"[-_](?:drm|modeset|uvm|peermem|fs)$")
_IMAGES = ("boot/initrd.img-{}", "boot/initramfs-{}.img", "boot/initrd-{}")
_OPEN_LICENCE = "Dual MIT/GPL"


def running(root: Path) -> str:
    """The release of the kernel that runs, as `uname -r` prints it; `root` is / on a host."""
    return text(root / "proc/sys/kernel/osrelease")


def kernels(root: Path, run: Run, current: str, blocked_since: float | None, early: bool) -> tuple[Kernel, ...]:
    """Every installed kernel, oldest first. Remains of removed kernels (modules of DKMS alone) are none.

    `blocked_since` is when nouveau was blocked; an early boot made later than that knows of it. `early` False leaves early
    boots alone.
    """
    found = []
    ruled = modprobe_rule(root)
    for release in sorted(releases(root, current), key=ordered):
        nouveau = early and nouveau_in_image(root, run, release, blocked_since)
        built = module(root, run, release, ruled)
        found.append(Kernel(release, headers(root, release), built, nouveau, umad=has_umad(root, release)))
    return tuple(found)


def releases(root: Path, current: str) -> list[str]:
    """Kernels that can boot and have modules, and the running one (`current`) whatever it has; in no order."""
    names = [entry.name for entry in entries(root / "lib/modules") if entry.is_dir()]
    return [name for name in names if name == current or _bootable(root, name)]


def _bootable(root: Path, release: str) -> bool:
    modules = root / "lib/modules" / release
    return (
        (root / f"boot/vmlinuz-{release}").exists() or (modules / "vmlinuz").exists() or (modules / "kernel").is_dir()
    )


def headers(root: Path, release: str) -> bool:
    """Whether a module can be built for the kernel: its build tree is there and is more than an empty directory."""
    return real(root, f"lib/modules/{release}/build/Makefile") is not None


def modprobe_rule(root: Path) -> str:
    """The module that modprobe's configuration names for nvidia (`install nvidia modprobe -i nvidia-current …`), "" for none."""
    for words, __ in modprobe_lines(root):
        if words[:2] == ["alias", "nvidia"] and len(words) == 3:
            return words[2]
        if words[:2] == ["install", "nvidia"] and "-i" in words[:-1]:
            return words[words.index("-i") + 1]
    return ""


def module(root: Path, run: Run, release: str, ruled: str = "") -> Module | None:
    """The module that modprobe would take: of several copies depmod lists the one that comes first in its search.

    `ruled` is what modprobe's configuration names in its place.
    """
    lines = text(root / "lib/modules" / release / "modules.dep").splitlines()
    paths = [line.partition(":")[0] for line in lines]
    matches = [(match[1], path) for path in paths for match in [_MODULE.fullmatch(path)] if match]
    named = sorted((name != (ruled or "nvidia"), name, path) for name, path in matches if not _SISTER.search(name))
    if not named:
        return None
    path = root / "lib/modules" / release / named[0][2]
    code, out, __ = run(["modinfo", str(path)])
    return modinfo(out, str(path)) if code == 0 else None


def modinfo(out: str, path: str) -> Module | None:
    """The output of modinfo(8); None where it holds no version."""
    fields: dict[str, str] = {}
    for line in out.splitlines():
        key, colon, value = line.partition(":")
        if colon and not line[:1].isspace():
            fields.setdefault(key, value.strip())
    if not fields.get("version"):
        return None
    return Module(fields["version"], fields.get("license") == _OPEN_LICENCE, fields.get("signer", ""), path)


def has_umad(root: Path, release: str) -> bool:
    """Whether a kernel has ib_umad, as a module or built in; Ubuntu's is in linux-modules-extra."""
    listed = (text(root / "lib/modules" / release / name) for name in ("modules.dep", "modules.builtin"))
    return any(re.search(r"(^|/)ib_umad\.ko", names, re.MULTILINE) for names in listed)


def has_nouveau(root: Path, releases_: list[str]) -> bool:
    """Whether any of these kernels brings nouveau at all: those made for clouds do not."""
    dependencies = (text(root / "lib/modules" / release / "modules.dep") for release in releases_)
    return any(re.search(r"(^|/)nouveau\.ko(\.\w+)?:", listed, re.MULTILINE) for listed in dependencies)


def nouveau_in_image(root: Path, run: Run, release: str, blocked_since: float | None) -> bool:
    """Whether the early boot of a kernel would load nouveau: it holds the module, and was made before that was blocked."""
    image = next((root / name.format(release) for name in _IMAGES if (root / name.format(release)).exists()), None)
    if image is None or (blocked_since is not None and image.stat().st_mtime >= blocked_since):
        return False
    code, out, __ = run(["lsinitramfs", str(image)])
    if code == MISSING:
        out = run(["lsinitrd", str(image)])[1]
    return re.search(r"/nouveau\.ko(\.\w+)?$", out, re.MULTILINE) is not None


def ordered(release: str) -> tuple[tuple[int, str], ...]:
    """Kernel releases in the order of their numbers: 6.1.0-9 before 6.1.0-10.

    >>> sorted(["6.1.0-10-amd64", "6.1.0-9-amd64"], key=ordered)
    ['6.1.0-9-amd64', '6.1.0-10-amd64']
    """
    return tuple((int(part), "") if part.isdecimal() else (-1, part) for part in re.findall(r"\d+|[^\d]+", release))
