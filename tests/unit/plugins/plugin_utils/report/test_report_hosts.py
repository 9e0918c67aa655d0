"""Host names in few words: every one of them can be read back, by somebody who knows nothing of how they were folded."""

from __future__ import annotations

import itertools
import re

import pytest
from ansible_collections.baremetal.vllm.plugins.plugin_utils.report.hosts import folded, said
from hypothesis import example, given, settings
from hypothesis import strategies as st


def expanded(text: str) -> list[str]:
    """The names in the notation of Slurm and ClusterShell: `gpu[01-03,7].lan` is four names."""
    names: list[str] = []
    for word in filter(None, text.split(", ")):
        parts = re.fullmatch(r"([^\[]*)\[([0-9,-]+)\](.*)", word)
        if parts is None:
            names.append(word)
            continue
        for span in parts[2].split(","):
            first, __, last = span.partition("-")
            numbers = range(int(first), int(last or first) + 1)
            names += [f"{parts[1]}{str(number).zfill(len(first))}{parts[3]}" for number in numbers]
    return names


CASES: list[tuple[list[str], str]] = [
    ([], ""),
    (["head"], "head"),
    ([f"gpu{n:03}" for n in range(1, 999)], "gpu[001-998]"),
    ([f"gpu{n}" for n in range(8, 13)], "gpu[8-12]"),
    (["gpu1", "gpu01", "gpu2", "gpu02"], "gpu[1,2,01,02]"),
    (["b1", "a1", "b2", "a2"], "b[1,2], a[1,2]"),
    (["gpu1.dc2.lan", "gpu2.dc2.lan", "gpu3.dc2.lan"], "gpu[1-3].dc2.lan"),
    ([f"r{rack}-gpu{n}" for rack in (1, 2) for n in range(1, 9)], "r1-gpu[1-8], r2-gpu[1-8]"),
    (["10.0.0.9", "10.0.0.10", "10.0.1.1"], "10.0.0.[9,10], 10.0.1.1"),
    (["gpu1", "head", "gpu3"], "gpu[1,3], head"),
    (["[::1]", "[::2]"], "[::1], [::2]"),
]


@pytest.mark.parametrize(("names", "text"), CASES)
def test_names_are_folded(names: list[str], text: str) -> None:
    assert folded(names) == text


def test_how_many_they_are_is_said_of_several() -> None:
    assert said(["gpu1"]) == "gpu1"
    assert said(["gpu1", "gpu2", "gpu1"]) == "gpu[1,2] (2 hosts)"


NUMBERED = st.builds(
    "{}{}{}".format, st.sampled_from(["gpu", "r1-n", "10.0."]), st.from_regex(r"[0-9]{1,4}", fullmatch=True), st.sampled_from(["", ".lan", "-7"])
)  # fmt: skip
NAMES = st.text(st.sampled_from("ab01289.-"), min_size=1, max_size=8) | NUMBERED


@settings(max_examples=50)
@given(st.lists(NAMES, max_size=40))
@example(["099", "100", "98", "0100"])
def test_no_name_is_lost_and_none_is_made_up(names: list[str]) -> None:
    assert sorted(expanded(folded(names))) == sorted(set(names))


@settings(max_examples=20)
@given(st.sets(st.integers(0, 5000), min_size=1, max_size=200))
def test_a_set_with_holes_breaks_into_words_that_a_column_holds(numbers: set[int]) -> None:
    words = folded(f"gpu{number:04}" for number in numbers).split(", ")
    assert max(map(len, words)) <= len("gpu[]") + 32
    assert list(itertools.chain.from_iterable(map(expanded, words))) == [f"gpu{n:04}" for n in sorted(numbers)]
