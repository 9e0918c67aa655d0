"""Tables on a terminal: never wider than it, nothing lost, hosts with the same rows in one place."""

from __future__ import annotations

import re
import unicodedata
from typing import Any

import pytest
from ansible_collections.baremetal.vllm.plugins.plugin_utils.report.screen import ADDED, REMOVED, Screen
from ansible_collections.baremetal.vllm.plugins.plugin_utils.report.table import (
    Column,
    Figure,
    Row,
    fleet_table,
    grouped,
    table,
)
from hypothesis import given, settings
from hypothesis import strategies as st

COLUMNS = (Column("HOST"), Column("MODEL"), Column("CHANGE"), Column("WHY", wraps=True))
WIDE = Screen(500)


def width(text: str) -> int:
    """As a terminal counts: an East Asian wide character takes two columns."""
    return sum(2 if unicodedata.east_asian_width(char) in "WF" else 1 for char in text)


def row(model: str = "m", change: str = "unchanged", why: Any = "", **more: Any) -> Row:
    return Row((model, change, why), **more)


def test_columns_are_as_wide_as_their_widest_cell() -> None:
    hosts = [
        ("gpu1", [row(), row("qwen", "restarted", "max-model-len 1k → 2k")]),
        ("head", [row("", "failed", "no route")]),
    ]
    assert fleet_table(COLUMNS, hosts, Screen()) == [
        "HOST  MODEL  CHANGE     WHY",
        "gpu1  m      unchanged",
        "gpu1  qwen   restarted  max-model-len 1k → 2k",
        "head         failed     no route",
    ]


def test_a_thousand_equal_hosts_are_a_few_lines_and_those_that_differ_stand_apart() -> None:
    hosts = [(f"gpu{n:04}", [row("a"), row("b", "restarted" if n in (7, 500) else "unchanged")]) for n in range(1000)]
    assert fleet_table(COLUMNS, hosts, Screen(100)) == [
        "HOST     MODEL  CHANGE     WHY",
        "gpu[0000-0006,0008-0499,0501-0999] (998 hosts)",
        "         a      unchanged",
        "         b      unchanged",
        "gpu0007  a      unchanged",
        "gpu0007  b      restarted",
        "gpu0500  a      unchanged",
        "gpu0500  b      restarted",
    ]


def test_figures_of_hosts_that_are_told_as_one_show_their_range() -> None:
    def seconds(value: float) -> str:
        return f"{value:.2f} s"

    hosts = [(f"h{n}", [row("m", "ok", Figure(value, seconds))]) for n, value in enumerate([0.3, 0.1, 0.2, 0.2, 0.2])]
    assert fleet_table(COLUMNS, hosts, WIDE)[1:] == ["h[0-4] (5 hosts)  m      ok      0.10 to 0.30 s"]
    hosts = [
        (f"h{n}", [row("m", "ok", Figure(value, "2026-11-23 {:.0f}:00".format))])
        for n, value in enumerate([22, 21, 21, 21, 21])
    ]
    assert fleet_table(COLUMNS, hosts, WIDE)[1:] == ["h[0-4] (5 hosts)  m      ok      2026-11-23 21:00 to 22:00"]
    hosts = [
        (f"h{n}", [row("m", "ok", Figure(value, seconds))]) for n, value in enumerate([0.101, 0.102, 0.102, 0.101, 0.1])
    ]
    assert fleet_table(COLUMNS, hosts, WIDE)[1:] == ["h[0-4] (5 hosts)  m      ok      0.10 s"]
    assert (
        len(fleet_table(COLUMNS, [("h1", [row("m", "ok", Figure(1, seconds))]), ("h2", [row("m", "ok", "-")])], WIDE))
        == 3
    )


def test_columns_without_room_stand_below_with_their_names() -> None:
    columns = [Column(name) for name in ("HOST", "MODEL", "LISTENS ON", "FROM")]
    hosts = [("gpu1.example.com", [Row(("qwen", "0.0.0.0:8938", "Qwen/Qwen2.5-72B-Instruct@495f39366efe"))])]
    assert fleet_table(columns, hosts, Screen(60)) == [
        "HOST              MODEL  LISTENS ON",
        "gpu1.example.com  qwen   0.0.0.0:8938",
        "    from: Qwen/Qwen2.5-72B-Instruct@495f39366efe",
    ]
    assert fleet_table(columns, hosts, Screen(32)) == [
        "HOST              MODEL",
        "gpu1.example.com  qwen",
        "    listens on: 0.0.0.0:8938",
        "    from:",
        "      Qwen/Qwen2.5-72B-Instruct@495f39366efe",
    ]


def test_a_row_has_the_colour_of_what_it_tells_and_colours_take_no_room() -> None:
    screen = Screen(40, lambda text, tone: f"<{tone}>{text}</>")
    rows = [
        ("h1", [row("m", "started", "new", tone=ADDED)]),
        ("h2", [row("m", "removed", "gone", tone=REMOVED)]),
        ("h3", [row()]),
    ]
    assert fleet_table(COLUMNS, rows, screen) == [
        "HOST  MODEL  CHANGE     WHY",
        "<added>h1    m      started    new</>",
        "<removed>h2    m      removed    gone</>",
        "h3    m      unchanged",
    ]


def test_what_hosts_say_cannot_steer_the_terminal() -> None:
    said = "\n".join(
        fleet_table(COLUMNS, [("h1", [row("m", "failed", "\x1b[2J\nh2  fine", below=("\x1b]0;x\x07",))])], WIDE)
    )
    assert "\x1b" not in said
    assert len(said.splitlines()) == 3


def test_numbers_stand_to_the_right_and_sentences_about_hosts_are_told_once() -> None:
    assert table((Column("N"), Column("GB")), [Row(("a", 5)), Row(("b", 805))], WIDE) == ["N   GB", "a    5", "b  805"]
    told = [("h1", "is down"), ("", "locked"), ("h2", "is down"), ("h3", "is full")]
    assert grouped(told) == ["h[1,2] (2 hosts): is down", "locked", "h3: is full"]


WORDS = st.text(st.sampled_from("ab-→日本é"), min_size=1, max_size=9)
TEXTS = st.lists(WORDS, max_size=8).map(" ".join)
ROWS = st.builds(
    lambda a, b, c, below: Row((a, b, c), below=tuple(below)), TEXTS, WORDS, TEXTS, st.lists(TEXTS, max_size=2)
)
HOSTS = st.lists(
    st.tuples(st.from_regex(r"(gpu|n)[0-9]{1,2}", fullmatch=True), st.lists(ROWS, min_size=1, max_size=3)), max_size=12
)


@settings(max_examples=20)
@given(HOSTS, st.integers(20, 120))
def test_no_line_is_wider_than_the_terminal_unless_one_word_is(hosts: list[Any], columns: int) -> None:
    for line in fleet_table(COLUMNS, hosts, Screen(columns)):
        assert width(line) <= columns or len(line.split()) == 1, line


@settings(max_examples=20)
@given(HOSTS, st.integers(20, 120))
def test_no_word_of_a_row_is_lost(hosts: list[Any], columns: int) -> None:
    shown = re.split(r"\s+", " ".join(fleet_table(COLUMNS, hosts, Screen(columns))))
    for __, rows in hosts:
        for one in rows:
            for text in (*one.values, *one.below):
                # A cell that holds nothing but a dash is left out where it has no column.
                assert all(word in shown for word in text.split() if word != "-"), text


@pytest.mark.parametrize("columns", [20, 79, 200])
def test_every_host_has_its_rows(columns: int) -> None:
    hosts = [(f"gpu{n}", [row(f"m{n % 3}")]) for n in range(1, 16)]
    lines = fleet_table(COLUMNS, hosts, Screen(columns))
    assert [re.findall(r"gpu\[[0-9,-]+\]", line) for line in lines if "gpu" in line] == [
        ["gpu[1,4,7,10,13]"],
        ["gpu[2,5,8,11,14]"],
        ["gpu[3,6,9,12,15]"],
    ]
