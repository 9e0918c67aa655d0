"""Orders and lists of neighbours: all that is wrong with one, by key."""

from __future__ import annotations

from dataclasses import asdict

import pytest
from ansible_collections.baremetal.vllm.plugins.module_utils.fanout.choice import Neighbour
from ansible_collections.baremetal.vllm.plugins.module_utils.fanout.order import (
    Bounds,
    Order,
    OrderError,
    read_neighbours,
    read_order,
)

GOOD = {"name": "a", "content": "0" * 64, "target": "/srv/content"}


def test_an_order_reads_back_as_it_was_written() -> None:
    order = Order("a", "0" * 64, "/srv/content", "::", 7000, Bounds(receivers=3, rate=0, lease=1.5))
    assert read_order(asdict(order)) == order
    assert read_order(GOOD) == Order("a", "0" * 64, "/srv/content")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"name": ""}, "name:"),
        ({"name": "a" * 256}, "name:"),
        ({"content": "0" * 63}, "content:"),
        ({"content": "../" + "0" * 61}, "content:"),
        ({"target": "srv"}, "target:"),
        ({"target": "/srv/../etc"}, "target:"),
        ({"target": "/"}, "target:"),
        ({"port": 65536}, "port:"),
        ({"port": True}, "port:"),
        ({"bounds": 7}, "bounds"),
        ({"bounds": {"recievers": 1}}, "bounds.recievers: no such key"),
        ({"bounds": {"receivers": 0}}, "bounds.receivers:"),
        ({"bounds": {"receivers": 1.5}}, "bounds.receivers:"),
        ({"bounds": {"lease": "1"}}, "bounds.lease:"),
        ({"bounds": {"rate": -1}}, "bounds.rate:"),
        ({"hosts": 1}, "hosts: no such key"),
    ],
)
def test_what_is_wrong_is_named(change: dict[str, object], words: str) -> None:
    with pytest.raises(OrderError, match=words):
        read_order({**GOOD, **change})


def test_all_that_is_wrong_is_named_at_once() -> None:
    with pytest.raises(OrderError) as told:
        read_order({"name": "", "content": "", "target": "", "port": -1, "bounds": {"x": 1}})
    assert [line.partition(":")[0] for line in str(told.value).split("\n")] == [
        "name",
        "content",
        "target",
        "port",
        "bounds.x",
    ]


def test_neighbours_have_a_name_an_address_and_a_port() -> None:
    assert read_neighbours([{"name": "a", "address": "::1", "port": 7}]) == (Neighbour("a", "::1", 7),)
    for wrong in ({}, [7], [{"name": "a", "address": "", "port": 7}], [{"name": "a", "address": "b", "port": 0}]):
        with pytest.raises(OrderError, match="neighbours"):
            read_neighbours(wrong)
