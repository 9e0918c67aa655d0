"""What a host needs, which sizes batches have, who goes when, and what is refused: tables of cases."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.baremetal.vllm.plugins.plugin_utils.difference.look import read_look
from ansible_collections.baremetal.vllm.plugins.plugin_utils.fleet.look import Host, View, read_gateways, read_host
from ansible_collections.baremetal.vllm.plugins.plugin_utils.fleet.resume import Seen, need, units_seen
from ansible_collections.baremetal.vllm.plugins.plugin_utils.fleet.schedule import Asked, Schedule, schedule
from ansible_collections.baremetal.vllm.plugins.plugin_utils.fleet.sizes import SerialError, read_serial
from ansible_collections.baremetal.vllm.plugins.plugin_utils.planned.fleet import FleetPlan, HostPlan, read_plan
from simulated_fleet import LOOK as LOOKED

LOOK = {**LOOKED, "host": "h1"}


@pytest.mark.parametrize(
    ("seen", "action", "resumed"),
    [
        (Seen("planned", "proven"), "nothing", False),
        (Seen("planned", ""), "nothing", False),
        (Seen("planned", "proven", "rollout"), "undrain", True),
        (Seen("planned", "proven", "operator"), "leave", False),
        (Seen("planned", "active"), "prove", False),
        (Seen("planned", "pending", "rollout"), "prove", True),
        (Seen("planned", "active", "operator"), "prove", False),
        (Seen("planned", "", "rollout"), "prove", True),
        (Seen("planned", "failed", "rollout", previous=3), "take_back", True),
        (Seen("planned", "failed", "", previous=3), "take_back", True),
        (Seen("planned", "failed", "rollout"), "prove", True),
        (Seen("failed", "failed", "rollout", previous=3), "take_back", True),
        (Seen("failed", "failed"), "switch", False),
        (Seen("failed", "pending"), "switch", True),
        (Seen("failed", "proven"), "switch", False),
        (Seen("other", "proven"), "switch", False),
        (Seen("other", "active", "rollout"), "switch", True),
        (Seen("other", "failed", "", previous=3), "switch", False),
        (Seen("other", "proven", "operator"), "switch", False),
        (Seen("other", "proven", "rollout", reachable=False), "unreachable", False),
        (Seen("planned", "proven", differing=("firewall",)), "switch", False),
        (Seen("planned", "proven", "rollout", differing=("firewall",)), "switch", True),
        (Seen("planned", "proven", "operator", differing=("firewall",)), "switch", False),
        (Seen("planned", "active", differing=("firewall",)), "prove", False),
        (Seen("planned", "failed", "", previous=3, differing=("firewall",)), "take_back", True),
    ],
)
def test_what_a_host_needs(seen: Seen, action: str, resumed: bool) -> None:
    found = need(seen)
    assert (found.action, found.resumed) == (action, resumed)
    assert found.why


SETTLED: dict[str, Any] = {"steps": [], "warnings": [], "unknown": []}


@pytest.mark.parametrize(
    ("more", "differing"),
    [
        ({}, ()),
        ({"filesets": {"firewall": {**SETTLED, "steps": ["write /a"]}, "canary": SETTLED}}, ("firewall",)),
        ({"filesets": {"firewall": {**SETTLED, "unknown": ["nft gave no answer"]}}}, ()),
        ({"files": ["/usr/local/libexec/vllm-ready"], "weights_files": ["/w is closed"]}, ("weights", "units")),
        ({"engine": {"release": "0.33.0", "install": True, "why": "it is new", "remove": ["0.32.0"]}}, ("engine",)),
        # Clearing away is nothing to switch a host for, and neither is reading weights anew.
        ({"engine": {"release": "0.33.0", "remove": ["0.32.0"]}, "forced": ["weights"]}, ()),
    ],
)
def test_what_differs_beside_the_units(more: dict[str, Any], differing: tuple[str, ...]) -> None:
    assert read_host(HostPlan(), read_look("h1", {**LOOK, **more}), KEPT).differing == differing


def test_a_host_that_is_switched_for_its_firewall_alone_is_not_drained() -> None:
    work = decided(
        {"m": ["h1"]}, {"h1": Host(steps=(step("keep"),), current=2, outcome="proven", differing=("firewall",))}
    )
    assert (work.order, work.refusals) == (("h1",), ())
    assert (work.touched["h1"].models, work.touched["h1"].units) == ((), ())
    assert work.touched["h1"].why == "firewall: not as planned"


def step(verb: str, unit: str = "vllm-m.service", **more: Any) -> dict[str, Any]:
    return {"unit": unit, "verb": verb, "write": verb == "restart", "enable": False, **more}


@pytest.mark.parametrize(
    ("steps", "units"),
    [
        ([], "planned"),
        ([step("keep")], "planned"),
        ([step("keep", write=True)], "other"),
        ([step("start")], "failed"),
        ([step("wait"), step("keep")], "failed"),
        ([step("start", write=True)], "other"),
        ([step("start"), step("restart")], "other"),
        ([step("remove")], "other"),
    ],
)
def test_what_the_steps_say(steps: list[dict[str, Any]], units: str) -> None:
    assert units_seen(steps) == units


@pytest.mark.parametrize(
    ("value", "sizes"),
    [(1, [1]), ("3", [3]), ("25%", [2]), ("1%", [1]), ("100%", [10]), ([1, "25%", 5], [1, 2, 5])],
)
def test_sizes_of_batches(value: Any, sizes: list[int]) -> None:
    assert read_serial(value, 10) == sizes


@pytest.mark.parametrize("value", [0, -1, "0%", "101%", "half", [], [1, None], True, 1.5, {"a": 1}, "-2"])
def test_no_sizes(value: Any) -> None:
    with pytest.raises(SerialError, match="rollout_serial"):
        read_serial(value, 10)


# --- schedules --------------------------------------------------------------------------------------------------------


def plan(models: dict[str, list[str]], gateway: bool = True, port: int = 8000) -> FleetPlan:
    names = sorted({host for hosts in models.values() for host in hosts})
    hosts = {
        host: {
            "services": [
                {"name": m, "unit": f"vllm-{m}.service", "port": port} for m, at in models.items() if host in at
            ]
        }
        for host in names
    }
    routed = [{"name": m, "replicas": [{"host": host} for host in at]} for m, at in models.items()]
    return read_plan({"hosts": hosts, "gateway": {"hosts": ["gw"], "models": routed} if gateway else None})


def changing(*models: str, **more: Any) -> Host:
    steps = tuple(step("restart", f"vllm-{model}.service") for model in models)
    return Host(steps=steps, current=1, outcome="proven", **more)


def live(models: dict[str, list[str]], drained: dict[tuple[str, str], str] | None = None) -> View:
    held = drained or {}
    up = {m: frozenset(host for host in at if (m, host) not in held) for m, at in models.items()}
    return View(True, up, held, {key: f"somebody ({whose})" for key, whose in held.items()})


def decided(
    models: dict[str, list[str]], hosts: dict[str, Host], view: View | None = None, port: int = 8000, **asked: Any
) -> Schedule:
    return schedule(plan(models, port=port), hosts, view or live(models), Asked(**asked))


FOUR = ["h1", "h2", "h3", "h4"]
ALL = {name: changing("m") for name in FOUR}


def test_canary_then_batches_in_the_order_of_the_inventory() -> None:
    found = decided({"m": FOUR}, ALL, canary="h3", serial="50%")
    assert found.batches == [["h3"], ["h1", "h2"], ["h4"]]
    assert found.touched["h3"].canary
    assert not found.refusals
    assert found.touched["h1"].models == found.touched["h1"].undrain == ("m",)
    assert found.touched["h1"].units == ("vllm-m.service",)
    assert found.touched["h1"].back == 1


def test_a_batch_leaves_a_replica_of_every_model() -> None:
    found = decided({"m": FOUR}, ALL, serial="100%")
    assert found.batches == [["h1", "h2", "h3"], ["h4"]]
    models = {"m": ["h1", "h2"], "k": ["h3", "h4"]}
    hosts = {"h1": changing("m"), "h2": changing("m"), "h3": changing("k"), "h4": changing("k")}
    assert decided(models, hosts, serial=2).batches == [["h1", "h3"], ["h2", "h4"]]


def test_a_new_replica_comes_before_the_only_one_goes() -> None:
    hosts = {"h1": changing("m"), "h2": Host(steps=(step("start", write=True),))}
    found = decided({"m": ["h1", "h2"]}, hosts, live({"m": ["h1"]}))
    assert found.order == ("h2", "h1")
    assert not found.gaps


def test_what_a_dead_rollout_left_comes_first() -> None:
    hosts = {**ALL, "h4": Host(current=2, outcome="active", previous=1), "h2": changing("m", previous=0)}
    view = live({"m": FOUR}, {("m", "h4"): "rollout", ("m", "h2"): "operator"})
    found = decided({"m": FOUR}, hosts, view, canary="h1")
    assert found.order == ("h4", "h1", "h2", "h3")
    assert found.resumed == ("h4",)
    assert found.touched["h4"].action == "prove"
    assert (found.touched["h4"].undrain, found.touched["h4"].back) == (("m",), 1)
    assert found.touched["h2"].undrain == (), "an operator's drain stays"


def test_hosts_that_need_nothing_are_told() -> None:
    quiet = Host(steps=(step("keep"),), current=1, outcome="proven")
    hosts = {"h1": quiet, "h2": quiet, "h3": Host(reachable=False, trouble="no route"), "h4": changing("m")}
    found = decided({"m": FOUR}, hosts, live({"m": FOUR}, {("m", "h2"): "operator", ("m", "h9"): "rollout"}))
    assert found.order == ("h4",)
    assert found.lost == ("h3",)
    assert found.skipped == {
        "h1": "as planned",
        "h2": "as planned; drained by somebody (operator)",
        "h3": "no route",
        "h9": "outside --limit; left drained by somebody (rollout)",
    }


ONE = {"h1": changing("m")}
TWO = {"h1": changing("m"), "h2": changing("m")}
LOSING = Host(steps=(step("remove"),), current=2, outcome="proven", target=1)
PORTS = {name: changing("m", ports={"vllm-m.service": 8001}) for name in ("h1", "h2")}


@pytest.mark.parametrize(
    ("case", "says", "a_gap"),
    [
        (({"m": ["h1"]}, ONE), "vllm_models.m: h1 has its only replica. Plan a second one (hosts). Or accept", True),
        (
            ({"m": ["h1", "h2"]}, TWO, live({"m": ["h1"]})),
            None,
            False,
        ),
        (
            ({"m": ["h1", "h2"]}, {**ONE, "h2": Host(reachable=False, trouble="no route")}, live({"m": ["h1"]})),
            "h1 has its last live replica (h2 does not answer). Repair h2 first. Or accept",
            True,
        ),
        (
            ({"m": ["h1", "h2"]}, {**ONE, "h2": Host()}, live({"m": ["h1", "h2"]}, {("m", "h2"): "operator"})),
            "(h2 is drained by somebody (operator))",
            True,
        ),
        (({"m": ["h2"]}, {"h2": changing("m")}, live({"m": ["h1"]})), "moves to h2, where nothing serves it yet", True),
        # The way back to before the model was added.
        (
            ({"m": ["h1", "h2"]}, {"h1": LOSING, "h2": LOSING}),
            "h2 would be the last to lose it, and nobody would",
            True,
        ),
        (({"m": ["h1", "h2"]}, {"h1": LOSING, "h2": changing("m")}), None, False),
        (({"m": ["h1", "h2"]}, PORTS), "vllm_models.m.port: changes from 8001 to 8000", True),
    ],
)
def test_gaps_are_refused_unless_allowed(case: tuple[Any, ...], says: str | None, a_gap: bool) -> None:
    found = decided(*case)
    allowed = decided(*case, allow_gap=True)
    assert not allowed.refusals
    assert bool(allowed.gaps) == a_gap
    assert set(allowed.order) == {name for name, host in case[1].items() if host.steps}
    if says is None:
        assert not found.refusals
        return
    assert len(found.refusals) == 1
    assert says in found.refusals[0]
    assert "rollout_allow_gap: true" in found.refusals[0]


def test_every_reason_is_told_at_once() -> None:
    models = {"m": ["h1"], "k": ["h2"]}
    hosts = {"h1": changing("m"), "h2": Host(trouble="its module broke"), "h3": Host(refusals=("a file of another",))}
    view = View(True, {"m": frozenset({"h1"})}, {("k", "h2"): "rollout"}, {("k", "h2"): "us"}, {"gw": "no route"})
    found = decided(models, hosts, view, canary="h7", serial="many")
    told = "\n".join(found.refusals)
    for part in (
        "h2: its module broke. Repair it",
        "h3: a file of another",
        "gw: this gateway cannot be asked (no route)",
        "rollout_canary: 'h7' is no host of the plan. It has h1 and h2.",
        "rollout_serial: 'many' is no size",
        "vllm_models.m: h1 has its only replica",
        "h2: still drained by us",
    ):
        assert part in told
    assert len(found.refusals) == 7


@pytest.mark.parametrize(
    ("canary", "says"),
    [
        ("h2", "rollout_canary: h2 is outside --limit. Name one of h1 and h3."),
        ("h3", "rollout_canary: h3 does not answer (no route). Repair it, or name another canary: h1."),
        ("h1", "h1 is the canary and has its last live replica"),
    ],
)
def test_canaries_that_cannot_be(canary: str, says: str) -> None:
    hosts = {"h1": changing("m"), "h3": Host(reachable=False, trouble="no route")}
    models = {"m": ["h1", "h2", "h3"]}
    hosts |= {"h2": Host(steps=(step("start"),))} if canary == "h1" else {}
    models["m"] = ["h1", "h2"] if canary == "h1" else models["m"]
    found = schedule(plan({**models, "x": ["h3"]}), hosts, live({"m": ["h1"]}), Asked(canary))
    assert any(says in line for line in found.refusals), found.refusals


# --- what is seen -----------------------------------------------------------------------------------------------------


def server(admin: str = "ready", up: bool = True) -> dict[str, Any]:
    return {"admin": admin, "up": up, "sessions": 0}


def test_gateways_must_agree_and_records_tell_whose_a_drain_is() -> None:
    ours = {"who": "ann@desk", "why": "rollout of plan 12", "since": "x"}
    view = read_gateways(
        {
            "gw1": {
                "running": True,
                "servers": {"m": {"h1": server(), "h2": server(), "h3": server("drained"), "h4": server("maint")}},
                "drains": {"m/h3": ours},
            },
            "gw2": {"running": True, "servers": {"m": {"h1": server(), "h2": server(up=False)}}, "drains": {}},
            "gw3": {"running": False, "servers": {"m": {"h1": server(up=False)}}, "drains": {"m/h5": ours}},
            "gw4": {"unreachable": True, "msg": "no route"},
        }
    )
    assert view.live == {"m": frozenset({"h1"})}
    assert view.drained == {("m", "h3"): "rollout", ("m", "h4"): "operator", ("m", "h5"): "rollout"}
    assert view.told["m", "h3"] == "ann@desk (rollout of plan 12)"
    assert view.lost == {"gw4": "no route"}


KEPT = {
    "generations": [{"number": 1, "outcome": "proven"}, {"number": 2, "outcome": "active"}],
    "current": 2,
    "back": 1,
}


@pytest.mark.parametrize(
    ("state", "kept", "reachable", "trouble"),
    [
        (LOOK, KEPT, True, ""),
        ({"status": "unreachable", "why": "no route"}, KEPT, False, "no route"),
        (LOOK, {"unreachable": True, "msg": "gone"}, False, "gone"),
        (None, None, True, "it was not asked"),
        ({**LOOK, "schema": 0}, KEPT, True, "its look has the form 0, and this collection reads 1: look again"),
        ({"status": "failed", "why": "no python"}, KEPT, True, "no python"),
        (LOOK, {"failed": True, "msg": "broken"}, True, "broken"),
    ],
)
def test_hosts_that_can_be_read(state: Any, kept: Any, reachable: bool, trouble: str) -> None:
    found = read_host(HostPlan(), read_look("h1", state), kept)
    assert (found.reachable, found.trouble) == (reachable, trouble)
    if not trouble:
        assert (found.current, found.outcome, found.previous) == (2, "active", 1)


def test_engines_do_not_change_their_key_one_after_the_other_behind_gateways_that_know_one() -> None:
    secret = {"what": "secrets", "name": "secrets"}
    hosts = {
        name: Host(steps=(step("restart", causes=[secret]),), current=2, outcome="proven") for name in ("h1", "h2")
    }
    refused = decided({"m": ["h1", "h2"]}, hosts).refusals
    assert any(
        text.startswith("vllm_api_key or vllm_secret_env: differs from what engines on h1 and h2") for text in refused
    )
    assert decided({"m": ["h1", "h2"]}, hosts, allow_gap=True).refusals == ()


def test_the_first_host_that_is_switched_is_watched_although_proofs_come_before_it() -> None:
    proved = Host(current=1, outcome="active")
    found = decided({"m": ["h1", "h2", "h3"]}, {"h1": changing("m"), "h2": proved, "h3": changing("m")}, serial=1)
    assert found.batches == [["h2"], ["h1"], ["h3"]]
    assert found.first == ["h2", "h1"]


def test_nobody_waits_for_a_replica_that_leaves() -> None:
    """On the way back from a plan that brought it: it is planned still, and its unit goes."""
    steps = (step("restart", "vllm-a.service"), step("remove", "vllm-b.service"))
    there = {"vllm-a.service": 8000}
    back = Host(steps=steps, ports=there, current=2, outcome="proven", target=1, aim="generation 1")
    others = Host(ports={**there, "vllm-b.service": 8001}, current=2, outcome="proven", target=2, aim="generation 2")
    planned = {"a": ["h1", "h2"], "b": ["h1", "h2"]}
    turn = decided(planned, {"h1": back, "h2": others}, allow_gap=True).touched["h1"]
    assert (set(turn.undrain), turn.gone) == ({"a", "b"}, ("b",))
    # Cut off and begun again: it has gone already.
    again = Host(ports=there, current=3, outcome="active", target=3, aim="generation 3")
    turn = decided(planned, {"h1": again, "h2": others}, allow_gap=True).touched["h1"]
    assert (turn.action, turn.gone) == ("prove", ("b",))
