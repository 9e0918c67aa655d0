"""What the operator reads of a schedule before anything is touched, and what a play without the gateways is refused for."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from ansible_collections.baremetal.vllm.plugins.filter.rollout import closed_to
from ansible_collections.baremetal.vllm.plugins.plugin_utils.fleet.look import Host, View, going_back, read_gateways
from ansible_collections.baremetal.vllm.plugins.plugin_utils.fleet.render import document
from ansible_collections.baremetal.vllm.plugins.plugin_utils.fleet.rollback import meaning
from ansible_collections.baremetal.vllm.plugins.plugin_utils.fleet.schedule import Asked, Schedule, schedule
from ansible_collections.baremetal.vllm.plugins.plugin_utils.planned.fleet import read_plan


def step(unit: str, verb: str, why: str) -> dict[str, Any]:
    return {"unit": f"vllm-{unit}.service", "verb": verb, "write": True, "enable": False, "why": why}


def generation(number: int, plan: str, digest: str) -> dict[str, Any]:
    units = {"vllm-m.service": {"digest": digest, "service": {"port": 8001}}}
    return {"number": number, "outcome": "proven", "plan": plan, "releases": ["0.32.0"], "units": units}


KEPT = {
    "generations": [generation(6, "aaaa1111ffff", "1"), generation(7, "bbbb2222ffff", "2")],
    "current": 7,
    "back": 6,
}
BASE = Host(current=7, outcome="proven", previous=6)
SERVICES = [{"name": "m", "unit": "vllm-m.service", "port": 8001}]
PLAN: dict[str, Any] = {
    "hosts": {"h1": {"services": SERVICES}, "h2": {"services": SERVICES}},
    "gateway": {"hosts": ["gw"], "models": [{"name": "m", "replicas": [{"host": "h1"}, {"host": "h2"}]}]},
}
QUIET = replace(BASE)


def seen_by_gateway(**more: frozenset[tuple[str, str]]) -> View:
    return View(True, {"m": frozenset({"h1", "h2"})}, routed=more.get("routed", frozenset({("m", "h1"), ("m", "h2")})))


def decided(host: Host, view: View | None = None, **asked: Any) -> Schedule:
    return schedule(read_plan(PLAN), {"h1": host, "h2": QUIET}, view or seen_by_gateway(), Asked(**asked))


@pytest.mark.parametrize(
    ("steps", "why"),
    [
        ([step("m", "restart", "release 0.32.0 → 0.33.0")], "release 0.32.0 → 0.33.0"),
        ([step("m", "restart", "r"), step("n", "restart", "r")], "r"),
        ([step("m", "restart", "r"), step("n", "start", "new")], "m: r; n: new"),
        ([step("n", "remove", "no longer planned")], "n: no longer planned"),
        ([step("m", "restart", "x" * 200)], f"{'x' * 39}…{'x' * 39}"),
    ],
)
def test_a_host_is_listed_with_what_changes_there(steps: list[dict[str, Any]], why: str) -> None:
    assert decided(replace(BASE, steps=tuple(steps))).touched["h1"].why == why


def test_a_host_that_goes_back_is_listed_with_where_it_goes() -> None:
    back = going_back(BASE, KEPT, meaning("previous", [KEPT]))
    assert decided(back).touched["h1"].why == "back to generation 6 of plan aaaa1111 (vLLM 0.32.0)"
    assert (
        decided(going_back(BASE, KEPT, meaning("7", [KEPT]))).skipped["h1"]
        == "runs generation 7 of plan bbbb2222 (vLLM 0.32.0) already"
    )
    assert decided(going_back(BASE, KEPT, meaning("9", [KEPT]))).skipped["h1"] == "refused, as told below"


@pytest.mark.parametrize(
    ("routed", "told"),
    [
        ({("m", "h2")}, "h1: the gateways do not route m to it yet, and --limit leaves them out."),
        ({("m", "h1"), ("m", "h2"), ("old", "h1")}, "h1: the gateways still route old to it, and --limit leaves"),
        ({("m", "h1")}, ""),
    ],
)
def test_a_play_without_the_gateways_moves_no_model(routed: set[tuple[str, str]], told: str) -> None:
    host = replace(BASE, steps=(step("m", "restart", "r"),))
    refusals = decided(host, seen_by_gateway(routed=frozenset(routed)), limited=True).refusals
    assert any(told in text for text in refusals) if told else refusals == ()
    assert decided(host, seen_by_gateway(routed=frozenset(routed))).refusals == ()


def test_a_replica_is_routed_where_every_gateway_knows_it() -> None:
    up = {"up": True, "admin": "ready"}
    answers = {
        "gw1": {"running": True, "servers": {"m": {"h1": up, "h2": up}}},
        "gw2": {"running": True, "servers": {"m": {"h1": up}}},
    }
    assert read_gateways(answers).routed == {("m", "h1")}


def test_ports_that_nobody_plans_any_more_are_closed_with_the_planned_ones() -> None:
    rules = {"ports": [8001], "sources": ["10.0.0.5"]}
    assert closed_to(rules, [{"port": 8003}, {"port": 8001}]) == {
        "ports": [8001, 8003],
        "sources": ["10.0.0.5"],
        "peers": False,
    }
    assert closed_to(None, [{"port": 8003}]) is None


def test_a_host_that_is_lost_does_not_make_the_decision_a_failure_of_ansible() -> None:
    """Ansible takes a result with a true `unreachable`, `failed` or `skipped` for that of a task that was."""
    lost = decided(replace(BASE, steps=(step("m", "restart", "r"),)))
    told = document(replace(lost, lost=("h9",), skipped={"h9": "no route"}))
    assert told["lost"] == ["h9"]
    assert not {"unreachable", "failed", "skipped"} & set(told)
