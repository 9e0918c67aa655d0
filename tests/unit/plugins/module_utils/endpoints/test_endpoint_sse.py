"""The event parser: the same events, however the bytes were cut."""

from __future__ import annotations

import pytest
from ansible_collections.baremetal.vllm.plugins.module_utils.endpoints.sse import EventParser
from hypothesis import given
from hypothesis import strategies as st

CASES = [
    (b"data: one\n\n", ["one"]),
    (b"data:one\n\ndata: two\n\n", ["one", "two"]),
    (b"data: one\r\n\r\ndata: two\r\n\r\n", ["one", "two"]),
    (b"data: one\r\rdata: two\r\r", ["one", "two"]),
    (b"data: one\ndata: two\n\n", ["one\ntwo"]),
    (b": a comment\ndata: one\n\n", ["one"]),
    (b"event: x\nid: 7\nretry: 10\ndata: one\n\n", ["one"]),
    (b"event: x\n\n", []),
    (b"data\n\n", [""]),
    (b"data:  two blanks\n\n", [" two blanks"]),
    ("data: Zürich – 東京\n\n".encode(), ["Zürich – 東京"]),
    (b"\xef\xbb\xbfdata: after a mark\n\n", ["after a mark"]),
    (b"data: whole\n\ndata: cut", ["whole"]),
    (b"data: whole\n\ndata: cut\n", ["whole"]),
    (b"data: \xff\n\n", ["\ufffd"]),
    (b"", []),
]


@pytest.mark.parametrize(("stream", "events"), CASES)
def test_events(stream: bytes, events: list[str]) -> None:
    assert EventParser().feed(stream) == events


def feed(chunks: list[bytes]) -> list[str]:
    parser = EventParser()
    return [event for chunk in chunks for event in parser.feed(chunk)]


@pytest.mark.parametrize(("stream", "events"), CASES)
def test_events_byte_by_byte(stream: bytes, events: list[str]) -> None:
    assert feed([stream[place : place + 1] for place in range(len(stream))]) == events


pieces = st.sampled_from(
    [b"data: ", b"data:x", b"\n", b"\r", b"\r\n", b"\n\n", b": c", b"id: 1", "ü".encode(), b" ", b""]
)


@given(st.lists(pieces, max_size=30).map(b"".join), st.lists(st.integers(0, 120), max_size=8))
def test_any_cut_gives_the_same_events(stream: bytes, cuts: list[int]) -> None:
    places = [0, *sorted(min(cut, len(stream)) for cut in cuts), len(stream)]
    chunks = [stream[start:end] for start, end in zip(places, places[1:], strict=False)]
    assert feed(chunks) == feed([stream])


texts = st.text(st.characters(exclude_characters="\r\n", exclude_categories=["Cs"]), max_size=20)


@given(st.lists(texts, max_size=5), st.sampled_from(["\n", "\r", "\r\n"]))
def test_what_is_sent_is_received(sent: list[str], end: str) -> None:
    stream = "".join(f"data: {text}{end}{end}" for text in sent).encode()
    assert feed([stream]) == sent
