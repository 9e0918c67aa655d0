"""Verdicts over switched hosts, and what a rollout says at its end: tables of cases."""

from __future__ import annotations

import json
from typing import Any

import pytest
from ansible_collections.baremetal.vllm.plugins.plugin_utils.fleet.judge import Limit, Verdict, judge
from ansible_collections.baremetal.vllm.plugins.plugin_utils.fleet.outcome import (
    Ending,
    HostResult,
    Summary,
    document,
    ending,
    lines,
    progress,
)

OK: dict[str, Any] = {"changed": True}
GONE = {"unreachable": True, "msg": "no route\nto host"}


def endpoint(first: float | None = 0.003, **checks: str) -> dict[str, Any]:
    """`checks`: name to "" for passed, to what was observed for failed, to "skipped"."""
    told = [
        {
            "name": name,
            "passed": not said,
            "skipped": said if said == "skipped" else "",
            "observed": said,
            "expected": "Paris",
        }
        for name, said in checks.items()
    ]
    good = any(c["passed"] for c in told) and not any(not c["passed"] and not c["skipped"] for c in told)
    return {"model": "m", "url": "http://h:1", "passed": good, "checks": told, "first_token_seconds": first}


def loop(*items: dict[str, Any]) -> dict[str, Any]:
    held = [{"item": f"gw{i}", "ansible_loop_var": "item", **item} for i, item in enumerate(items)]
    return {
        "results": held,
        "failed": any(i.get("failed") for i in items),
        "unreachable": any("unreachable" in i for i in items),
    }


GOOD, WRONG = endpoint(answer=""), endpoint(answer="Rome")
TOO = " (it failed before the switch too)"


@pytest.mark.parametrize(
    ("phases", "before", "after", "phase", "causes"),
    [
        ({"switch": OK, "prove": OK}, [GOOD], [GOOD], "", []),
        ({"switch": OK, "prove": OK}, [], [GOOD], "", []),
        ({"switch": OK, "prove": OK}, [GOOD], [], "", []),
        ({"switch": OK, "prove": OK}, [GOOD], [WRONG], "prove", ["m at http://h:1: answer: observed Rome, expected Paris"]),
        ({"switch": OK, "prove": OK}, [WRONG], [WRONG], "prove", [f"m at http://h:1: answer: observed Rome, expected Paris{TOO}"]),
        ({"switch": OK, "prove": OK}, [GOOD], [endpoint(answer="", stream="skipped")], "", []),
        ({"switch": OK}, [], [endpoint(answer="skipped")], "prove", ["m at http://h:1: observed that no check could be tried"]),
        ({"switch": OK}, [GOOD], [endpoint(0.008, answer="")], "", []),
        ({"switch": OK}, [GOOD], [endpoint(0.3, answer="")], "prove", ["first token: observed 0.300 s, expected at most 0.256 s (2 times"]),
        ({"switch": OK}, [endpoint(None, answer="")], [endpoint(9, answer="")], "", []),
        ({"switch": OK}, [GOOD], [endpoint(None, answer="")], "", []),
        ({"switch": OK, "undrain": loop(OK), "soak": OK}, [GOOD], [WRONG], "soak", ["answer: observed Rome"]),
        ({"drain": loop(OK, {"failed": True, "msg": "m would be left"})}, [], [], "drain", ["drain: gw1: m would be left"]),
        ({"drain": {"skipped": True}, "switch": {"failed": True, "msg": "vllm-m.service did not start: no memory"}}, [], [], "switch",
         ["switch: vllm-m.service did not start: no memory"]),
        ({"drain": loop(OK), "switch": GONE}, [], [], "switch", ["switch: the host does not answer: no route to host"]),
        ({"switch": OK, "prove": OK, "undrain": loop(GONE)}, [], [GOOD], "undrain", ["undrain: gw0: the host does not answer: no route"]),
    ],
)  # fmt: skip
def test_verdicts(phases: Any, before: Any, after: Any, phase: str, causes: list[str]) -> None:
    found = judge(phases, before, after, Limit())
    assert (found.good, found.phase) == (not causes, phase)
    assert len(found.causes) == len(causes)
    assert all(part in cause for part, cause in zip(causes, found.causes))
    assert found.switched == ("switch" in phases)


def test_a_gateway_that_is_gone_is_not_the_host() -> None:
    assert judge({"undrain": loop(GONE)}, [], [], Limit()).reachable
    assert not judge({"switch": GONE}, [], [], Limit()).reachable


def test_who_is_taken_back() -> None:
    def verdict(**phases: Any) -> Verdict:
        return judge(phases, [], [WRONG], Limit())

    assert verdict(switch=OK, prove=OK).take_back
    assert verdict(prove=OK).take_back, "units that nobody had judged"
    assert verdict(switch={"failed": True, "msg": "x"}).take_back
    assert not verdict(drain={"failed": True, "msg": "x"}).take_back
    assert not verdict(switch=OK, prove=OK, undrain={"failed": True, "msg": "x"}).take_back
    assert not verdict(switch=GONE).take_back


def test_what_failed_without_a_word_is_never_good() -> None:
    early = judge({"drain": loop(OK), "close": OK}, [GOOD], [], Limit(), otherwise="no package nftables")
    assert (early.good, early.phase, early.causes, early.take_back) == (
        False,
        "close",
        ("close: no package nftables",),
        False,
    )
    late = judge({"switch": OK}, [GOOD], [GOOD], Limit(), otherwise="lost")
    assert (late.good, late.phase, late.take_back) == (False, "prove", True)
    known = judge({"switch": OK}, [GOOD], [WRONG], Limit(), otherwise="it says it again")
    assert len(known.causes) == 1
    assert "Rome" in known.causes[0]


def test_on_the_way_back_a_host_shall_be_as_it_was_and_no_better() -> None:
    slow = endpoint(9.0, answer="")
    assert judge({"switch": OK}, [WRONG], [WRONG], Limit(), returning=True).good
    assert judge({"switch": OK}, [GOOD], [slow], Limit(), returning=True).good
    assert not judge({"switch": OK}, [GOOD], [WRONG], Limit(), returning=True).good
    assert not judge({"switch": OK}, [], [WRONG], Limit(), returning=True).good


# --- the end ----------------------------------------------------------------------------------------------------------

FINE = Verdict(True, (), "", True, True)
BAD = Verdict(False, ("m: answer: observed Rome, expected Paris",), "prove", True, True)
LOST = Verdict(False, ("switch: the host does not answer",), "switch", True, False)
REFUSED = Verdict(False, ("drain: gw1: m would be left",), "drain", False, True)
STUCK = Verdict(False, ("undrain: gw1: gone",), "undrain", True, True)


@pytest.mark.parametrize(
    ("happened", "what", "drained", "remedy"),
    [
        (HostResult("switch"), "waiting", False, ""),
        (HostResult("switch", drained=True), "waiting", True, "again"),
        (HostResult("switch", verdict=FINE, drained=True, undrained=True), "switched", False, ""),
        (HostResult("prove", verdict=FINE), "proven", False, ""),
        (HostResult("undrain", verdict=FINE, drained=True, undrained=True), "undrained", False, ""),
        (HostResult("switch", verdict=BAD, back=FINE, drained=True, undrained=True), "back", False, ""),
        (HostResult("switch", verdict=BAD, back=FINE, drained=True), "back", True, "again"),
        (HostResult("take_back", "judged bad", verdict=FINE, drained=True, undrained=True), "back", False, ""),
        (HostResult("switch", verdict=BAD, back=BAD, drained=True), "broken", True, "rollback.yml"),
        (
            HostResult("switch", verdict=BAD, back=BAD, drained=True, drained_again=True, undrained=True),
            "broken",
            True,
            "rollback.yml",
        ),
        (HostResult("prove", verdict=BAD, back=FINE, drained_again=True, undrained=True), "back", False, ""),
        (HostResult("switch", verdict=BAD, drained=True), "broken", True, "rollback.yml"),
        (HostResult("switch", verdict=LOST, drained=True), "unreachable", True, "bring the host back"),
        (HostResult("switch", verdict=BAD, back=LOST, drained=True), "unreachable", True, "bring the host back"),
        (HostResult("switch", verdict=REFUSED, drained=True, undrained=True), "kept", False, ""),
        (HostResult("switch", verdict=STUCK, drained=True), "held", True, "again"),
    ],
)
def test_how_a_host_ended(happened: HostResult, what: str, drained: bool, remedy: str) -> None:
    found = ending(happened)
    assert (found.what, found.drained) == (what, drained)
    assert remedy in found.remedy
    assert bool(found.remedy) == bool(remedy)


def test_the_summary_names_what_is_left_and_what_to_do() -> None:
    ends = {
        "h1": ending(HostResult("switch", verdict=FINE, drained=True, undrained=True)),
        "h2": ending(HostResult("switch", verdict=BAD, back=BAD, drained=True)),
        "h3": Ending("waiting"),
    }
    summary = Summary(ends, {"h4": "as planned", "h5": "no route"}, ["h5"], ["vllm_models.k: no replica while h1 …"])
    text = "\n".join(lines(summary))
    assert "h2    BAD, and not taken back, and LEFT DRAINED" in text
    assert "    m: answer: observed Rome, expected Paris" in text
    assert "    going back: m: answer: observed Rome, expected Paris" in text
    assert "h5    UNREACHABLE, not switched: no route" in text
    assert "gap: vllm_models.k" in text
    assert text.endswith(
        "Rollout STOPPED: 1 switched and proven; 1 BAD, and not taken back; 1 untouched; 1 unchanged; "
        "1 unreachable and not switched; left drained: h2."
    )
    told = json.loads(json.dumps(document(summary, "ab12", "cd34", "2026-01-01T00:00:00+00:00")))
    assert (told["schema"], told["complete"], told["stopped"], told["unreachable"]) == (1, False, True, ["h5"])
    assert told["hosts"]["h2"]["drained"]
    assert told["hosts"]["h3"] == {"what": "waiting", "causes": [], "drained": False, "remedy": ""}


@pytest.mark.parametrize(
    ("ends", "lost", "word", "whole"),
    [
        ({"h1": Ending("switched")}, [], "complete", True),
        ({}, [], "complete", True),
        ({"h1": Ending("switched")}, ["h2"], "INCOMPLETE", False),
        ({"h1": Ending("back")}, [], "STOPPED", False),
        ({"h1": Ending("switched", drained=True, remedy="x")}, [], "STOPPED", False),
    ],
)
def test_the_last_sentence(ends: Any, lost: list[str], word: str, whole: bool) -> None:
    summary = Summary(ends, dict.fromkeys(lost, "no route"), lost, [])
    assert lines(summary)[-1].startswith(f"Rollout {word}:")
    assert summary.whole == whole


def test_progress() -> None:
    summary = Summary({"h1": Ending("switched"), "h2": Ending("waiting"), "h3": Ending("waiting")}, {}, [], [])
    assert summary.good
    assert not summary.finished
    assert progress(summary) == "1 of 3 hosts are done; next is h2."
