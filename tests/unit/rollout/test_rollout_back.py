"""Which generation a rollback means, and what going there changes."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.baremetal.vllm.plugins.module_utils.rollout.back import (
    NoWayBackError,
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
    assert target(KEPT, to) == number


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
        target(KEPT, to)
    assert why in str(refused.value)


def test_a_host_with_one_generation_has_no_previous_one() -> None:
    with pytest.raises(NoWayBackError, match="no earlier generation"):
        target({**KEPT, "back": 0}, "previous")


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
