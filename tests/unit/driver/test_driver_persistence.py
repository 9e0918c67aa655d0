"""The persistence daemon of Ubuntu persists only by a unit of ours, which never replaces one of the operator's."""

from __future__ import annotations

import pytest
from ansible_collections.baremetal.vllm.plugins.module_utils.driver import persistence
from ansible_collections.baremetal.vllm.plugins.module_utils.driver.model import State, System, Wanted

OURS = persistence.files(State(System("ubuntu", "24.04")), {}, Wanted())[0]


def test_our_unit_keeps_the_gpus_initialised_and_can_be_enabled() -> None:
    assert "ExecStart=/usr/bin/nvidia-persistenced --user nvidia-persistenced --persistence-mode" in OURS.content
    assert "WantedBy=multi-user.target" in OURS.content


@pytest.mark.parametrize(
    ("system", "there", "wanted", "expected"),
    [
        (System("ubuntu", "22.04"), {}, Wanted(), True),
        (System("ubuntu", "22.04"), {persistence.PATH: OURS.content}, Wanted(), True),
        (System("ubuntu", "22.04"), {persistence.PATH: "[Unit]\n"}, Wanted(), False),
        (System("ubuntu", "22.04"), {}, Wanted(persistence=False), False),
        (System("debian", "12"), {}, Wanted(), False),
    ],
)
def test_where_it_is_written(system: System, there: dict[str, str], wanted: Wanted, expected: bool) -> None:
    assert bool(persistence.files(State(system), there, wanted)) is expected
