"""What the plan refuses of hosts that bring content to each other."""

from __future__ import annotations

from typing import Any

import pytest


def told(fleet: Any, model: dict[str, Any] | None = None, **host: Any) -> list[str]:
    found: list[str] = fleet.told({"m": {**fleet.chat, **(model or {})}}, {"gpu1": {**fleet.gpu_host, **host}})
    return found


@pytest.mark.parametrize(
    ("host", "said"),
    [
        ({"vllm_weights_from": "host"}, "vllm_weights_from: 'host' is not known. Did you mean \"hosts\""),
        ({"vllm_fanout_port": 0}, "vllm_fanout_port: 0 is not a port. Write one such as 7411"),
        ({"vllm_fanout_port": "seven"}, "vllm_fanout_port: 'seven' is not a port"),
        ({"vllm_fanout_port": 65536}, "vllm_fanout_port: 65536 is not a port"),
        ({"vllm_rack": ["r1"]}, "vllm_rack: ['r1'] is no name"),
    ],
)
def test_what_is_no_value_is_refused(fleet: Any, host: dict[str, Any], said: str) -> None:
    (problem,) = told(fleet, **host)
    assert said in problem


@pytest.mark.parametrize(
    "host", [{}, {"vllm_weights_from": "upstream"}, {"vllm_rack": 12}, {"vllm_fanout_port": "7500"}], ids=str
)
def test_what_is_right_is_not(fleet: Any, host: dict[str, Any]) -> None:
    assert told(fleet, **host) == []


def test_a_models_port_is_not_that_of_the_fan_out(fleet: Any) -> None:
    (problem,) = told(fleet, {"port": 7411})
    assert "vllm_fanout_port: 7411 is also the port of m on gpu1. Set vllm_fanout_port to another one" in problem
    assert told(fleet, {"port": 7411}, vllm_fanout_port=7412) == []
    # Who takes nothing from hosts listens nowhere.
    assert told(fleet, {"port": 7411}, vllm_weights_from="upstream") == []


def test_nor_is_that_of_a_gateway_on_the_host(fleet: Any) -> None:
    host = {**fleet.gpu_host, "ansible_host": "10.0.0.1", "vllm_fanout_port": 80, "gateway_open": True}
    problems = fleet.told({"m": fleet.chat}, {"gpu1": host}, gateways={"gpu1": host})
    assert [problem for problem in problems if "80 is also the port of the gateway on gpu1" in problem]
