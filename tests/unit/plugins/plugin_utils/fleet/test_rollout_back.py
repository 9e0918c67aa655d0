"""Which generation a rollback means, and what going there changes."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.baremetal.vllm.plugins.plugin_utils.fleet.rollback import (
    NoWayBackError,
    meaning,
    mistake,
    steps,
    target,
    told,
)


def generation(number: int, outcome: str, plan: str, **digests: str) -> dict[str, Any]:
    units = {f"vllm-{name}.service": {"digest": digest} for name, digest in digests.items()}
    return {"number": number, "outcome": outcome, "plan": plan, "units": units}


KEPT = {
    "generations": [
        generation(3, "proven", "aaaa1111", m="1", e="1"),
        generation(4, "failed", "bbbb2222", m="2"),
        generation(5, "proven", "cccc3333", m="3", n="1"),
    ],
    "current": 5,
    "back": 3,
}


@pytest.mark.parametrize(("to", "number"), [("previous", 3), ("3", 3), ("5", 5), ("aaaa", 3), ("cccc3333", 5)])
def test_a_generation_is_named_by_its_place_its_number_or_its_plan(to: str, number: int) -> None:
    assert mistake(to) == ""
    assert target(KEPT, meaning(to, [KEPT])) == number


@pytest.mark.parametrize(
    ("to", "why"),
    [
        ("7", "keeps no generation 7 (it keeps 3 of plan aaaa1111, proven; 4 of plan bbbb2222, failed; 5 of"),
        ("dddd", "keeps no generation dddd"),
        ("4", "its generation 4 never served"),
        ("bbbb", "its generation 4 never served"),
    ],
)
def test_what_cannot_be_gone_back_to_is_refused_with_what_can(to: str, why: str) -> None:
    with pytest.raises(NoWayBackError) as refused:
        target(KEPT, meaning(to, [KEPT]))
    assert why in str(refused.value)


def test_a_host_with_one_generation_has_no_previous_one() -> None:
    alone = {**KEPT, "generations": KEPT["generations"][-1:]}
    with pytest.raises(NoWayBackError, match="no earlier generation"):
        target(alone, meaning("previous", [alone]))


@pytest.mark.parametrize("to", ["", "last", "-1", "abc", "0.32.0"])
def test_a_word_that_names_no_generation_anywhere_is_told_once(to: str) -> None:
    assert mistake(to).startswith("rollback_to: ")


def test_only_what_differs_is_restarted() -> None:
    verbs = {step["unit"]: step["verb"] for step in steps(KEPT, 3)}
    assert verbs == {"vllm-m.service": "restart", "vllm-e.service": "start", "vllm-n.service": "remove"}
    assert {step["verb"] for step in steps(KEPT, 5)} == {"keep"}


def test_units_of_no_generation_are_all_taken_for_changed() -> None:
    assert {step["verb"] for step in steps({**KEPT, "current": 0}, 3)} == {"restart"}


def test_a_generation_is_told_with_its_plan_and_its_releases() -> None:
    known = {**generation(5, "proven", "cccc33334444"), "releases": ["0.33.0"]}
    assert told(known) == "generation 5 of plan cccc3333 (vLLM 0.33.0)"
    assert told(generation(1, "proven", "")) == "generation 1 of an unknown plan"


def host(*served: tuple[str, str, float], outcome: str = "proven", current: int | None = None) -> dict[str, Any]:
    """What a host keeps: a plan, what its unit is, and how many seconds ago, oldest first. `<plan` was gone back to, `!plan`
    failed; the last one is installed and ended as `outcome`."""
    found = []
    for number, (plan, unit, age) in enumerate(served, start=7):
        ended = "failed" if plan[0] == "!" else outcome if number == 6 + len(served) else "proven"
        found.append(
            {**generation(number, ended, plan.lstrip("<!"), m=unit), "age": age, "returned": plan.startswith("<")}
        )
    now = 6 + len(served) if current is None else current
    return {"generations": found, "current": now, "back": 0}


OLD, NEW, OLDER = ("0001dead", "old", 900.0), ("0002beef", "new", 60.0), ("0000cafe", "older", 9000.0)


def goes(to: str, *fleet: dict[str, Any]) -> list[str]:
    """The unit that each host then has; "-" for one that cannot go there."""
    meant, units = meaning(to, fleet), []
    for kept in fleet:
        by_number = {g["number"]: g["units"]["vllm-m.service"]["digest"] for g in kept["generations"]}
        try:
            units.append(by_number[target(kept, meant)])
        except NoWayBackError:
            units.append("-")
    return units


def test_the_last_change_is_undone_where_it_was_made() -> None:
    changed, untouched = host(OLDER, OLD, NEW), host(OLDER, OLD)
    assert goes("previous", changed, changed) == ["old", "old"]
    assert goes("previous", changed, untouched) == ["old", "old"]
    assert goes("previous", untouched) == ["older"], "with --limit that host's own last change counts"
    assert goes("previous", changed, host(OLDER, NEW)) == ["old", "older"], "whatever served there before"


def test_a_host_that_was_taken_back_stays_and_is_not_the_newest() -> None:
    taken_back = host(OLDER, OLD, ("!0002beef", "new", 50.0), ("<0001dead", "old", 40.0))
    assert goes("previous", host(OLDER, OLD, NEW), taken_back, host(OLDER, OLD)) == ["old", "old", "old"]


def test_a_way_back_that_was_cut_off_is_finished() -> None:
    back = (OLDER, OLD, NEW, ("<0001dead", "old", 5.0))
    assert goes("previous", host(*back), host(OLDER, OLD, NEW), host(OLDER, OLD)) == ["old", "old", "old"]
    assert goes("previous", host(*back, outcome="active")) == ["old"], (
        "installed and not yet proved: it is proved first"
    )


def test_a_finished_way_back_is_undone_where_it_was_gone() -> None:
    back = host(OLD, NEW, ("<0001dead", "old", 5.0))
    assert goes("previous", back, back, host(OLDER, OLD)) == ["new", "new", "old"]


def test_a_host_in_no_known_state_goes_to_the_last_that_served() -> None:
    assert goes("previous", host(OLD, NEW, current=0)) == ["new"]
    assert goes("previous", host(OLD, NEW, current=0), host(OLDER, OLD, NEW)) == ["old", "old"], "of what is not undone"
    failed = host(OLDER, OLD, NEW, outcome="failed")
    assert goes("previous", failed, host(OLDER, OLD)) == ["old", "old"]


def test_a_plan_is_the_fleet_as_it_was_under_it() -> None:
    both, never, later = host(OLD, NEW), host(OLDER, OLD), host(("0003f00d", "newest", 5.0))
    assert goes("0002", both, never, host(OLD, NEW, ("0003f00d", "newest", 5.0))) == ["new", "old", "new"]
    assert goes("0002", both, later) == ["new", "-"], "it keeps nothing of that time"
    assert goes("0009", both, never) == ["-", "-"]
    assert goes("0001", both, host(OLDER, NEW)) == ["old", "older"]


def test_generations_of_before_there_were_ages_go_back_by_themselves() -> None:
    kept = {**KEPT, "generations": [{**g, "plan": ""} for g in KEPT["generations"]]}
    assert target(kept, meaning("previous", [kept, kept])) == 3
