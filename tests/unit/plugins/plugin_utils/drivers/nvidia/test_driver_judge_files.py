"""Which files of a host are taken away: ours that are not wanted any more, and none of the operator's."""

from __future__ import annotations

import pytest
from ansible_collections.baremetal.vllm.plugins.module_utils.drivers.nvidia.model import (
    DriverState,
    System,
    WantedDriver,
)
from ansible_collections.baremetal.vllm.plugins.plugin_utils.drivers.nvidia import repository, rules
from ansible_collections.baremetal.vllm.plugins.plugin_utils.drivers.nvidia.judge import DriverRequest, judge
from offered import host

OWN = "options nvidia NVreg_OpenRmEnableUnsupportedGpus=1\n"


@pytest.mark.parametrize("absent", [False, True])
@pytest.mark.parametrize(("content", "gone"), [(OWN, False), (f"{repository.MARK}\n{OWN}", True)])
def test_options_that_the_operator_wrote_stay(absent: bool, content: str, gone: bool) -> None:
    found = judge(host("debian 12", "vendor"), {rules.PATH: content}, DriverRequest(WantedDriver(), absent=absent))
    assert (rules.PATH in found.remove) is gone


def test_everything_of_ours_goes_with_the_driver() -> None:
    marked = dict.fromkeys((repository.SOURCES, repository.MIRRORS, repository.PREFERENCES), repository.MARK)
    texts = {**marked, repository.KEYS["debian"]: "-----BEGIN PGP PUBLIC KEY BLOCK-----"}
    found = judge(DriverState(System("debian", "12")), texts, DriverRequest(WantedDriver(), absent=True))
    assert set(found.remove) == set(texts)
