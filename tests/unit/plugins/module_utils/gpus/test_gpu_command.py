"""Commands that hang, fail or are not there."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from ansible_collections.baremetal.vllm.plugins.module_utils.host.command import MISSING, TIMED_OUT, run


@pytest.mark.parametrize(
    ("argv", "answer"),
    [
        (["sh", "-c", "echo out; echo err >&2; exit 9"], (9, "out\n", "err\n")),
        (["sh", "-c", "printf '\\377x'"], (0, "\N{REPLACEMENT CHARACTER}x", "")),
        (["no-such-tool-anywhere", "-q"], (MISSING, "", "no-such-tool-anywhere is not installed")),
        (["/"], (126, "", "/ cannot be run: Permission denied")),
    ],
)
def test_answers(argv: list[str], answer: tuple[int, str, str]) -> None:
    assert run(argv) == answer


def test_the_locale_is_the_one_that_parsers_know(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LC_ALL", "de_DE.UTF-8")
    assert run(["sh", "-c", "echo $LC_ALL"])[1] == "C\n"


def test_what_hangs_is_left_behind_with_its_children(tmp_path: Path) -> None:
    started = time.monotonic()
    script = f"(sleep 1; touch {tmp_path}/survived) & trap '' TERM; sleep 30"
    returncode, out, err = run(["sh", "-c", script], timeout=0.2)
    assert (returncode, out, err) == (TIMED_OUT, "", "sh did not answer within 0.2 s")
    assert time.monotonic() - started < 1
    time.sleep(1.1)
    assert not (tmp_path / "survived").exists()
