"""The systems, and the sets of packages that data/drivers.yml gives them."""

from __future__ import annotations

import re

import pytest
from ansible_collections.baremetal.vllm.plugins.module_utils.drivers.nvidia.model import System
from ansible_collections.baremetal.vllm.plugins.plugin_utils.drivers.nvidia import systems
from offered import HOSTS

FAMILY = ("rhel", "rocky", "almalinux", "centos", "ol")


@pytest.mark.parametrize("name", HOSTS)
def test_supported(name: str) -> None:
    release = systems.supported(HOSTS[name][0])
    assert release is not None
    assert release.slug == HOSTS[name][2]
    assert release.sets["vendor"]
    for source in ("vendor", "distribution"):
        assert bool(release.sets[source]) is not bool(release.why_not.get(source))
        for packages in release.sets[source]:
            assert packages.userspace
            assert packages.firmware
            assert all(names for builds in packages.modules.values() for names in builds.values())
            # DKMS needs headers, and what it is built with.
            if any("dkms" in builds for builds in packages.modules.values()):
                assert packages.headers
                assert packages.headers_meta
                assert packages.tools


@pytest.mark.parametrize("name", FAMILY)
@pytest.mark.parametrize("version", ["8", "9.6", "10.1"])
def test_rhel_family(name: str, version: str) -> None:
    release = systems.supported(System(name, version))
    assert release is not None
    assert (release.family, release.slug) == ("rhel", f"rhel{version.split('.')[0]}")
    own = name == "almalinux" and version != "8"
    assert bool(release.sets["distribution"]) is own


@pytest.mark.parametrize(
    "system",
    [System("debian", "11"), System("ubuntu", "25.10"), System("fedora", "42"), System("rhel", "7.9"), System("", "")],
)
def test_unsupported(system: System) -> None:
    assert systems.supported(system) is None


@pytest.mark.parametrize("name", HOSTS)
def test_keys_are_whole(name: str) -> None:
    release = systems.supported(HOSTS[name][0])
    assert release is not None
    assert release.key.endswith(".pub")
    # A key's file is named by the end of its fingerprint.
    if release.fingerprint:
        assert re.fullmatch(r"[0-9A-F]{40}", release.fingerprint)
        assert release.fingerprint.endswith(release.key.removesuffix(".pub").upper())


def test_eight_systems() -> None:
    assert len(systems.titles()) == 8
