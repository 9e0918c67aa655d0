"""What the plan says of the fleet's gateways, and what it refuses."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.baremetal.vllm.plugins.plugin_utils.plan.fleet import Inventory, Outcome, plan_fleet
from ansible_collections.baremetal.vllm.plugins.plugin_utils.plan.gateway import url
from ansible_collections.baremetal.vllm.plugins.plugin_utils.plan.menu import read_menu

CPU = {"vllm_accelerator": "cpu", "vllm_version": "0.32.0"}
MODEL = {"model": "/srv/model", "kind": "chat"}
GATEWAY = {"ansible_host": "10.0.0.9", "gateway_keys": {"alice": "sk-alice-0123456789"}}


def plan(models: Any, hosts: Any, gateways: Any, **more: Any) -> Outcome:
    given = {"keyed": True, **more}
    return plan_fleet(
        Inventory(menu=read_menu(models), hosts=hosts, match=lambda p: p.split(","), gateways=gateways, **given)
    )


def test_without_a_gateway_nothing_is_routed_and_endpoints_are_open_to_everybody() -> None:
    outcome = plan({"m": {**MODEL, "port": 8100, "hosts": "h1"}}, {"h1": CPU, "idle": CPU}, {})
    assert outcome.plan["gateway"] is None
    firewall = outcome.plan["hosts"]["h1"]["firewall"]
    assert (firewall["ports"], firewall["sources"]) == ([8100], None)
    assert outcome.plan["hosts"]["idle"]["firewall"] is None


def test_sources_that_are_written_count_without_a_gateway_too() -> None:
    hosts = {"h1": {**CPU, "vllm_endpoint_sources": ["10.1.0.0/16"]}}
    assert plan({"m": MODEL}, hosts, {}).plan["hosts"]["h1"]["firewall"]["sources"] == ["10.1.0.0/16"]
    hosts = {"h1": {**CPU, "vllm_endpoint_sources": ["a.lan"]}}
    assert any("vllm_endpoint_sources: 'a.lan' is no" in str(p) for p in plan({"m": MODEL}, hosts, {}).problems)


def test_every_name_of_a_model_leads_to_all_its_replicas() -> None:
    models = {
        "m": {**MODEL, "aliases": ["other"], "adapters": {"polite": {"model": "/srv/lora"}}, "port": 8100},
        "e": {**MODEL, "kind": "embedding", "hosts": "h2", "port": 8200},
    }
    hosts = {"h1": {**CPU, "ansible_host": "10.0.0.1"}, "h2": {**CPU, "vllm_endpoint_address": "192.168.0.2"}}
    outcome = plan(models, hosts, {"gw": GATEWAY})
    assert outcome.problems == []
    gateway = outcome.plan["gateway"]
    assert (gateway["hosts"], gateway["addresses"]) == (["gw"], ["10.0.0.9"])
    assert gateway["models"] == [
        {
            "name": "m",
            "kind": "chat",
            "names": ["m", "other", "polite"],
            "adapters": ["polite"],
            "replicas": [
                {"host": "h1", "address": "10.0.0.1", "port": 8100, "unit": "vllm-m.service"},
                {"host": "h2", "address": "192.168.0.2", "port": 8100, "unit": "vllm-m.service"},
            ],
        },
        {
            "name": "e",
            "kind": "embedding",
            "names": ["e"],
            "adapters": [],
            "replicas": [{"host": "h2", "address": "192.168.0.2", "port": 8200, "unit": "vllm-e.service"}],
        },
    ]


def test_a_gateway_that_is_taken_off_its_host_is_none_of_the_fleets() -> None:
    gone = {**GATEWAY, "ansible_host": "10.0.0.8", "gateway_state": "absent"}
    outcome = plan({"m": MODEL}, {"h1": CPU}, {"old": gone, "gw": GATEWAY})
    assert outcome.problems == []
    assert outcome.plan["gateway"]["hosts"] == ["gw"]
    assert outcome.plan["hosts"]["h1"]["firewall"]["sources"] == ["10.0.0.9"]
    assert plan({"m": MODEL}, {"h1": CPU}, {"old": gone}).plan["gateway"] is None


def test_only_the_gateways_and_what_the_operator_adds_may_reach_the_engines() -> None:
    hosts = {"h1": {**CPU, "vllm_endpoint_sources": ["10.1.0.0/16", "10.0.0.9"]}, "idle": CPU}
    outcome = plan({"m": {**MODEL, "hosts": "h1", "port": 8100}}, hosts, {"gw": GATEWAY})
    firewall = outcome.plan["hosts"]["h1"]["firewall"]
    assert (firewall["ports"], firewall["sources"]) == ([8100], ["10.0.0.9", "10.1.0.0/16"])
    assert outcome.plan["hosts"]["idle"]["firewall"] is None


def test_no_secret_of_a_gateway_enters_the_plan() -> None:
    outcome = plan({"m": MODEL}, {"h1": CPU}, {"gw": GATEWAY})
    assert "sk-alice" not in repr(outcome.plan)


@pytest.mark.parametrize(
    ("more", "hosts", "gateways", "told"),
    [
        ({"keyed": False}, {"h1": CPU}, {"gw": GATEWAY}, "vllm_api_key: is not set, and the engines behind a gateway"),
        ({}, {"h1": {**CPU, "vllm_address": "127.0.0.1"}}, {"gw": GATEWAY}, "h1.vllm_address: 127.0.0.1 is loopback"),
        (
            {},
            {"h1": CPU},
            {"h1": {**GATEWAY, "gateway_port": 8100}},
            "vllm_models.m.port: 8100 is also the port of the",
        ),
        (
            {},
            {"h1": CPU},
            {"gw": {**GATEWAY, "gateway_floating_address": "10.0.0.100/24"}},
            "needs two gateways or more",
        ),
        (
            {},
            {"h1": CPU},
            {"gw": {**GATEWAY, "gateway_keys": {"a": {"key": "sk-alice-0123456789", "models": ["n"]}}}},
            "gateway_keys.a.models: 'n' is not a model of the fleet",
        ),
        ({}, {"h1": CPU}, {"gw.lan": {"gateway_open": True}}, "'gw.lan' is no address that the engine hosts'"),
        (
            {},
            {"h1": {**CPU, "vllm_endpoint_sources": ["a.lan"]}},
            {"gw": GATEWAY},
            "vllm_endpoint_sources: 'a.lan' is no",
        ),
        (
            {},
            {"h1": CPU},
            {"a": GATEWAY, "b": {**GATEWAY, "gateway_port": 9999}},
            "gateway_port: differs from that of a",
        ),
    ],
)
def test_what_no_gateway_could_serve_is_refused(more: Any, hosts: Any, gateways: Any, told: str) -> None:
    problems = [str(problem) for problem in plan({"m": {**MODEL, "port": 8100}}, hosts, gateways, **more).problems]
    assert any(told in problem for problem in problems), problems


def test_engines_on_the_gateway_itself_may_listen_on_loopback() -> None:
    outcome = plan({"m": MODEL}, {"h1": {**CPU, "vllm_address": "127.0.0.1"}}, {"h1": GATEWAY})
    assert outcome.problems == []


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ({}, "http://10.0.0.5"),
        ({"gateway_port": 8080}, "http://10.0.0.5:8080"),
        ({"gateway_name": "llm.example.org"}, "http://llm.example.org"),
        ({"gateway_name": "llm.example.org", "gateway_tls_path": "/k.pem"}, "https://llm.example.org"),
        ({"gateway_tls_path": "/k.pem", "gateway_port": 8443}, "https://10.0.0.5:8443"),
    ],
)
def test_clients_are_told_where_the_fleet_is(more: dict[str, Any], expected: str) -> None:
    gateways = {"gw": {**GATEWAY, "vllm_endpoint_address": "10.0.0.5", **more}}
    found = plan({"m": MODEL}, {"h1": CPU}, gateways)
    assert found.fleet.gateway is not None
    assert url(found.fleet.gateway) == expected
