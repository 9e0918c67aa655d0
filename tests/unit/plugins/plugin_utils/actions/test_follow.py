from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest
from ansible_collections.baremetal.vllm.plugins.plugin_utils.actions import follow as module
from ansible_collections.baremetal.vllm.plugins.plugin_utils.actions.follow import follow, say, ticking


class Screen:
    def __init__(self) -> None:
        self.lines: list[str] = []
        self.twice = threading.Event()

    def display(self, line: str) -> None:
        self.lines.append(line)
        if len(self.lines) > 1:
            self.twice.set()


@pytest.fixture
def screen(monkeypatch: pytest.MonkeyPatch) -> Screen:
    made = Screen()
    monkeypatch.setattr(module, "display", made)
    return made


def test_lines_stand_below_each_other(screen: Screen) -> None:
    say("gpu1", "going back")
    say("gpu1", "install", 5.4)
    say("gpu1", "answers", 61, "vllm-chat.service")
    say("gpu1", "start\x1b[2J", unit="vllm-chat.service")
    assert screen.lines[:3] == [
        "gpu1         going back",
        "gpu1            5 s  install",
        "gpu1         chat                           61 s  answers",
    ]
    assert "\x1b" not in screen.lines[3]


def test_silence_is_broken_and_the_last_look_comes_back(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0
    monkeypatch.setattr(module.time, "monotonic", lambda: now)
    told = []

    def looks() -> Iterator[str]:
        nonlocal now
        # A line after 10 s; then nothing new for 25, 30 and 30 s more.
        for seconds, seen in ((10, "news"), (35, "a"), (40, "b"), (69, "c"), (70, "d")):
            now = float(seconds)
            yield seen

    def show(seen: str, quiet: bool) -> bool:
        if quiet or seen == "news":
            told.append((now, seen))
        return quiet or seen == "news"

    assert follow(looks(), show) == "d"
    assert told == [(10.0, "news"), (40.0, "b"), (70.0, "d")]


def test_a_long_call_ticks(screen: Screen, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "HEARTBEAT", 0.01)
    with ticking("gpu1: 2 of 3, send 4.00 GB"):
        assert screen.twice.wait(10)
    assert screen.lines[:2] == ["gpu1: 2 of 3, send 4.00 GB", "gpu1: 2 of 3, send 4.00 GB (0 s so far)"]
