"""The chain and the lists of neighbours as tables; what statuses come to."""

from __future__ import annotations

import pytest
from ansible_collections.baremetal.vllm.plugins.plugin_utils.fanout.schedule import (
    BEFORE,
    Member,
    chain,
    neighbours,
    progress,
)


def member(word: str) -> Member:
    """`a1+` is host a1 of rack a, which has the content; `!` is upstream, `-1` a host without a rack."""
    if word == "!":
        return Member("!", "192.0.2.1", 1, whole=True, upstream=True)
    name = word.rstrip("+")
    return Member(name, "192.0.2.1", 1, name[0].strip("-"), whole=word.endswith("+"))


@pytest.mark.parametrize(
    ("given", "order"),
    [
        ("! a1 b1 a2 b2", "! a1 a2 b1 b2"),
        ("a1 b1 ! a2", "! a1 a2 b1"),
        ("! a1 a2+ b1", "! a2 a1 b1"),
        ("! a1 a2 b1 b2+", "! b2 b1 a1 a2"),
        ("! -1 -2 a1", "! -1 -2 a1"),
        ("a1+ a2", "a1 a2"),
        ("", ""),
    ],
)
def test_the_chain_goes_rack_by_rack_and_begins_where_the_content_is(given: str, order: str) -> None:
    assert " ".join(each.name for each in chain([member(word) for word in given.split()])) == order


@pytest.mark.parametrize(
    ("given", "dead", "of", "listed"),
    [
        ("! a1 a2 a3", "", "a1", "! later:a2 later:a3"),
        ("! a1 a2 a3", "", "a3", "a2 a1 !"),
        ("! a1 a2 a3", "a2", "a3", "a1 !"),
        # Where a host has it, upstream is asked by nobody.
        ("! a1+ a2 a3", "", "a2", "a1 later:a3"),
        ("! a1+ a2 b1", "a2", "b1", "a1"),
    ],
)
def test_whom_a_host_may_ask(given: str, dead: str, of: str, listed: str) -> None:
    lists = neighbours(chain([member(word) for word in given.split()]), dead.split())
    assert " ".join(f"{'later:' if each.later else ''}{each.name}" for each in lists[of]) == listed


def test_lists_are_short_and_only_those_that_lack_it_have_one() -> None:
    lists = neighbours(chain([member("!"), member("a0+"), *(member(f"a{n}") for n in range(1, 1000))]), ["a5"])
    assert len(lists) == 998
    assert "a0" not in lists
    assert max(len(each) for each in lists.values()) <= BEFORE + 2
    assert all("a5" not in {each.name for each in listed} for listed in lists.values())


def test_what_the_statuses_come_to() -> None:
    found = progress(
        {
            "a": {"state": "whole", "size": 100, "had": 100},
            "b": {"state": "fetching", "size": 100, "had": 10, "received": 30},
            "c": {"state": "failed", "size": 100, "received": 5},
            "d": {},
        }
    )
    assert (found.there, found.size, found.whole, found.lost, found.over) == (145, 400, 1, ("c",), False)
    assert progress({"a": {"state": "whole"}, "b": {"state": "failed"}}).over
