"""Installed packages of the driver: versions, which are held, which are half installed; DKMS; remains of NVIDIA's installer.

Sources: dpkg-query(1), apt_preferences(5), rpm(8), dnf-plugins-core's versionlock, dkms(8) 2.8 to 3.2, nvidia-installer's
README ("Where does the installer put its files").
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from ansible_collections.baremetal.vllm.plugins.module_utils.drivers.nvidia import offers
from ansible_collections.baremetal.vllm.plugins.module_utils.drivers.nvidia.look_files import entries, real, text
from ansible_collections.baremetal.vllm.plugins.module_utils.drivers.nvidia.look_holds import excluded, locked, pinned
from ansible_collections.baremetal.vllm.plugins.module_utils.drivers.nvidia.model import Dkms
from ansible_collections.baremetal.vllm.plugins.module_utils.host.command import Run

# A module that does not build leaves these half installed, and every later installation with them.
_AROUND = re.compile(r"dkms$|linux-(?:image|headers|modules)-|kernel-")
# Of what belongs to one release of the kernel several versions lie side by side on purpose.
_SIDE_BY_SIDE = re.compile(r"kernel|kmod-nvidia-\d")
_RPM = "%{NAME}\\t%|EPOCH?{%{EPOCH}:}|%{VERSION}-%{RELEASE}\\t%{ARCH}\\n"
# "nvidia/535.54.03, 5.15.0-76-generic, x86_64: installed (WARNING! …)", "nvidia/580.95.05: added"; "nvidia, 535.54.03, …" in 2.x.
_DKMS = re.compile(r"([\w.+-]+)(?:/|, )([^\s,:/]+)(?:, ([^\s,]+), \S+)?: ([a-z-]+)")
_DKMS_MODULES = re.compile(r"nvidia(?:-(?:current|open|srv|server|tesla|legacy).*)?")
_UNINSTALLERS = ("usr/bin/nvidia-uninstall", "usr/bin/nvidia-installer")
_INSTALLED_FILES, _INSTALLER_LOG = "var/lib/nvidia/log", "var/log/nvidia-installer.log"
_VERSION = re.compile(r"\d{3}\.\d+(?:\.\d+)?")
_OURS = "etc/apt/mirrors/nvidia-driver"
_LIBRARIES = ("libnvidia-ml.so.1", "libcuda.so.1")
_PLACES = ("usr/lib/{}-linux-gnu", "usr/lib64", "usr/lib/{}-linux-gnu/nvidia/current", "usr/lib", "usr/local/lib")


@dataclass(frozen=True)
class Packages:
    """`installed` maps names to full versions; see State for the rest."""

    installed: dict[str, str] = field(default_factory=dict)
    held: tuple[str, ...] = ()
    broken: tuple[str, ...] = ()


def packages(root: Path, run: Run, family: str) -> Packages:
    """What dpkg, or rpm, says of the driver's packages and of those that modules are built with."""
    return _dpkg(root, run) if family == "debian" else _rpm(root, run)


def archives(root: Path, run: Run) -> dict[str, str]:
    """The URI of each suite that apt's sources name ("bookworm"), as apt itself tells (apt-get(8), indextargets); empty
    where there is no apt. A list of mirrors (apt-transport-mirror(1)) stands for its first; our own source is none."""
    command = ["apt-get", "indextargets", "--format", "$(CODENAME)|$(RELEASE)|$(REPO_URI)"]
    out = run([*command, "Identifier: Packages", "Component: main"])[1]
    found: dict[str, str] = {}
    for line in out.splitlines():
        codename, release, uri = [*line.split("|"), "", ""][:3]
        # The codename is known once the suite's lists were fetched: it may be called "stable".
        if uri.startswith("mirror+file:"):
            uri = _first_mirror(root, uri)
        if uri.startswith(("http:", "https:", "file:")):
            found.setdefault(codename or release, uri.rstrip("/"))
    return found


def _first_mirror(root: Path, uri: str) -> str:
    path = uri.partition(":")[2].strip("/")
    listed = [] if path.startswith(_OURS) else text(root / path).splitlines()
    return next((line.split()[0] for line in listed if line.strip() and not line.startswith("#")), "")


def _dpkg(root: Path, run: Run) -> Packages:
    out = run(["dpkg-query", "-W", "-f", "${Package}\\t${Version}\\t${db:Status-Abbrev}\\n"])[1]
    installed: dict[str, str] = {}
    held, broken = set(), set()
    for line in out.splitlines():
        name, version, status = [*line.split("\t"), "", ""][:3]
        want, state, error = tuple(status + "   ")[:3]
        ours = offers.belongs(name, version) or offers.supports(name)
        # Not installed, or removed with its configuration left.
        if state in "nc " or not (ours or _AROUND.match(name)):
            continue
        if state in "HUF" or error == "R":
            broken.add(name)
        if ours:
            installed[name] = version
            held |= {name} if want == "h" else set()
    held |= pinned(root, installed)
    return Packages(installed, tuple(sorted(held)), tuple(sorted(broken)))


def _rpm(root: Path, run: Run) -> Packages:
    code, out, __ = run(["rpm", "-qa", "--qf", _RPM])
    installed: dict[str, str] = {}
    broken = set()
    for name, full, arch in sorted([*line.split("\t"), "", ""][:3] for line in out.splitlines() if code == 0):
        version = full[2:] if full.startswith("0:") else full
        if arch == "i686" or not (offers.belongs(name, version) or offers.supports(name)):
            continue
        if installed.get(name, version) != version and not _SIDE_BY_SIDE.match(name):
            # Two versions of one package: a transaction that was cut off.
            broken.add(name)
        installed[name] = version
    held = locked(root, installed) | excluded(root, installed)
    return Packages(installed, tuple(sorted(held)), tuple(sorted(broken)))


def dkms(root: Path, run: Run) -> tuple[Dkms, ...]:
    """What DKMS knows of the driver's modules, by kernel ("" for one that is built for none yet)."""
    if not (root / "var/lib/dkms").is_dir():
        return ()
    out = run(["dkms", "status"])[1]
    matches = filter(None, map(_DKMS.match, out.splitlines()))
    return tuple(
        Dkms(name, version, kernel or "", state)
        for name, version, kernel, state in (match.groups() for match in matches)
        if _DKMS_MODULES.fullmatch(name)
    )


def userspace(root: Path, machine: str) -> str:
    """The version of NVML's and CUDA's library that programs would load; "" where there is none."""
    for library in _LIBRARIES:
        for place in _PLACES:
            found = real(root, f"{place.format(machine)}/{library}")
            match = _VERSION.search(found.name) if found else None
            if match:
                return match[0]
    return ""


def firmware(root: Path) -> tuple[str, ...]:
    """Versions of the driver whose GSP firmware is on the disk."""
    names = {
        entry.name
        for place in ("lib/firmware/nvidia", "usr/lib/firmware/nvidia")
        for entry in entries(root / place)
        if _VERSION.fullmatch(entry.name) and any(file.name.startswith("gsp_") for file in entries(entry))
    }
    return tuple(sorted(names))


def runfile(root: Path, installed: Mapping[str, str], libraries: str) -> str:
    """The version that NVIDIA's .run file installed, "unknown" where only its uninstaller tells of it, "" without.

    Libraries that no package can have brought count as well. Its log alone does not: it stays after the uninstaller ran.
    """
    present = any((root / name).exists() for name in (*_UNINSTALLERS, _INSTALLED_FILES))
    if not present and (not libraries or any("nvidia" in name or "cuda" in name for name in installed)):
        return ""
    listed = _VERSION.search("\n".join(text(root / _INSTALLED_FILES).splitlines()[:3]))
    logged = re.search(rf"^installer version: ({_VERSION.pattern})", text(root / _INSTALLER_LOG), re.MULTILINE)
    if listed:
        return listed[0]
    return logged[1] if logged else libraries or "unknown"
