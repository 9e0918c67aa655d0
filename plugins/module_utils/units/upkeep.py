"""What a host's own upkeep is about to do to it, or cannot do any more: reboots due or to come, disks that are full."""

from __future__ import annotations

import configparser
import os
import re
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

# Where units, caches, weights, logs and temporary files lie; each file system among them is told once.
PLACES = ("/", "/var", "/var/log", "/var/tmp", "/tmp", "/opt/vllm", "/var/lib/vllm", "/var/cache/vllm")  # noqa: S108 (asked, not used)
# Below this an engine's start, which compiles into its cache, or an update may meet a full disk.
LOW_BYTES, LOW_INODES = 1 << 30, 1000
# Written on Ubuntu by packages themselves (update-notifier-common), on Debian by the kernel hook of unattended-upgrades.
REBOOT = Path("/run/reboot-required")
DNF_AUTOMATIC = Path("/etc/dnf/automatic.conf")
_APT = re.compile(r'^(\S+) "(.*)";$')


@dataclass(frozen=True)
class Upkeep:
    """`reboot_due`: the packages for which a reboot is due ("" where nobody says which), None where none is;
    `reboots_itself`: when the host would do it by itself, "" where it never does; `low`: by mount point what is left there."""

    reboot_due: str | None
    reboots_itself: str
    low: dict[str, str]


def look() -> Upkeep:
    """This host's upkeep, read from its own files; nothing is run for it, and nothing written."""
    return Upkeep(_due(REBOOT), _apt_reboots(_apt_settings()) or _dnf_reboots(DNF_AUTOMATIC), low(PLACES))


def _due(path: Path) -> str | None:
    if not path.exists():
        return None
    try:
        named = path.with_name(f"{path.name}.pkgs").read_text(errors="replace").split()
    except OSError:
        named = []
    return ", ".join(dict.fromkeys(named))


def _apt_settings() -> str:
    """apt's whole configuration, in its own words; "" on hosts without apt."""
    try:
        done = subprocess.run(
            ["apt-config", "dump"], capture_output=True, text=True, errors="replace", check=False, timeout=30
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout


def _apt_reboots(text: str) -> str:
    """When unattended-upgrades reboots a host for which a reboot is due: a time of day, or "now", right after the upgrade.

    Source: unattended-upgrade(8), reboot_if_requested_and_needed(), and apt.systemd.daily(8) for APT::Periodic.
    """
    found: dict[str, str] = {match[1]: match[2] for match in map(_APT.match, text.splitlines()) if match}
    runs = found.get("APT::Periodic::Unattended-Upgrade", "0") not in ("", "0") and _true(
        found.get("APT::Periodic::Enable", "1")
    )
    if not runs or not _true(found.get("Unattended-Upgrade::Automatic-Reboot", "false")):
        return ""
    return found.get("Unattended-Upgrade::Automatic-Reboot-Time") or "now"


def _true(value: str) -> bool:
    """As apt reads a truth (StringToBool of its strutl.cc)."""
    return value.lower() in ("1", "true", "yes", "with", "on", "enable")


def _dnf_reboots(path: Path) -> str:
    """The same of dnf-automatic (dnf-automatic(8): `reboot` in [commands]; the shutdown comes five minutes later)."""
    parser = configparser.ConfigParser(interpolation=None, strict=False)
    try:
        parser.read_string(path.read_text(errors="replace"))
    except (OSError, configparser.Error):
        return ""
    if parser.get("commands", "reboot", fallback="never").strip() in ("when-changed", "when-needed"):
        return "now"
    return ""


def low(places: Iterable[str]) -> dict[str, str]:
    """File systems with little left for the engines' user, by one of the given places on each."""
    found: dict[str, str] = {}
    seen = set()
    for place in places:
        try:
            device, state = os.stat(place).st_dev, os.statvfs(place)
        except OSError:
            continue
        if device in seen:
            continue
        seen.add(device)
        free = state.f_bavail * state.f_frsize
        if free < LOW_BYTES and state.f_blocks:
            found[place] = f"{free >> 20} MiB free"
        elif state.f_files and state.f_favail < LOW_INODES:
            found[place] = f"{state.f_favail} inodes free"
    return found
