"""Whether this computer can boot the lab, found out before anything on it is changed."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass, replace

# Command -> the Debian package that brings it.
TOOLS = {
    "systemd-nspawn": "systemd-container",
    "mmdebstrap": "mmdebstrap",
    "nft": "nftables",
    "ip": "iproute2",
    "ssh": "openssh-client",
    "ssh-keygen": "openssh-client",
    "mount": "mount",
    "unshare": "util-linux",
}


@dataclass(frozen=True)
class Computer:
    """What was observed; `kernel` has each ability that was tried and whether it was shown."""

    root: bool
    system: tuple[str, ...]
    missing_tools: tuple[str, ...]
    kernel: tuple[tuple[str, bool], ...]


def complaint(computer: Computer) -> str:
    """One sentence with everything that is missing and how to get it, or '' when nothing is."""
    if not set(computer.system) & {"debian", "ubuntu"}:
        return (
            f"The lab boots Debian machines and needs a Debian-like computer to do it; this one is "
            f"{computer.system[0] if computer.system else 'unknown'}: run it on Debian 12 or newer or on Ubuntu "
            "(a virtual machine will do), or give your own hosts in an inventory."
        )
    parts = []
    if not computer.root:
        parts.append("it must run as root (sudo -E, or a root shell)")
    if computer.missing_tools:
        packages = " ".join(sorted({TOOLS[tool] for tool in computer.missing_tools}))
        sudo = "" if computer.root else "sudo "
        missing = enumerate_words(computer.missing_tools)
        parts.append(f"{missing} not found (get it: {sudo}apt-get install --yes {packages})")
    failed = [ability for ability, shown in computer.kernel if not shown]
    if failed:
        parts.append(
            f"the kernel or the container that this runs in does not allow {enumerate_words(failed)} "
            "(use a real or virtual machine, or a privileged container)"
        )
    return f"The lab cannot boot machines here: {'; '.join(parts)}." if parts else ""


def enumerate_words(words: Sequence[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"


def observe(bridge: str, ruleset: str) -> Computer:
    """This computer as it is. The kernel's abilities are tried in throw-away namespaces: nothing of it stays."""
    seen = glance()
    if not seen.root or seen.missing_tools:
        return seen
    trials = {
        "an overlay mount": (
            "unshare", "--mount", "sh", "-c",
            "mount -t tmpfs lab /mnt && mkdir /mnt/l /mnt/u /mnt/w /mnt/m && "
            "mount -t overlay lab -o lowerdir=/mnt/l,upperdir=/mnt/u,workdir=/mnt/w /mnt/m",
        ),
        "a network bridge": ("unshare", "--net", "ip", "link", "add", bridge, "type", "bridge"),
        "a veth pair": ("unshare", "--net", "ip", "link", "add", "lab0", "type", "veth", "peer", "name", "lab1"),
        "the nftables rules for NAT": ("unshare", "--net", "nft", "-f", "-"),
    }  # fmt: skip
    shown = tuple((ability, succeeds(command, ruleset)) for ability, command in trials.items())
    return replace(seen, kernel=shown)


def glance() -> Computer:
    """What can be seen without trying anything."""
    missing = tuple(tool for tool in TOOLS if shutil.which(tool) is None)
    return Computer(os.geteuid() == 0, system_ids(), missing, ())


def system_ids(path: str = "/etc/os-release") -> tuple[str, ...]:
    """ID and ID_LIKE of the running system, most specific first (os-release(5))."""
    found: dict[str, str] = {}
    try:
        with open(path, encoding="utf-8") as file:
            for line in file:
                key, __, value = line.strip().partition("=")
                found[key] = value.strip("\"'")
    except OSError:
        return ()
    return tuple(f"{found.get('ID', '')} {found.get('ID_LIKE', '')}".split())


def succeeds(command: Sequence[str], stdin: str) -> bool:
    done = subprocess.run(command, input=stdin, text=True, capture_output=True, check=False)
    return done.returncode == 0
