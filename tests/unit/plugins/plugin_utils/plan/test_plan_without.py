"""A plan without what leaves is the plan that would have been made without it."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.baremetal.vllm.plugins.plugin_utils.plan.fleet import Inventory, Outcome, plan_fleet
from ansible_collections.baremetal.vllm.plugins.plugin_utils.plan.leaving import (
    farewell,
    hindrances,
    leave,
    served_by,
    unread,
)
from ansible_collections.baremetal.vllm.plugins.plugin_utils.plan.menu import read_menu
from ansible_collections.baremetal.vllm.plugins.plugin_utils.plan.without import without
from ansible_collections.baremetal.vllm.plugins.plugin_utils.planned.fleet import FleetPlan, digest
from hypothesis import given, settings
from hypothesis import strategies as st

CPU = {"vllm_accelerator": "cpu", "vllm_version": "0.32.0"}
# Each with a port of its own: where ports are derived, a neighbour that leaves may change nobody's.
MENU: dict[str, dict[str, Any]] = {
    "chat": {
        "model": "/srv/chat", "kind": "chat", "port": 8100, "adapters": {"polite": {"model": "/srv/polite"}}, "hosts": "h1,h2",
    },
    "embed": {"model": "/srv/embed", "kind": "embedding", "port": 8200, "hosts": "h2,h3"},
    "rank": {"model": "/srv/rank", "kind": "rerank", "port": 8300, "hosts": "h3"},
}  # fmt: skip
HOSTS = ("h1", "h2", "h3")


def planned(models: dict[str, Any], gateways: bool = True) -> Outcome:
    outcome = plan_fleet(
        Inventory(
            menu=read_menu(models),
            hosts={name: {**CPU, "ansible_host": name} for name in HOSTS},
            match=lambda pattern: pattern.split(","),
            gateways={"gw": {"ansible_host": "10.0.0.9", "gateway_keys": {"alice": "sk-alice-0123456789"}}}
            if gateways
            else {},
            keyed=True,
        )
    )
    assert not outcome.problems
    return outcome


def plan(models: dict[str, Any]) -> FleetPlan:
    return planned(models).fleet


@settings(max_examples=40, deadline=None)
@given(st.sets(st.sampled_from(sorted(MENU))), st.sets(st.sampled_from(HOSTS)), st.booleans())
def test_what_leaves_is_gone_and_nothing_else_changes(models: set[str], hosts: set[str], gateways: bool) -> None:
    left = {}
    for name, entry in MENU.items():
        there = [host for host in entry["hosts"].split(",") if host not in hosts]
        if name not in models and there:
            left[name] = {**entry, "hosts": ",".join(there)}
    after, wanted = without(planned(MENU, gateways).fleet, models, hosts), planned(left, gateways)
    assert after == wanted.fleet
    assert digest(after.document()) == wanted.digest


@pytest.mark.parametrize(
    ("models", "hosts", "refused"),
    [
        ([], ["h1"], []),
        ([], ["h2"], []),
        ([], ["h3"], ["rank would be left without a replica: h3 "]),
        ([], ["h1", "h2"], ["chat would be left without a replica: h1, h2 "]),
        # A model that is named leaves on purpose.
        (["rank"], ["h3"], []),
        (["rank"], [], []),
        ([], [], ["nobody is named to leave"]),
        (
            ["chatt"],
            ["h9"],
            ["no model 'chatt' is planned; planned are chat, embed, rank", "no host 'h9' is in the plan"],
        ),
    ],
)
def test_nobody_leaves_who_is_not_there_or_is_the_last(models: list[str], hosts: list[str], refused: list[str]) -> None:
    told = leave(plan(MENU), models, hosts, allow_gap=False, allowed={}).refusals
    assert len(told) == len(refused)
    assert all(line.startswith(start) for line, start in zip(told, refused, strict=True))
    allowed = leave(plan(MENU), models, hosts, allow_gap=True, allowed={}).refusals
    assert [line for line in allowed if "replica" in line] == []


@pytest.mark.parametrize(("named", "refused"), [("chat", True), ("polite", True), ("embed", False)])
def test_what_a_clients_key_is_limited_to_does_not_leave_before_it_is_taken_out_there(
    named: str, refused: bool
) -> None:
    told = leave(plan(MENU), ["chat"], [], allow_gap=False, allowed={"team": [named]}).refusals
    expected = f"gateway_keys.team.models names {named}, which leaves: take it out there first"
    assert told == ((expected,) if refused else ())


def test_who_leaves_is_told_to_gateways_and_hosts() -> None:
    decided = leave(plan(MENU), ["rank"], ["h2"], allow_gap=False, allowed={})
    assert decided.hosts == ("h2", "h3")
    assert [(s["model"], s["host"]) for s in decided.servers] == [("chat", "h2"), ("embed", "h2"), ("rank", "h3")]
    assert decided.plan.hosts["h2"].services == ()
    # A host that serves nothing may leave too.
    idle = leave(without(plan(MENU), (), ["h1"]), [], ["h1"], allow_gap=False, allowed={})
    assert (idle.refusals, idle.hosts, idle.servers) == ((), ("h1",), ())
    # Without a gateway there is nobody to tell.
    assert leave(planned(MENU, gateways=False).fleet, [], ["h2"], allow_gap=False, allowed={}).servers == ()


def test_the_operator_is_told_what_to_delete() -> None:
    lines = farewell(plan(MENU), ["rank"], ["h3"]).splitlines()[1:]
    assert lines == [
        "  delete vllm_models.rank",
        "  delete h3 from the inventory's groups, and from the `hosts` of embed where they name it",
    ]


READ = {
    "status": "read",
    "steps": [{"unit": "vllm-m.service", "verb": "keep"}, {"unit": "vllm-x.service", "verb": "remove"}],
}
LATE = {"status": "read", "steps": [{"unit": "vllm-m.service", "verb": "restart"}]}
LOST = {"status": "unreachable", "why": "no route"}


@pytest.mark.parametrize(
    ("states", "leaving", "told"),
    [
        ({"h1": READ, "h2": READ}, [], []),
        ({"h1": READ, "h2": LATE}, [], ["h2: vllm-m.service would be restarted"]),
        ({"h1": READ, "h2": LOST}, [], ["h2 is unreachable (no route)"]),
        ({"h1": READ, "h2": LOST}, ["h2"], []),
        ({"h1": READ}, [], ["h2 is unknown (it was not asked)"]),
    ],
)
def test_nothing_leaves_a_host_that_would_restart_what_stays(states: Any, leaving: list[str], told: list[str]) -> None:
    lines = hindrances(["h1", "h2"], states, leaving)
    assert len(lines) == len(told)
    assert all(line.startswith(start) for line, start in zip(lines, told, strict=True))


def test_a_gateway_that_cannot_be_read_hinders_and_one_that_has_forgotten_does_not() -> None:
    view = {"item": "gw", "servers": {"m": {"h1": {}}}}
    assert unread([view]) == []
    assert unread([{"item": "gw", "unreachable": True, "msg": "no route"}])[0].startswith(
        "gateway gw cannot be read (no route)"
    )
    servers = [{"model": "m", "host": "h1"}, {"model": "m", "host": "h2"}, {"model": "n", "host": "h1"}]
    assert served_by(servers, view) == servers[:1]
