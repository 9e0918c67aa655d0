"""What is given from host to host: tables of what is and what is not, and what holds for whole fleets that are drawn."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from ansible_collections.baremetal.vllm.plugins.plugin_utils.fanout.parts import Where, bounds, parts
from ansible_collections.baremetal.vllm.plugins.plugin_utils.fanout.schedule import AFTER, BEFORE
from ansible_collections.baremetal.vllm.plugins.plugin_utils.fanout.shared import (
    GIVERS,
    KINDS,
    Content,
    shared_contents,
    waves,
)
from ansible_collections.baremetal.vllm.plugins.plugin_utils.planned.fleet import Engine, FleetPlan, HostPlan, Weights
from hypothesis import given
from hypothesis import strategies as st

HUB = Weights("hub", repo="org/m", revision="c0ffee" + "0" * 34, path="/w/hub/models--org--m/c0ffee")
PUSHED = Weights("pushed", pushed_from="/srv/own", path="/w/pushed/own/beef", digest="beef" * 16)
OWN = Weights("host", path="/w/own")
ENGINE = Engine("0.33.0", "cuda", "/opt/vllm/0.33.0")
GB = 10**9


def seen(state: str, item: Weights = HUB) -> dict[str, Any]:
    return {"path": item.path, "state": state, "detail": "", "size": GB if state == "present" else 0}


def contents(states: str, item: Weights = HUB, racks: Mapping[str, str] | None = None) -> tuple[Content, ...]:
    """`a:present b:absent`: what is shared among these hosts, of which each has one item of weights."""
    found = dict(each.split(":") for each in states.split())
    plan = FleetPlan({host: HostPlan(weights=(item,)) for host in found})
    looks = {host: {"engine": {}, "weights": [seen(state, item)]} for host, state in found.items() if state != "unread"}
    return shared_contents(plan, looks, racks or {})


@pytest.mark.parametrize(
    ("states", "item", "sources", "seed", "receivers"),
    [
        ("a:absent b:absent c:absent", HUB, "", "a", "b c"),
        ("a:absent b:absent", PUSHED, "", "a", "b"),
        # Who joins a fleet takes all from those that have it, from some of them.
        ("a:present b:present c:present d:absent", HUB, "a b", "", "d"),
        ("a:absent b:present", HUB, "b", "", "a"),
        # What is damaged is brought by its host itself, and given by nobody.
        ("a:damaged b:absent c:absent", HUB, "", "b", "c"),
    ],
)
def test_who_gives_and_who_takes(states: str, item: Weights, sources: str, seed: str, receivers: str) -> None:
    (found,) = contents(states, item)
    assert (" ".join(found.sources), found.seed, " ".join(found.receivers)) == (sources, seed, receivers)
    assert found.path == item.path
    assert found.size == (GB if sources else 0)


@pytest.mark.parametrize(
    ("states", "item"),
    [
        ("a:absent", HUB),
        ("a:present b:present", HUB),
        ("a:absent b:damaged c:unmanaged d:refused e:unknown", HUB),
        ("a:absent b:unread", HUB),
        # The operator's own.
        ("a:absent b:present c:absent", OWN),
        ("", HUB),
    ],
)
def test_where_nothing_is_to_be_shared(states: str, item: Weights) -> None:
    assert contents(states, item) == ()


def test_racks_stay_together_and_the_giver_is_in_ones_own() -> None:
    racks = {"a": "1", "b": "2", "c": "1", "d": "2", "e": "2", "f": "3"}
    (found,) = contents("a:absent b:present c:absent d:present e:present f:present", racks=racks)
    # Nobody of rack 1 has it: the first that have it give it there; the third in one rack is spared.
    assert (found.sources, found.receivers) == (("b", "d"), ("a", "c"))
    (found,) = contents("a:absent b:absent c:present d:present e:absent f:present", racks=racks)
    assert (found.sources, found.receivers) == (("c", "d"), ("a", "b", "e"))


@pytest.mark.parametrize(
    ("images", "given"),
    [
        ({"a": None, "b": None}, ""),
        ({"a": False, "b": None}, ""),
        ({"a": False, "b": False}, "a gives b"),
        ({"a": False, "b": True, "c": None}, "b gives a"),
    ],
    ids=["packages", "one", "two", "held"],
)
def test_images_go_by_their_digest(images: Mapping[str, bool | None], given: str) -> None:
    plan = FleetPlan({host: HostPlan(engine=ENGINE, weights=(HUB,)) for host in images})
    looks = {
        host: {
            "engine": {"image": None if held is None else {"digest": "d" * 64, "size": GB, "held": held}},
            "weights": [seen("present")],
        }
        for host, held in images.items()
    }
    found = shared_contents(plan, looks, {})
    assert [f"{each.givers[0]} gives {each.receivers[0]}" for each in found] == ([given] if given else [])
    assert all(each.path == f"/var/lib/vllm/images/{'d' * 64}/engine.squashfs" for each in found)
    assert all(each.name == f"image {'d' * 12} of vLLM 0.33.0" for each in found)


ITEMS = (HUB, PUSHED, OWN)
STATES = ("present", "absent", "damaged", "unmanaged")


@st.composite
def fleets(draw: st.DrawFn) -> tuple[FleetPlan, dict[str, dict[str, Any]], dict[str, str]]:
    """A plan, what was found of it, and racks."""
    hosts, looks, racks = {}, {}, {}
    for number in range(draw(st.integers(0, 24))):
        host = f"h{number}"
        items = draw(st.lists(st.sampled_from(ITEMS), unique=True))
        hosts[host] = HostPlan(engine=ENGINE, weights=tuple(items))
        racks[host] = draw(st.sampled_from(["", "1", "2", "3"]))
        if draw(st.integers(0, 5)):
            held = draw(st.sampled_from([None, False, True]))
            image = None if held is None else {"digest": "d" * 64, "size": GB, "held": held}
            looks[host] = {
                "engine": {"image": image},
                "weights": [seen(draw(st.sampled_from(STATES)), item) for item in items],
            }
    return FleetPlan(hosts), looks, racks


@given(fleets())
def test_each_content_comes_from_outside_once_and_reaches_everybody(
    drawn: tuple[FleetPlan, dict[str, dict[str, Any]], dict[str, str]],
) -> None:
    plan, looks, racks = drawn
    found = shared_contents(plan, looks, racks)
    assert [each.kind for each in found] == sorted((each.kind for each in found), key=KINDS.index)
    states: dict[str, dict[str, str]] = {}
    for host, look in looks.items():
        for item, each in zip(plan.hosts[host].weights, look["weights"]):
            if item is not OWN:
                states.setdefault(item.path, {})[host] = each["state"]
    for content in found:
        assert content.receivers
        # One host brings it where none has it, and only then.
        assert bool(content.seed) != bool(content.sources)
        assert len(set(content.members)) == len(content.members)
        order = [racks[host] for host in content.receivers]
        assert order == sorted(order, key=order.index)
        assert all(
            sum(racks[giver] == rack for giver in content.sources) <= GIVERS
            for rack in {racks[giver] for giver in content.sources} & set(order)
        )
        if content.path in states:
            having = {host for host, state in states[content.path].items() if state == "present"}
            lacking = {host for host, state in states[content.path].items() if state == "absent"}
            assert set(content.sources) <= having
            assert set(content.receivers) | ({content.seed} - {""}) == lacking
    # What is left out has one host that needs it and lacks it, or none.
    for path, of_hosts in states.items():
        if path not in {content.path for content in found}:
            known = [state for state in of_hosts.values() if state in ("present", "absent")]
            assert "absent" not in known or len(known) < 2


@given(fleets())
def test_a_host_does_one_thing_at_a_time(drawn: tuple[FleetPlan, dict[str, dict[str, Any]], dict[str, str]]) -> None:
    found = shared_contents(*drawn)
    made = waves(found)
    assert sorted((each for wave in made for each in wave), key=found.index) == list(found)
    for wave in made:
        busy = [host for content in wave for host in content.members]
        assert len(busy) == len(set(busy))


@given(fleets())
def test_whoever_may_be_asked_lets_the_one_that_asks_in_and_chunks_reach_all(
    drawn: tuple[FleetPlan, dict[str, dict[str, Any]], dict[str, str]],
) -> None:
    racks = drawn[2]
    for content in shared_contents(*drawn):
        at = {
            host: Where(f"10.0.0.{number}", 7000 + number, racks[host]) for number, host in enumerate(content.members)
        }
        made = parts(content, at)
        assert set(made) == set(content.members)
        has = set(content.givers)
        for host, part in made.items():
            assert bool(part.neighbours) == (host in content.receivers)
            assert len(part.neighbours) <= BEFORE + AFTER
            assert all((each.address, each.port) == at[each.name][:2] for each in part.neighbours)
            assert all(at[host].address in made[each.name].peers for each in part.neighbours)
        while len(has) < len(made):
            more = {host for host, part in made.items() if {each.name for each in part.neighbours} & has} - has
            assert more, "nobody who has it is asked by anybody who lacks it"
            has |= more


def test_an_ipv6_host_listens_there() -> None:
    (content,) = contents("a:present b:absent")
    made = parts(content, {"a": Where("fd00::1"), "b": Where("10.0.0.2")})
    assert (made["a"].listen, made["b"].listen) == ("::", "0.0.0.0")


def test_time_to_start_all_of_a_large_fleet_is_given() -> None:
    small, large = bounds(2), bounds(1000)
    assert all(large[key] > small[key] > 60 for key in small)
