"""What engines listen on follows from how others reach their host, host by host; URLs and bindings have brackets where they must."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.baremetal.vllm.plugins.plugin_utils.plan.fleet import Inventory, Outcome, plan_fleet
from ansible_collections.baremetal.vllm.plugins.plugin_utils.plan.gateway import address_of, reached
from ansible_collections.baremetal.vllm.plugins.plugin_utils.plan.menu import read_menu
from ansible_collections.baremetal.vllm.plugins.plugin_utils.plan.table import plan_table

CPU = {"vllm_accelerator": "cpu", "vllm_version": "0.32.0"}
MODEL = {"m": {"model": "/srv/model", "kind": "chat", "port": 8100}}


def plan(*declared: dict[str, Any], **more: Any) -> Outcome:
    hosts = {f"h{number}": {**CPU, **one} for number, one in enumerate(declared, 1)}
    return plan_fleet(Inventory(menu=read_menu(MODEL), hosts=hosts, match=lambda __: [], **{"keyed": True, **more}))


@pytest.mark.parametrize(
    ("declared", "listens", "url"),
    [
        ({}, "0.0.0.0", "http://h1:8100"),
        ({"ansible_host": "10.0.0.1"}, "0.0.0.0", "http://10.0.0.1:8100"),
        ({"ansible_host": "gpu1.lan"}, "0.0.0.0", "http://gpu1.lan:8100"),
        ({"ansible_host": "fd00::1"}, "::", "http://[fd00::1]:8100"),
        ({"ansible_host": "[fd00::1]"}, "::", "http://[fd00::1]:8100"),
        ({"ansible_host": "fe80::1%eth0"}, "::", "http://[fe80::1%eth0]:8100"),
        ({"ansible_host": "10.0.0.1", "vllm_endpoint_address": "fd00::1"}, "::", "http://[fd00::1]:8100"),
        ({"ansible_host": "fd00::1", "vllm_endpoint_address": "10.0.0.1"}, "0.0.0.0", "http://10.0.0.1:8100"),
        ({"ansible_host": "gpu1.lan", "vllm_address": "::"}, "::", "http://gpu1.lan:8100"),
        ({"ansible_host": "10.0.0.1", "vllm_address": "::"}, "::", "http://10.0.0.1:8100"),
        ({"ansible_host": "fd00::1", "vllm_address": "[fd00::1]"}, "fd00::1", "http://[fd00::1]:8100"),
    ],
)
def test_engines_listen_where_others_reach_their_host(declared: dict[str, Any], listens: str, url: str) -> None:
    planned = plan(declared).fleet
    (service,) = planned.hosts["h1"].services
    assert service.address == listens
    assert service.argv[service.argv.index("--host") + 1] == listens
    assert reached(planned.gateway, service, address_of("h1", declared)) == (url, True)


def test_each_host_has_its_own_and_the_table_says_it() -> None:
    outcome = plan({"ansible_host": "fd00::1"}, {"ansible_host": "10.0.0.2"}, {"vllm_address": "10.1.0.3"})
    lines = plan_table(outcome.fleet).splitlines()[1:4]
    assert [line.split()[6] for line in lines] == ["[::]:8100", "0.0.0.0:8100", "10.1.0.3:8100"]


def test_without_a_key_nobody_else_reaches_it_whatever_the_family() -> None:
    outcome = plan({"ansible_host": "fd00::1"}, keyed=False)
    assert outcome.plan["hosts"]["h1"]["services"][0]["address"] == "127.0.0.1"


@pytest.mark.parametrize(
    ("declared", "told"),
    [
        ({"ansible_host": "fd00::1", "vllm_address": "0.0.0.0"}, "listen on 0.0.0.0 alone, and others reach the host at fd00::1"),
        ({"ansible_host": "10.0.0.1", "vllm_address": "fd00::1"}, "listen on fd00::1 alone, and others reach the host at 10.0.0.1"),
        ({"ansible_host": "fd00::1", "vllm_address": "127.0.0.1"}, ""),
        ({"ansible_host": "fd00::1", "vllm_address": "fd00::1"}, ""),
        ({"ansible_host": "gpu1.lan", "vllm_address": "fd00::1"}, ""),
    ],
)  # fmt: skip
def test_an_address_of_the_other_family_is_refused(declared: dict[str, Any], told: str) -> None:
    problems = [str(problem) for problem in plan(declared).problems]
    assert bool(problems) == bool(told)
    if told:
        assert f"h1.vllm_address: engines would {told}" in problems[0]
        assert "write '::' for both families" in problems[0]
