"""An engine keeps to its host unless an option of it needs another one; what it may connect to is named, or told."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.baremetal.vllm.plugins.filter.rollout import closed_to
from ansible_collections.baremetal.vllm.plugins.plugin_utils.plan.fleet import Inventory, Outcome, plan_fleet
from ansible_collections.baremetal.vllm.plugins.plugin_utils.plan.menu import read_menu
from ansible_collections.baremetal.vllm.plugins.plugin_utils.plan.without import without

CPU = {"vllm_accelerator": "cpu", "vllm_version": "0.32.0"}
CUDA = {"vllm_accelerator": "cuda", "vllm_version": "0.33.0", "gpu_count": 8}
MODEL = {"model": "/srv/model", "kind": "chat"}
NIXL = {"kv_connector": "NixlConnector", "kv_role": "kv_both"}
INNER = ("GLOO_SOCKET_IFNAME", "NCCL_SOCKET_IFNAME", "VLLM_HOST_IP")


def plan(entry: dict[str, Any], host: dict[str, Any] | None = None, **entries: Any) -> Outcome:
    models = {"m": {**MODEL, **entry}, **entries}
    hosts = {"h1": {**CUDA, **(host or {})}}
    return plan_fleet(Inventory(menu=read_menu(models), hosts=hosts, match=lambda p: p.split(","), keyed=True))


def service(outcome: Outcome, name: str = "m") -> dict[str, Any]:
    assert outcome.problems == []
    return next(s for s in outcome.plan["hosts"]["h1"]["services"] if s["name"] == name)


def warnings(outcome: Outcome) -> list[str]:
    assert outcome.problems == []
    return [str(w) for w in outcome.warnings]


@pytest.mark.parametrize(
    "args",
    [
        {},
        {"tensor-parallel-size": 4},
        {"data-parallel-size": 2},
        {"data-parallel-size": 2, "data-parallel-size-local": 2},
        {"kv-transfer-config": {"kv_connector": "OffloadingConnector", "kv_role": "kv_both"}},
        {"kv-events-config": {"enable_kv_cache_events": False}},
        {"data-parallel-size": 2, "data-parallel-address": "127.0.0.1"},
        {"node-rank": 0},
    ],
)
def test_an_engine_of_one_host_keeps_its_inner_sockets_on_loopback(args: dict[str, Any]) -> None:
    outcome = plan({"args": args})
    environment = service(outcome)["environment"]
    assert [environment.get(name) for name in INNER] == ["lo", "=lo", "127.0.0.1"]
    assert service(outcome)["prove"]["outside"] == ""
    assert outcome.plan["hosts"]["h1"]["firewall"]["peers"] is False
    assert outcome.plan["hosts"]["h1"]["firewall"]["destinations"] == []
    assert not [w for w in warnings(outcome) if "host" in w and "gpu" not in w and "memory" not in w]


@pytest.mark.parametrize(
    ("args", "option"),
    [
        ({"kv-transfer-config": NIXL}, "kv-transfer-config"),
        ({"data-parallel-size": 2, "data-parallel-size-local": 1, "data-parallel-rank": 0}, "data-parallel-size-local"),
        ({"data-parallel-size": 2, "data-parallel-rank": 0}, "data-parallel-rank"),
        ({"kv-transfer-config": '{"kv_connector": "MooncakeConnector", "kv_role": "kv_producer"}'}, "kv-transfer-config"),
        ({"kv-events-config": {"enable_kv_cache_events": True}}, "kv-events-config"),
        ({"data-parallel-size": 4, "data-parallel-size-local": 2, "data-parallel-address": "10.0.0.1"}, "data-parallel-size-local"),
        ({"data-parallel-size": 2, "data-parallel-rank": 1, "data-parallel-address": "10.0.0.1"}, "data-parallel-address"),
        ({"distributed-executor-backend": "ray"}, "distributed-executor-backend"),
    ],
)  # fmt: skip
def test_an_engine_that_needs_other_hosts_is_left_open_and_that_is_told(args: dict[str, Any], option: str) -> None:
    outcome = plan({"args": args})
    assert service(outcome)["prove"]["outside"] == option
    assert not set(INNER) & set(service(outcome)["environment"])
    assert outcome.plan["hosts"]["h1"]["firewall"] | {"ports": [], "served": []} == {
        "ports": [],
        "sources": None,
        "destinations": None,
        "peers": True,
        "served": [],
    }
    told = f"vllm_models.m.args.{option}: its engine exchanges data with other hosts, so on h1 every port"
    assert any(w.startswith(told) for w in warnings(outcome)), outcome.warnings
    named = plan({"args": args}, {"vllm_engine_destinations": ["10.0.0.0/24"]})
    assert named.plan["hosts"]["h1"]["firewall"]["destinations"] == ["10.0.0.0/24"]
    assert named.plan["hosts"]["h1"]["firewall"]["peers"] is True
    assert not any("exchanges data" in w for w in warnings(named))


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("GLOO_SOCKET_IFNAME", "eth0", True),
        ("NCCL_SOCKET_IFNAME", "ib0", True),
        ("VLLM_HOST_IP", "10.0.0.5", True),
        ("GLOO_SOCKET_IFNAME", "lo", False),
        ("NCCL_SOCKET_IFNAME", "lo", False),
        ("VLLM_HOST_IP", "127.0.0.1", False),
    ],
)
def test_what_the_operator_writes_wins_and_is_told_where_it_contradicts(name: str, value: str, told: bool) -> None:
    outcome = plan({"gpus": 1, "env": {name: value}})
    assert service(outcome)["environment"][name] == value
    assert (
        any(f"vllm_models.m.env.{name}: '{value}' takes the engine's own sockets" in w for w in warnings(outcome))
        is told
    )
    elsewhere = plan({"gpus": 1, "env": {name: value}, "args": {"kv-transfer-config": NIXL}})
    assert not any("own sockets off loopback" in w for w in warnings(elsewhere))


@pytest.mark.parametrize(
    ("entry", "host", "told"),
    [
        ({"args": {"otlp-traces-endpoint": "http://10.0.0.7:4317"}}, {}, "m.args.otlp-traces-endpoint: http://10.0.0.7 is not on h1"),
        ({"args": {"otlp-traces-endpoint": "http://otel.lan:4317"}}, {}, "m.args.otlp-traces-endpoint: http://otel.lan is not on h1"),
        ({"args": {"otlp-traces-endpoint": "http://10.0.0.7:4317"}}, {"vllm_engine_destinations": ["10.1.0.0/24"]}, "http://10.0.0.7 is"),
        ({"args": {"otlp-traces-endpoint": "http://10.0.0.7:4317"}}, {"vllm_engine_destinations": ["10.0.0.0/24"]}, ""),
        ({"args": {"otlp-traces-endpoint": "http://10.0.0.7:4317"}}, {"vllm_engine_destinations": "any"}, ""),
        ({"args": {"otlp-traces-endpoint": "http://otel.lan:4317"}}, {"vllm_engine_destinations": ["10.0.0.7"]}, ""),
        ({"args": {"otlp-traces-endpoint": "http://localhost:4317"}}, {}, ""),
        ({"args": {"otlp-traces-endpoint": "http://[::1]:4317"}}, {}, ""),
        ({"env": {"https_proxy": "http://user@10.0.0.3:3128"}}, {}, "m.env.https_proxy: http://10.0.0.3 is not on h1"),
        ({"args": {"allowed-origins": ["https://app.example.org"]}}, {}, ""),
        ({"kind": "vision"}, {}, "vllm_models.m: images that clients give as a URL cannot be fetched on h1"),
        ({"kind": "vision"}, {"vllm_engine_destinations": []}, ""),
        ({"kind": "vision"}, {"vllm_engine_destinations": "any"}, ""),
    ],
)  # fmt: skip
def test_what_an_engine_could_not_connect_to_is_told(entry: dict[str, Any], host: dict[str, Any], told: str) -> None:
    found = [w for w in warnings(plan({"gpus": 1, **entry}, host)) if "connect to no other host" in w]
    assert any(told in w for w in found) if told else not found, found


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ("10.0.0.1", "vllm_engine_destinations: '10.0.0.1' is not a list"),
        ("all", "vllm_engine_destinations: 'all' is not a list"),
        (["otel.lan"], "vllm_engine_destinations: 'otel.lan' is no address"),
        (["10.0.0.1", "any"], "vllm_engine_destinations: 'any' stands in a list"),
        ([""], "vllm_engine_destinations: '' is no address"),
    ],
)
def test_destinations_that_no_firewall_could_take_are_refused(given: Any, told: str) -> None:
    problems = [str(p) for p in plan({"gpus": 1}, {"vllm_engine_destinations": given}).problems]
    assert any(told in p for p in problems), problems


@pytest.mark.parametrize(
    ("entry", "told"),
    [
        ({"args": {"profiler-config": {"profiler": "torch", "torch_profiler_dir": "/srv/traces"}}}, True),
        ({"args": {"profiler-config": {"profiler": "torch", "torch_profiler_dir": "/var/cache/vllm/traces"}}}, False),
        ({}, False),
    ],
)
def test_traces_that_could_not_be_written_are_told(entry: dict[str, Any], told: bool) -> None:
    found = [w for w in warnings(plan({"gpus": 1, **entry})) if "read-only to the engine" in w]
    assert bool(found) is told
    assert all("vllm_models.m.args.profiler-config.torch_profiler_dir: /srv/traces" in w for w in found)


@pytest.mark.parametrize(
    ("path", "directive"),
    [
        ("/home/ops/model", "ProtectHome=yes"),
        ("/root/model", "ProtectHome=yes"),
        ("/tmp/model", "PrivateTmp=yes"),
        ("/dev/shm/model", "TemporaryFileSystem=/dev/shm"),
        ("/srv/home/model", ""),
        ("/homes/model", ""),
    ],
)
def test_weights_that_a_unit_could_not_see_are_told(path: str, directive: str) -> None:
    adapters = {"one": {"model": path}}
    found = [w for w in warnings(plan({"gpus": 1, "model": path, "adapters": adapters})) if "is hidden from" in w]
    assert len(found) == (2 if directive else 0)
    assert all(directive in w for w in found)
    # What is pushed lies elsewhere on the host.
    pushed = plan_fleet(
        Inventory(
            menu=read_menu({"m": {"push_from": path, "kind": "chat"}}),
            hosts={"h1": CPU},
            match=lambda p: p.split(","),
            digests={path: "a" * 64},
            keyed=True,
        )
    )
    assert not [w for w in warnings(pushed) if "is hidden from" in w]


def test_binding_to_numa_nodes_brings_its_program() -> None:
    bound = plan({"args": {"numa-bind": True}, "gpus": 1})
    assert bound.problems == []
    assert bound.plan["hosts"]["h1"]["engine"]["packages"] == ["numactl"]
    assert "packages" not in plan({"gpus": 1}).plan["hosts"]["h1"]["engine"]


def test_ports_stay_open_for_as_long_as_an_engine_needs_them() -> None:
    open_ = {"args": {"kv-transfer-config": NIXL}, "gpus": 1, "port": 8100}
    outcome = plan(open_, other={**MODEL, "gpus": 1, "port": 8200})
    assert outcome.plan["hosts"]["h1"]["firewall"]["peers"] is True
    left = without(outcome.fleet, models=["m"]).document()["hosts"]["h1"]["firewall"]
    assert (left["ports"], left["peers"]) == ([8200], False)
    back = closed_to(left, [service(outcome)])
    assert back is not None
    assert (back["ports"], back["peers"]) == ([8100, 8200], True)
