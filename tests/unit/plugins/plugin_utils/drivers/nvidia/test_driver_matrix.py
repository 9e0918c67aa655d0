"""Every system, source, kind of modules and way to ask: each resolves to one version, or says what is on offer."""

from __future__ import annotations

import itertools
import re

import pytest
from ansible_collections.baremetal.vllm.plugins.module_utils.drivers.nvidia import offers, versions
from ansible_collections.baremetal.vllm.plugins.module_utils.drivers.nvidia.model import Resolution, WantedDriver
from ansible_collections.baremetal.vllm.plugins.plugin_utils.drivers.nvidia.resolve import installed_meets, resolve
from offered import HOSTS, host, installed

# Per system and source: what is asked as a branch and as a version; then what comes of open and of proprietary modules.
# A version is what it resolves to, a word the name of the refusal.
ROWS = {
    ("debian 12", "vendor"): ("580", "580.95.05", "580.126.20 580.95.05", "580.126.20 580.95.05"),
    # Debian's open modules stopped at 535.261.03, and the whole driver is still there in that version.
    ("debian 12", "distribution"): ("535", "535.309.01", "535.261.03 version-not-on-offer", "535.309.01 535.309.01"),
    ("debian 13", "vendor"): ("580", "580.95.05", "580.126.20 580.95.05", "580.126.20 580.95.05"),
    ("debian 13", "distribution"): ("550", "550.163.01", "550.163.01 550.163.01", "550.163.01 550.163.01"),
    ("ubuntu 22.04", "vendor"): ("580", "580.95.05", "580.159.04 580.95.05", "580.159.04 580.95.05"),
    ("ubuntu 22.04", "distribution"): ("580", "580.178.04", "580.178.04 580.178.04", "580.178.04 580.178.04"),
    ("ubuntu 24.04", "vendor"): ("590", "590.48.01", "590.48.01 590.48.01", "590.48.01 590.48.01"),
    ("ubuntu 24.04", "distribution"): ("570", "580.95.05", "570.211.01 version-not-on-offer", "570.211.01 version-not-on-offer"),
    ("ubuntu 26.04", "vendor"): ("580", "595.58.03", "modules-not-on-offer 595.58.03", "modules-not-on-offer 595.58.03"),
    ("ubuntu 26.04", "distribution"): ("580", "580.126.20", "580.178.04 580.126.20", "580.178.04 580.126.20"),
    ("rocky 8", "vendor"): ("580", "580.178.04", "580.178.04 580.178.04", "580.95.05 580.178.04"),
    ("rocky 8", "distribution"): ("580", "580.95.05", "source-unsupported source-unsupported", "source-unsupported source-unsupported"),
    ("almalinux 9", "vendor"): ("580", "580.95.05", "580.178.04 580.95.05", "580.178.04 580.95.05"),
    ("almalinux 9", "distribution"): ("595", "580.95.05", "595.58.03 580.95.05", "modules-not-on-offer modules-not-on-offer"),
    ("almalinux 10", "vendor"): ("590", "580.95.05", "590.48.01 580.95.05", "590.48.01 580.95.05"),
    ("almalinux 10", "distribution"): ("615", "580.95.05", "615.71.09 version-not-on-offer", "modules-not-on-offer modules-not-on-offer"),
}  # fmt: skip
CELLS = [
    (system, source, modules, asked, expected.split()[index])
    for (system, source), (branch, exact, *outcomes) in ROWS.items()
    for modules, expected in zip(("open", "proprietary"), outcomes)
    for index, asked in enumerate((branch, exact))
]


def test_every_cell_is_there() -> None:
    wanted = set(itertools.product(HOSTS, ("vendor", "distribution"), ("open", "proprietary")))
    assert len(CELLS) == 64
    assert {(system, source, modules) for system, source, modules, __, __ in CELLS} == wanted


@pytest.mark.parametrize(("system", "source", "modules", "asked", "expected"), CELLS)
def test_cell(system: str, source: str, modules: str, asked: str, expected: str) -> None:
    state = host(system, source)
    outcome = resolve(WantedDriver(version=asked, source=source, modules=modules), state)
    if not expected[0].isdigit():
        assert not isinstance(outcome, Resolution)
        assert [finding.name for finding in outcome] == [expected]
        # Versions on offer, or what the system or source has instead.
        assert re.search(r"\d{3}\.\d+|it has|AlmaLinux", outcome[0].message)
        assert outcome[0].fatal
        assert outcome[0].remedy
        return
    assert isinstance(outcome, Resolution), outcome
    assert (outcome.version, outcome.modules) == (expected, modules)
    assert outcome.why
    offered = {(offer.name, offer.version): offer for offer in state.offers or ()}
    for name, full in outcome.packages.items():
        offer = offered[name, full]
        if not offers.supports(name) and "persistenced" not in name:
            assert (offer.driver or versions.driver(full)) == expected
    # Once that is installed, nothing is left to do.
    after = installed(state, outcome.packages, expected, outcome.build == "dkms", modules == "open")
    again = installed_meets(WantedDriver(version=asked, source=source, modules=modules), after)
    assert again is not None
    assert again.packages == {name: full for name, full in outcome.packages.items() if not offers.supports(name)}
