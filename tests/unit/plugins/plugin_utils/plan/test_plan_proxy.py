"""The proxy of hosts and of gateways is judged by the plan, and is no part of it."""

from __future__ import annotations

import json
from typing import Any

PROXY = "http://ops:hush@proxy.corp:3128"
GATEWAY = {"ansible_host": "10.0.0.5", "gateway_open": True, "gateway_port": 8080}


def test_hosts_and_gateways_are_told_of_a_proxy_that_is_none(fleet: Any) -> None:
    said = fleet.told(
        {"m": fleet.chat},
        {
            "gpu1": {**fleet.gpu_host, "vllm_proxy": "proxy.corp:3128"},
            "gpu2": {**fleet.gpu_host, "vllm_no_proxy": ["a;b"]},
        },
        gateways={"gw1": {**GATEWAY, "vllm_proxy": "http://ops:hush@proxy.corp"}},
    )
    starts = (
        "gpu1.vllm_proxy: is no address of a proxy.",
        "gpu2.vllm_no_proxy: 'a;b' is no host,",
        "gw1.vllm_proxy: names no port.",
    )
    for start in starts:
        assert [line for line in said if line.startswith(start)], said
    assert "hush" not in str(said)


def test_it_is_no_part_of_the_plan(fleet: Any) -> None:
    hosts = {"gpu1": {**fleet.gpu_host, "vllm_proxy": PROXY, "vllm_no_proxy": ["mirror.lan"]}}
    outcome = fleet.plan({"m": fleet.chat}, hosts, gateways={"gw1": {**GATEWAY, "vllm_proxy": PROXY}})
    assert not outcome.problems
    assert "hush" not in json.dumps(outcome.plan)
    assert outcome.digest == fleet.plan({"m": fleet.chat}, gateways={"gw1": GATEWAY}).digest
