"""ROCm releases and the systems that they are for: data/rocm.yml."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from ansible_collections.baremetal.vllm.plugins.module_utils.drivers.nvidia.model import System
from ansible_collections.baremetal.vllm.plugins.plugin_utils.places import DATA, read_yaml

FILE = DATA / "rocm.yml"


@dataclass(frozen=True)
class RocmRelease:
    """A release: `folder` of its repositories, `driver` that goes with it, `systems` by ID and VERSION_ID."""

    version: str
    folder: str
    driver: str
    graphics: bool
    systems: Mapping[str, tuple[str, ...]]

    def titles(self) -> str:
        """The systems in words, for messages."""
        return ", ".join(f"{name} {' '.join(versions)}" for name, versions in self.systems.items())


def releases() -> tuple[str, ...]:
    """Every known release of ROCm, in the order of data/rocm.yml."""
    return tuple(facts()["releases"])


def release(version: str) -> RocmRelease | None:
    """One release of ROCm by its version (7.2.3); None for one that the data do not know."""
    entry = facts()["releases"].get(version)
    if entry is None:
        return None
    systems = {name: tuple(versions) for name, versions in entry["systems"].items()}
    return RocmRelease(version, entry.get("folder", version), entry["driver"], entry.get("graphics", True), systems)


def family(system: System) -> str:
    """How a system's packages are handled: debian or rhel."""
    return "debian" if system.name in facts()["suites"] else "rhel"


def fits(known: RocmRelease, system: System) -> bool:
    """Whether AMD packages the release for a system: its architecture, and its version to the point."""
    return system.arch == "x86_64" and system.version in known.systems.get(system.name, ())


def key(mirror: str = "") -> dict[str, str]:
    """Where the signing key is, and its fingerprint."""
    said = facts()
    return {"url": f"{mirror or said['url']}/{said['key']}", "fingerprint": said["fingerprint"]}


def repositories(known: RocmRelease, system: System, driver: bool, mirror: str = "") -> list[dict[str, str]]:
    """Repositories of a supported system: {name, url, suite}; `driver` with that of the kernel module."""
    base, folder = (mirror or facts()["url"]).rstrip("/"), known.folder
    if family(system) == "debian":
        suite = facts()["suites"][system.name][system.version]
        found = [{"name": "rocm", "url": f"{base}/rocm/apt/{folder}", "suite": suite}]
        if known.graphics:
            found.append({"name": "graphics", "url": f"{base}/graphics/{folder}/ubuntu", "suite": suite})
        if driver:
            found.append({"name": "amdgpu", "url": f"{base}/amdgpu/{known.driver}/ubuntu", "suite": suite})
        return found
    major = system.version.partition(".")[0]
    graphics = system.version if major == "9" else major
    modules = major if major == "10" else system.version
    found = [{"name": "rocm", "url": f"{base}/rocm/el{major}/{folder}/main", "suite": ""}]
    if known.graphics:
        found.append(
            {"name": "amdgraphics", "url": f"{base}/graphics/{folder}/el/{graphics}/main/x86_64/", "suite": ""}
        )
    if driver:
        found.append({"name": "amdgpu", "url": f"{base}/amdgpu/{known.driver}/el/{modules}/main/x86_64/", "suite": ""})
    return found


@cache
def facts() -> Any:
    """What data/rocm.yml says."""
    return read_yaml(FILE)
