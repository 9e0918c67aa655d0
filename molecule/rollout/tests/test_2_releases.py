"""Releases and engines that fail while a fleet changes: it ends serving whole, in its old state or the new one."""

from __future__ import annotations

import time

import pytest
from rollout_fleet import (
    FIRST,
    SECOND,
    THIRD,
    assert_whole,
    begin,
    loaded,
    offer,
    other,
    play,
    processes,
    releases,
    ssh,
)
from thoroughness import exhaustive

ONE = ("--limit", FIRST)
# Seconds from the verdict on a bad release until the fleet is where it was (the goal is two minutes).
BACK_WITHIN = 120
SWITCH = "switch | Run the other generation"


@pytest.mark.parametrize(
    ("release", "fault", "words"),
    [
        ("9.9.11", "does_not_start", "ValueError: No available memory for the cache blocks"),
        ("9.9.12", "wrong_answer", "Paris"),
        pytest.param("9.9.13", "slow", "first token", marks=exhaustive),
        pytest.param("9.9.14", "hangs_after:3", "no answer", marks=exhaustive),
    ],
)
def test_a_bad_release_stops_at_the_first_host_and_is_taken_back(
    steady: None, release: str, fault: str, words: str
) -> None:
    offer(release, fault, slow=60)
    before, was = processes(), releases()
    with loaded() as load:
        # Longer than the release takes to show what it is.
        playing = begin("rollout", version=release, rollout_soak=4)
        playing.reaches("take_back | Judge what went wrong")
        verdict = time.monotonic()
        run = playing.end()
        back = time.monotonic() - verdict
        load.wait_for(8)
    assert run.rc != 0
    assert words in run.text
    assert FIRST in run.text.partition("PLAY RECAP")[0]
    assert back < BACK_WITHIN
    load.assert_unharmed()
    assert releases() == was
    after = processes()
    assert (after[SECOND], after[THIRD]) == (before[SECOND], before[THIRD]), "a second host was touched"
    assert_whole()


def test_a_release_that_does_not_know_an_option_is_refused_by_its_engine_and_taken_back(steady: None) -> None:
    offer("9.9.15", "bad_option")
    was = releases()
    run = play("rollout", *ONE, version="9.9.15")
    assert run.rc != 0
    assert "unrecognized arguments: --shutdown-timeout" in run.text
    assert releases() == was
    assert_whole()


@pytest.mark.parametrize(
    "task",
    [
        pytest.param("drain | Wait for the running requests", marks=exhaustive),
        pytest.param("switch | Take the figures of what runs", marks=exhaustive),
        SWITCH,
        pytest.param("prove | Prove the endpoints", marks=exhaustive),
        "soak | Ask its endpoints again",
    ],
)
def test_an_engine_that_is_killed_leaves_the_fleet_whole(steady: None, task: str) -> None:
    playing = begin("rollout", *ONE, version=other())
    playing.reaches(task)
    if task == SWITCH:
        time.sleep(1.5)
    ssh(FIRST, "pkill -9 -f ^VLLM::EngineCore || true")
    run = playing.end()
    assert run.rc == 0 or FIRST in run.text.partition("PLAY RECAP")[0]
    assert_whole()
