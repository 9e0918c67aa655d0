"""Which kernel boots next, by the boot loader's own configuration."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from pathlib import Path

from ansible_collections.baremetal.vllm.plugins.module_utils.drivers.nvidia.look_files import entries, real, text
from ansible_collections.baremetal.vllm.plugins.module_utils.drivers.nvidia.look_kernels import ordered
from ansible_collections.baremetal.vllm.plugins.module_utils.host.command import Run

_GRUB = ("boot/grub/grub.cfg", "boot/grub2/grub.cfg")
_LOADER = ("boot/loader/entries", "efi/loader/entries", "boot/efi/loader/entries")
_HEAD = re.compile(r"(?:menuentry|submenu)\s+('[^']*'|\"[^\"]*\")(.*)\{$")
_ID = re.compile(r"(?:menuentry_id_option|--id)\s+['\"]?([^'\"\s{]+)")
_LINUX = re.compile(r"linux(?:16|efi)?\s+(\S+)")
_DEFAULT = re.compile(r"\s*set default=[\"']?([^\"'\n]*)[\"']?", re.MULTILINE)


@dataclass
class BootEntry:
    """An entry of GRUB's menu, or a submenu with its `inner` entries."""

    title: str
    id: str
    linux: str = ""
    inner: list[BootEntry] = field(default_factory=list)


def next_kernel(root: Path, run: Run) -> str:
    """The release of the kernel that boots next; "" where nothing on the host tells."""
    code, out, __ = run(["grubby", "--default-kernel"])
    found = release_of(root, out.strip()) if code == 0 else ""
    return found or _grub(root) or _loader(root, run) or _newest(root)


def _grub(root: Path) -> str:
    path = next((root / name for name in _GRUB if (root / name).exists()), None)
    if path is None:
        return ""
    environment = dict(line.partition("=")[::2] for line in text(path.with_name("grubenv")).splitlines())
    config = text(path)
    defaults = [match[1] for match in _DEFAULT.finditer(config) if match[1] != "${next_entry}"]
    wanted = environment.get("next_entry") or (defaults[-1] if defaults else "0")
    if wanted == "${saved_entry}":
        wanted = environment.get("saved_entry") or "0"
    return release_of(root, chosen(menu(config), wanted or "0"))


def menu(config: str) -> list[BootEntry]:
    """The entries of a grub.cfg as grub-mkconfig writes it, in their order."""
    top = BootEntry("", "")
    open_: list[BootEntry] = [top]
    for line in map(str.strip, config.splitlines()):
        head, linux = _HEAD.match(line), _LINUX.match(line)
        if head:
            known = _ID.search(head[2])
            entry = BootEntry(head[1][1:-1], known[1] if known else "")
            open_[-1].inner.append(entry)
            open_.append(entry)
        elif line.endswith("{"):
            # A function: its content is no entry's.
            open_.append(BootEntry("", ""))
        elif line == "}" and len(open_) > 1:
            open_.pop()
        elif linux and not open_[-1].linux:
            open_[-1].linux = linux[1]
    return top.inner


def chosen(entries_: list[BootEntry], wanted: str) -> str:
    """The kernel of the entry that `wanted` names: a number, a title or an identifier, `>` between menu and submenu."""
    entry: BootEntry | None = None
    for name in wanted.split(">"):
        if name.isdecimal():
            entry = entries_[int(name)] if int(name) < len(entries_) else None
        else:
            entry = next((each for each in entries_ if name in (each.id, each.title)), None)
        # GRUB takes the first entry where it does not find the wanted one.
        entry = entry or (entries_[0] if entries_ else None)
        if entry is None:
            return ""
        entries_ = entry.inner
    while entry is not None and not entry.linux and entry.inner:
        entry = entry.inner[0]
    return entry.linux if entry else ""


def _loader(root: Path, run: Run) -> str:
    """systemd-boot, bootctl(1)."""
    if not any((root / name).is_dir() for name in _LOADER):
        return ""
    code, out, __ = run(["bootctl", "list", "--json=short"])
    try:
        listed = json.loads(out) if code == 0 else []
        default: dict[str, object] = next((each for each in listed if each.get("isDefault")), {})
        return release_of(root, str(default.get("linux") or "")) or str(default.get("version") or "")
    except (ValueError, AttributeError, TypeError):
        return ""


def _newest(root: Path) -> str:
    names = [entry.name.partition("-")[2] for entry in entries(root / "boot") if entry.name.startswith("vmlinuz-")]
    bootable = [name for name in names if (root / "lib/modules" / name).is_dir()]
    return max(bootable, key=ordered, default="")


def release_of(root: Path, image: str) -> str:
    """The release that a kernel's path names: /boot/vmlinuz-6.1.0-13-amd64, /boot/vmlinuz (a link), …/6.6.9/linux."""
    if not image:
        return ""
    name = image.rpartition("/")[2]
    if "-" not in name:
        found = real(root, image) or real(root, f"boot/{image.lstrip('/')}")
        name = found.name if found else name
    match = re.fullmatch(r"(?:vmlinuz|vmlinux|linux|kernel)-(.+)", name)
    return (
        match[1] if match else (image.split("/")[-2] if name in ("linux", "vmlinuz") and image.count("/") > 2 else "")
    )
