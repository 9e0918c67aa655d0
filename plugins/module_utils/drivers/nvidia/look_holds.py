"""Which packages a host's package manager will not move: apt's pins, dnf's locks and exclusions."""

from __future__ import annotations

import re
from collections.abc import Mapping
from fnmatch import fnmatchcase
from pathlib import Path

from ansible_collections.baremetal.vllm.plugins.module_utils.drivers.nvidia.look_files import entries, text

_PREFERENCES = ("etc/apt/preferences", "etc/apt/preferences.d")
# From here on a pin holds even against newer versions (apt_preferences(5)).
_HOLDS = 1000
_LOCKS = ("etc/dnf/plugins/versionlock.list", "etc/yum/pluginconf.d/versionlock.list")


def pinned(root: Path, installed: Mapping[str, str]) -> set[str]:
    """Packages that apt's preferences pin to the version that is installed."""
    files = [root / _PREFERENCES[0], *(path for path in entries(root / _PREFERENCES[1]) if _read_by_apt(path))]
    held = set()
    for record in re.split(r"\n\s*\n", "\n\n".join(map(text, files))):
        lines = [line for line in record.splitlines() if not line.startswith("#")]
        fields = {key.strip().lower(): value.strip() for key, __, value in (line.partition(":") for line in lines)}
        kind, __, version = fields.get("pin", "").partition(" ")
        priority = fields.get("pin-priority", "")
        if kind == "version" and priority.isdecimal() and int(priority) >= _HOLDS:
            patterns = fields.get("package", "").split()
            held |= {
                name
                for name, found in installed.items()
                if _matches(name, patterns) and _version_matches(found, version.strip())
            }
    return held


def _read_by_apt(path: Path) -> bool:
    return path.suffix in ("", ".pref")


def _matches(name: str, patterns: list[str]) -> bool:
    for pattern in patterns:
        if pattern.startswith("/") and pattern.endswith("/"):
            if re.search(pattern[1:-1], name):
                return True
        elif fnmatchcase(name, pattern):
            return True
    return False


def _version_matches(found: str, pattern: str) -> bool:
    if pattern.startswith("/") and pattern.endswith("/"):
        return re.search(pattern[1:-1], found) is not None
    return fnmatchcase(found, pattern)


def locked(root: Path, installed: Mapping[str, str]) -> set[str]:
    """Packages with a lock of dnf's versionlock on the version that is installed: `name-epoch:version-release.*`, 4 and 5."""
    patterns = []
    for name in _LOCKS:
        lines = (line.strip() for line in text(root / name).splitlines())
        patterns += [line for line in lines if line and not line.startswith(("#", "!"))]
    held = {name for name, version in installed.items() if any(_locks(p, name, version) for p in patterns)}
    # dnf 5: [[packages]] tables with a name, and conditions on evr.
    for table in text(root / "etc/dnf/versionlock.toml").split("[[packages]]")[1:]:
        told = re.search(r'^name = "([^"]+)"', table, re.MULTILINE)
        evr = re.search(r'comparator = "="\s*\nvalue = "([^"]+)"', table)
        if told and evr and _bare(installed.get(told[1], "")) == _bare(evr[1]):
            held.add(told[1])
    return held


def _locks(pattern: str, name: str, version: str) -> bool:
    epoch, colon, rest = version.partition(":")
    full = version if colon else f"0:{version}"
    named = [
        f"{name}-{full}",
        f"{name}-{rest if colon else version}",
        f"{epoch if colon else '0'}:{name}-{rest if colon else version}",
    ]
    return any(fnmatchcase(f"{one}.x", pattern) or fnmatchcase(one, pattern) for one in named)


def _bare(version: str) -> str:
    return version[2:] if version.startswith("0:") else version


def excluded(root: Path, installed: Mapping[str, str]) -> set[str]:
    """Packages that dnf's own configuration leaves out of every transaction."""
    told = re.findall(r"^(?:excludepkgs|exclude)\s*=\s*(.+)$", text(root / "etc/dnf/dnf.conf"), re.MULTILINE)
    patterns = re.split(r"[\s,]+", " ".join(told))
    return {name for name in installed if any(fnmatchcase(name, pattern) for pattern in patterns if pattern)}
