"""The operating systems that a driver is installed on, and what its packages are called there (`data/drivers.yml`).

Control node only: it reads a file of the collection.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Any

from ansible_collections.baremetal.vllm.plugins.module_utils.drivers.nvidia.model import System
from ansible_collections.baremetal.vllm.plugins.plugin_utils.places import DATA, read_yaml

FILE = DATA / "drivers.yml"
VENDOR, DISTRIBUTION = "vendor", "distribution"
OPEN, PROPRIETARY = "open", "proprietary"
PREBUILT, DKMS = "prebuilt", "dkms"
# IDs of /etc/os-release that are built from the sources of one RHEL release.
_RHEL = ("rhel", "rocky", "almalinux", "centos", "ol", "oracle")


@dataclass(frozen=True)
class PackageSet:
    """The driver's packages of one source, named as in `data/drivers.yml`; every tuple holds alternatives "a | b".

    It is for branches from `first` up to, not including, `below`. `modules` and `streams` go by kind and build.
    """

    name: str
    modules: Mapping[str, Mapping[str, tuple[str, ...]]]
    userspace: tuple[str, ...]
    firmware: tuple[str, ...]
    fabric: tuple[str, ...] = ()
    imex: tuple[str, ...] = ()
    nvlink5: tuple[str, ...] = ()
    persistence: tuple[str, ...] = ()
    tools: tuple[str, ...] = ()
    headers: str = ""
    headers_meta: str = ""
    streams: Mapping[str, Mapping[str, str]] | None = None
    first: int = 0
    below: int = 10**6

    def stream(self, kind: str, build: str) -> str:
        """The dnf module stream of a kind and build, with {branch} in it; "" where there are no streams."""
        return (self.streams or {}).get(kind, {}).get(build, "")


@dataclass(frozen=True)
class SystemRelease:
    """A supported system: `family` is debian or rhel, `version` 12, 24.04 or 9, `slug` its folder at NVIDIA.

    `sets` are the sets of packages by source; `why_not` says why a source has none. `kernel` is the version that the
    release came with where newer ones have meta packages of their own (Ubuntu), else "". `default` is the branch by
    source where nothing is asked for. `no_engine` is why no engine runs on it, "" where one does.
    """

    title: str
    family: str
    version: str
    slug: str
    key: str
    fingerprint: str
    default: Mapping[str, str]
    sets: Mapping[str, tuple[PackageSet, ...]]
    why_not: Mapping[str, str]
    codename: str = ""
    kernel: str = ""
    distribution_url: str = ""
    distribution_keys: tuple[str, ...] = ()
    no_engine: str = ""


def supported(system: System) -> SystemRelease | None:
    """What is known of a host's system, None where it is not one of those."""
    data = _data()
    rhel = system.name in _RHEL
    version = system.version.split(".")[0] if rhel or system.name == "debian" else system.version
    entry = data["systems"].get(f"{'rhel' if rhel else system.name}-{version}")
    if entry is None:
        return None
    own = data["rhel_distribution"].get(system.name) if rhel else {}
    sets = {VENDOR: _sets(entry[VENDOR]), DISTRIBUTION: _sets(entry.get(DISTRIBUTION, ())) if own is not None else ()}
    return SystemRelease(
        title=f"{system.name} {version}" if rhel else entry["title"],
        family=entry["family"],
        version=version,
        slug=entry["slug"],
        key=entry["key"],
        fingerprint=entry["fingerprint"],
        default=entry["default"],
        sets=sets,
        why_not={} if sets[DISTRIBUTION] else {DISTRIBUTION: data["rhel_distribution"]["why_not"]},
        codename=entry.get("codename", ""),
        kernel=entry.get("kernel", ""),
        distribution_url=(own or {}).get("url", ""),
        no_engine=entry.get("no_engine", ""),
        distribution_keys=tuple(key.format(release=version) for key in (own or {}).get("keys", ())),
    )


def titles() -> tuple[str, ...]:
    """The supported systems in words, for messages."""
    return tuple(entry["title"] for entry in _data()["systems"].values())


def repositories() -> str:
    """NVIDIA's base URL, in whose place a mirror stands."""
    return str(_data()["url"])


def open_branches() -> tuple[int, int]:
    """The first branch with open modules, and the first that has no others."""
    return _data()["open_from"], _data()["open_only_from"]


def facts() -> Mapping[str, Any]:
    """The parts of `data/drivers.yml` about GPUs."""
    return _data()


def _sets(names: list[str] | tuple[()]) -> tuple[PackageSet, ...]:
    return tuple(_package_set(name) for name in names)


@cache
def _package_set(name: str) -> PackageSet:
    entry = _data()["sets"][name]
    lists = {key: tuple(value) for key, value in entry.items() if isinstance(value, list)}
    modules = {
        kind: {build: tuple(names) for build, names in builds.items()} for kind, builds in entry["modules"].items()
    }
    return PackageSet(
        name=name,
        modules=modules,
        streams=entry.get("streams"),
        headers=entry.get("headers", ""),
        headers_meta=entry.get("headers_meta", ""),
        first=entry.get("from", 0),
        below=entry.get("below", 10**6),
        **lists,
    )


@lru_cache(maxsize=1)
def _data() -> Mapping[str, Any]:
    loaded: Mapping[str, Any] = read_yaml(FILE)
    return loaded
