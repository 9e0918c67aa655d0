"""What tasks registered on other hosts is taken without being templated; what an inventory says is templated."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from ansible_collections.baremetal.vllm.plugins.filter.fleet import NOBODY, hosts_or_nobody
from ansible_collections.baremetal.vllm.plugins.filter.rollout import registered_anywhere
from ansible_collections.baremetal.vllm.plugins.plugin_utils.actions.gathered import registered
from ansible_collections.baremetal.vllm.plugins.plugin_utils.inventory.hostvars import raw_variables


class HostVars(Mapping[str, Any]):
    """As ansible-core's: a host's variables templated, with `raw_get` beside it; an unknown host is no error there."""

    def __init__(self, hosts: dict[str, dict[str, Any]]) -> None:
        self._hosts = hosts

    def raw_get(self, host: str) -> dict[str, Any]:
        return self._hosts[host]

    def __getitem__(self, host: str) -> dict[str, Any]:
        return dict.fromkeys(self._hosts[host], "templated")

    def __iter__(self) -> Iterator[str]:
        return iter(self._hosts)

    def __len__(self) -> int:
        return len(self._hosts)


LOOK = {"status": "read", "steps": []}
HOSTS = HostVars({"gw1": {}, "gpu1": {"look": LOOK, "serial": "{{ other }}"}, "gpu2": {"serial": 2}})


@pytest.mark.parametrize("variables", [HOSTS, dict(HOSTS._hosts)], ids=["Ansible's", "a dictionary"])
def test_results_are_as_they_were_registered(variables: Any) -> None:
    assert registered({"hostvars": variables}, ["gpu1", "gpu2"], "look") == {"gpu1": LOOK, "gpu2": None}
    assert registered_anywhere(["gone", "gw1", "gpu1"], variables, "look") == LOOK
    assert registered_anywhere(["gw1", "gpu2"], variables, "look") == {}


def test_what_is_no_result_is_templated() -> None:
    assert registered_anywhere(["gw1", "gpu1"], HOSTS, "serial") == "templated"


def test_an_unknown_host_is_an_error() -> None:
    with pytest.raises(KeyError):
        raw_variables(HOSTS, "gone")


@pytest.mark.parametrize(
    ("found", "hosts"),
    [
        ([], NOBODY),
        (["gpu2", "gpu1"], ["gpu2", "gpu1"]),
        ({}, NOBODY),
        ({"gpu1": [], "gpu2": ""}, NOBODY),
        ({"gpu1": ["it is down"], "gpu2": []}, ["gpu1"]),
    ],
)
def test_the_hosts_of_a_play_that_fails(found: Any, hosts: list[str]) -> None:
    assert hosts_or_nobody(found) == hosts
