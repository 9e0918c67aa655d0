"""The files that make a package manager offer the driver, and keep it where it is: values for the templates below `etc/`.

Sources: sources.list(5), apt-transport-mirror(1), apt_preferences(5), dnf.conf(5), modprobe.d(5); RFC 4880, 6 (armour).
Control node only.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ansible_collections.baremetal.vllm.plugins.module_utils.drivers.nvidia.model import (
    Offer,
    Resolution,
    System,
    WantedDriver,
)
from ansible_collections.baremetal.vllm.plugins.module_utils.host.hostfile import HostFile
from ansible_collections.baremetal.vllm.plugins.plugin_utils.drivers.nvidia import systems
from ansible_collections.baremetal.vllm.plugins.plugin_utils.drivers.nvidia.systems import DISTRIBUTION, SystemRelease
from ansible_collections.baremetal.vllm.plugins.plugin_utils.places import TEMPLATES
from ansible_collections.baremetal.vllm.plugins.plugin_utils.templates import environment

MARK = "# Managed by baremetal.vllm"
SOURCES = "/etc/apt/sources.list.d/nvidia-driver.sources"
MIRRORS, SECURITY_MIRRORS = "/etc/apt/mirrors/nvidia-driver.list", "/etc/apt/mirrors/nvidia-driver-security.list"
PREFERENCES = "/etc/apt/preferences.d/nvidia-driver"
REPO, REPO_ID = "/etc/yum.repos.d/nvidia-driver.repo", "nvidia-driver"
NOUVEAU = "/etc/modprobe.d/nouveau-off.conf"
# Every file that this module may put on a host, the keys included: what is not wanted any more is taken away.
KEYS = {"debian": "/etc/apt/keyrings/nvidia-driver.asc", "rhel": "/etc/pki/rpm-gpg/RPM-GPG-KEY-nvidia-driver"}
PATHS = (SOURCES, MIRRORS, SECURITY_MIRRORS, PREFERENCES, REPO, NOUVEAU, *KEYS.values())
_DEBIAN_KEY = "/usr/share/keyrings/debian-archive-keyring.gpg"
# Folders of a mirror.
_DEBIAN = {MIRRORS: "debian", SECURITY_MIRRORS: "debian-security"}
# In NVIDIA's Debian and Ubuntu repositories and in the distributions' all packages of the driver match these.
_PINNED = ("/nvidia/", "libcuda1", "libcudadebugger1", "libnvcuvid1", "libnvoptix1", "cuda-drivers*", "libxnvctrl*")


@dataclass(frozen=True)
class Key:
    """The key that signs a repository, as `path` on the host: fetched from `url`, and then it must have the
    `fingerprint`, or the operator's own file `local` on the control node."""

    path: str
    url: str = ""
    fingerprint: str = ""
    local: str = ""


def files(
    wanted: WantedDriver, system: System, archives: Mapping[str, str], mirror_key: str = "", templates: Path = TEMPLATES
) -> tuple[HostFile, ...]:
    """The package source that `wanted` names, and what keeps nouveau out; the rest of PATHS is to go (but PREFERENCES).

    `archives` are those of State: Debian's other components come from where the host has its main one. `mirror_key` is the
    operator's own key for a mirror, "" where NVIDIA's signs it.

    On a system or source that is not supported only the latter: the resolution says why.
    """
    nouveau = HostFile(NOUVEAU, (templates / NOUVEAU[1:]).read_text(encoding="utf-8"), 0o644)
    release = systems.supported(system)
    if release is None or not release.sets[wanted.source]:
        return (nouveau,)
    if release.family == "rhel":
        return (_repo(wanted, system, release, mirror_key, templates), nouveau)
    return (*_sources(wanted, system, release, archives, templates), nouveau)


def key(wanted: WantedDriver, system: System, mirror_key: str = "") -> Key | None:
    """The key to put on the host; None where the system has it, or where the package manager fetches it over TLS."""
    release = systems.supported(system)
    if release is None or not release.sets[wanted.source]:
        return None
    path = KEYS[release.family]
    if mirror_key:
        return Key(path, local=mirror_key)
    if release.family == "debian" and wanted.source == DISTRIBUTION:
        return None
    if not release.fingerprint:
        return None
    return Key(path, _vendor_url(wanted, system, release) + release.key, release.fingerprint)


def pins(resolution: Resolution, family: str, templates: Path = TEMPLATES) -> tuple[HostFile, ...]:
    """What ties all of the driver's packages to the one version; where dnf does, `dnf versionlock` takes its place."""
    if family != "debian":
        return ()
    values = {"packages": _PINNED, "version": resolution.version}
    return (printed(PREFERENCES, values, templates),)


def ours(offer: Offer) -> bool:
    """Whether a package comes from the source that `files` sets up."""
    return offer.origin == REPO_ID or MIRRORS.removesuffix(".list") in offer.origin


def armoured(content: bytes) -> bytes:
    """An OpenPGP key as text, which both package managers read; one that is text already as it is."""
    if content.lstrip().startswith(b"-----BEGIN"):
        return content
    body = base64.b64encode(content).decode()
    lines = [body[start : start + 64] for start in range(0, len(body), 64)]
    check = "=" + base64.b64encode(_crc24(content).to_bytes(3, "big")).decode()
    name = "PGP PUBLIC KEY BLOCK"
    return "\n".join([f"-----BEGIN {name}-----", "", *lines, check, f"-----END {name}-----", ""]).encode()


def _crc24(content: bytes) -> int:
    """RFC 4880, 6.1; rpm reads no armour without it."""
    crc = 0xB704CE
    for byte in content:
        crc ^= byte << 16
        for __ in range(8):
            crc <<= 1
            if crc & 0x1000000:
                crc ^= 0x1864CFB
    return crc


def _vendor_url(wanted: WantedDriver, system: System, release: SystemRelease) -> str:
    """NVIDIA's folder for a system, or the mirror's; NVIDIA calls its ARM servers sbsa."""
    base = (wanted.mirror if wanted.source != DISTRIBUTION else "") or systems.repositories()
    arch = "sbsa" if system.arch == "aarch64" else system.arch
    return f"{base.rstrip('/')}/{release.slug}/{arch}/"


def _repo(wanted: WantedDriver, system: System, release: SystemRelease, mirror_key: str, templates: Path) -> HostFile:
    url = _vendor_url(wanted, system, release)
    keys = [f"file://{KEYS['rhel']}" if release.fingerprint or mirror_key else url + release.key]
    if wanted.source == DISTRIBUTION:
        url = f"{wanted.mirror.rstrip('/') or f'{release.distribution_url}/{release.version}/{system.arch}'}/"
        # Its userspace are NVIDIA's own packages, its modules are built by the distribution.
        keys = [*release.distribution_keys, *keys]
    return printed(REPO, {"id": REPO_ID, "url": url, "keys": keys}, templates)


def _sources(
    wanted: WantedDriver, system: System, release: SystemRelease, archives: Mapping[str, str], templates: Path
) -> list[HostFile]:
    if wanted.source != DISTRIBUTION:
        parts = [{"list": MIRRORS, "suites": "/", "components": ""}]
        urls = {MIRRORS: _vendor_url(wanted, system, release)}
        signed = KEYS["debian"]
    elif system.name == "debian":
        code, components = release.codename, "contrib non-free non-free-firmware"
        suites = {MIRRORS: code, SECURITY_MIRRORS: f"{code}-security"}
        mirror = wanted.mirror.rstrip("/")
        urls = {
            path: f"{mirror}/{_DEBIAN[path]}" if mirror else archives[suite]
            for path, suite in suites.items()
            if mirror or suite in archives
        }
        if MIRRORS not in urls:
            return []
        named = {MIRRORS: f"{code} {code}-updates", SECURITY_MIRRORS: suites[SECURITY_MIRRORS]}
        parts = [{"list": path, "suites": named[path], "components": components} for path in urls]
        signed = _DEBIAN_KEY
    else:
        # Ubuntu's own sources have its restricted and multiverse components.
        return []
    lists = [
        printed(path, {"url": url}, templates, template="/etc/apt/mirrors/nvidia-driver.list")
        for path, url in urls.items()
    ]
    return [*lists, printed(SOURCES, {"sources": parts, "key": signed}, templates)]


def printed(path: str, values: Mapping[str, object], templates: Path, template: str = "") -> HostFile:
    """The file that lands at `path`, from the template of that path below `templates`, or of `template` instead."""
    loaded = environment(templates).get_template(f"{template or path}.j2"[1:])
    return HostFile(path, loaded.render(mark=MARK, **values), 0o644)
