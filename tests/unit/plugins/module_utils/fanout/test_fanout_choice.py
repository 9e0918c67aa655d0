"""Whom a host asks, by what its neighbours did; times are handed in."""

from __future__ import annotations

import math

import pytest
from ansible_collections.baremetal.vllm.plugins.module_utils.fanout.choice import (
    BUSY_FOR,
    SLOW_FOR,
    Neighbour,
    Neighbours,
    Seen,
    is_slow,
)

NEAR, FAR, LATER = Neighbour("near"), Neighbour("far"), Neighbour("later", later=True)


def test_the_nearest_is_asked_and_kept() -> None:
    known = Neighbours((NEAR, FAR))
    assert known.pick(0.0) == NEAR
    known.busy(NEAR, 0.0)
    assert known.pick(0.1) == FAR
    # It is not left again because the nearer one is free.
    assert known.pick(BUSY_FOR + 1) == FAR


def test_a_dead_one_is_asked_less_and_less_often() -> None:
    known, waits = Neighbours((NEAR,)), []
    now = 0.0
    for __ in range(8):
        known.failed(NEAR, now)
        assert known.pick(now) is None
        waits.append(known.pause(now))
        now += waits[-1]
        assert known.pick(now) == NEAR
    assert waits == sorted(waits)
    assert waits[0] < 1
    assert waits[-1] < 20
    known.came(NEAR)
    known.failed(NEAR, now)
    assert known.pause(now) == waits[0]


def test_a_liar_is_never_asked_again_not_even_from_another_list() -> None:
    known = Neighbours((NEAR,))
    known.lied(NEAR)
    assert known.pick(10.0**9) is None
    assert known.pause(0.0) == math.inf
    known.replace((NEAR, FAR))
    assert known.pick(0.0) == FAR
    assert known.liars == ("near",)


def test_a_slow_one_is_left_where_there_is_another_and_kept_with_more_patience_where_not() -> None:
    known = Neighbours((NEAR, FAR))
    known.pick(0.0)
    known.slow(NEAR, 0.0)
    assert known.pick(0.0) == FAR
    assert known.pick(SLOW_FOR + 1) == FAR
    alone = Neighbours((NEAR, LATER))
    alone.pick(0.0)
    alone.slow(NEAR, 0.0)
    assert alone.pick(0.0) == NEAR
    assert alone.patience(NEAR) == 2


@pytest.mark.parametrize(
    ("own", "other", "slow"),
    [
        # before, after, of: all grow alike, and are a few chunks apart
        (Seen(10, 20, 99), Seen(14, 24, 99), False),
        # nobody grows, and all have the same: they wait for one and the same
        (Seen(10, 10, 99), Seen(10, 10, 99), False),
        # nothing came, and the other has more
        (Seen(10, 10, 99), Seen(11, 11, 99), True),
        # nothing came, and the other got it only now: it is on its way
        (Seen(0, 0, 99), Seen(0, 3, 99), False),
        # the other grew more than four times as much
        (Seen(10, 12, 99), Seen(20, 40, 99), True),
        (Seen(10, 15, 99), Seen(20, 40, 99), False),
        # the other has had all of it: only who gets hardly anything goes there
        (Seen(10, 13, 99), Seen(99, 99, 99), True),
        (Seen(10, 18, 99), Seen(99, 99, 99), False),
        # it would be no gain
        (Seen(96, 97, 99), Seen(80, 99, 99), False),
    ],
)
def test_who_is_slow(own: Seen, other: Seen, slow: bool) -> None:
    assert is_slow(own, other, floor=5.0) is slow
