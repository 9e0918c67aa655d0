"""What differs on a host is named with its topic; nothing that is equal is, and whatever a role would do has a topic."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.baremetal.vllm.plugins.plugin_utils.difference.host import host_changes, topics, unproved
from ansible_collections.baremetal.vllm.plugins.plugin_utils.difference.look import PARTS
from ansible_collections.baremetal.vllm.plugins.plugin_utils.inventory.jsonform import build
from ansible_collections.baremetal.vllm.plugins.plugin_utils.planned.fleet import HostPlan
from hypothesis import given
from hypothesis import strategies as st

PLANNED = build(
    HostPlan,
    {
        "services": [{"name": "m", "unit": "vllm-m.service"}],
        "weights": [
            {"source": "hub", "repo": "o/m", "path": "/w/m"},
            {"source": "pushed", "from": "/home/ann/p", "path": "/w/p"},
            {"source": "host", "path": "/srv/h"},
        ],
    },
)
SETTLED: dict[str, list[str]] = {"steps": [], "warnings": [], "unknown": []}
KEEP = {"unit": "vllm-m.service", "verb": "keep", "why": "as planned", "write": False, "enable": False, "causes": []}
PRESENT = {"state": "present", "detail": ""}
EQUAL: dict[str, Any] = {
    **{key: [] for key in PARTS},
    "steps": [KEEP],
    "gpus": {},
    "engine": {"release": "0.33.0", "install": False, "why": "", "remove": [], "packages": []},
    "weights": [PRESENT, PRESENT, PRESENT],
    "filesets": {"firewall": SETTLED, "canary": SETTLED},
}
ENGINE = EQUAL["engine"]
# What is found, and of it topic, item, change and why.
DIFFERENT: list[tuple[dict[str, Any], str, tuple[str, str, str] | None]] = [
    ({"engine": {**ENGINE, "install": True, "why": "it is new"}}, "engine", ("(engine 0.33.0)", "installed", "it is new")),
    ({"engine": {**ENGINE, "packages": ["g++", "numactl"]}}, "engine", ("(packages)", "installed", "g++, numactl")),
    ({"engine": {**ENGINE, "remove": ["0.32.0"]}}, "engine", ("(engine 0.32.0)", "removed", "no longer used")),
    (
        {"weights": [{"state": "absent", "detail": ""}, PRESENT, PRESENT]},
        "weights",
        ("(weights o/m)", "fetched", "not on the host"),
    ),
    (
        {"weights": [PRESENT, {"state": "damaged", "detail": "a file is short"}, PRESENT]},
        "weights",
        ("(weights p)", "pushed", "a file is short"),
    ),
    ({"weights": [PRESENT, PRESENT, {"state": "refused", "detail": "no config.json"}]}, "weights", None),
    ({"weights_files": ["/w is closed"]}, "weights", ("(weights)", "rewritten", "/w is closed")),
    (
        {"filesets": {"firewall": {**SETTLED, "steps": ["write /a", "start b"]}, "canary": SETTLED}},
        "firewall",
        ("(firewall)", "changed", "write /a, start b"),
    ),
    (
        {"filesets": {"firewall": SETTLED, "canary": {**SETTLED, "unknown": ["no answer"]}}},
        "canary",
        ("(canary)", "refused", "no answer"),
    ),
    ({"gpus": {"differs": {"driver": "580 is wanted"}}}, "driver", ("(driver)", "changed", "580 is wanted")),
    ({"gpus": {"refused": {"gpus": "GPU 1 is gone"}}}, "gpus", ("(gpus)", "refused", "GPU 1 is gone")),
    ({"files": ["/etc/x"]}, "units", ("(file)", "rewritten", "/etc/x")),
    ({"refusals": ["/etc/y is somebody's"]}, "units", ("(host)", "refused", "/etc/y is somebody's")),
    ({"steps": [{**KEEP, "verb": "restart"}]}, "units", None),
    ({"steps": [{**KEEP, "verb": "wait"}]}, "units", None),
    ({"steps": [{**KEEP, "write": True}]}, "units", None),
    ({"steps": [{**KEEP, "enable": True}]}, "units", None),
    ({"steps": [KEEP, {**KEEP, "unit": "vllm-old.service", "verb": "remove"}]}, "units", None),
    ({"unread": ["vllm-m.service"]}, "units", ("(systemd)", "changed", "reads in the drop-ins of vllm-m.service")),
    (
        {"weights": [{"state": "carried", "detail": "copied"}, PRESENT, PRESENT]},
        "weights",
        ("(weights o/m)", "adopted", "copied"),
    ),
    (
        {"engine": {**ENGINE, "refused": "vLLM is in use"}, "refusals": ["vLLM is in use"]},
        "engine",
        ("(host)", "refused", "vLLM is in use"),
    ),
    # model_weights_verify reads what looks as it should.
    ({"forced": ["weights"]}, "weights", None),
    ({"doubts": ["GPU 3 has no node"]}, "units", None),
]  # fmt: skip


def test_a_host_as_planned_differs_in_nothing() -> None:
    assert list(host_changes(PLANNED, EQUAL)) == []
    assert topics(PLANNED, EQUAL) == set()


@pytest.mark.parametrize(("found", "topic", "told"), DIFFERENT)
def test_what_differs_has_its_topic_and_a_reason(found: Any, topic: str, told: Any) -> None:
    look = {**EQUAL, **found}
    assert topics(PLANNED, look) == {topic}
    assert [(c.item, c.change, c.why) for c in host_changes(PLANNED, look)] == ([told] if told else [])


@given(st.lists(st.sampled_from(range(len(DIFFERENT))), unique=True))
def test_each_difference_is_told_whatever_else_differs(chosen: list[int]) -> None:
    look, expected = dict(EQUAL), set()
    taken: set[str] = set()
    for index in chosen:
        found, topic, __ = DIFFERENT[index]
        if taken.isdisjoint(found):
            taken.update(found)
            look.update(found)
            expected.add(topic)
    assert topics(PLANNED, look) == expected


ANSWER = {"unit": "vllm-m.service", "passed": True, "proved": "2026-11-30T12:00:00+00:00"}


@pytest.mark.parametrize(
    ("answers", "left"),
    [
        ([ANSWER], []),
        ([{**ANSWER, "proved": ""}], ["vllm-m.service"]),
        ([{**ANSWER, "passed": False}], ["vllm-m.service"]),
        ([], ["vllm-m.service"]),
    ],
)
def test_an_endpoint_is_proved_in_full_unless_it_was_and_answers(answers: Any, left: list[str]) -> None:
    assert unproved({**EQUAL, "answers": answers}) == left


@pytest.mark.parametrize("planned", [PLANNED, None])
def test_a_gateway_that_differs_is_one_whether_it_serves_models_or_not(planned: HostPlan | None) -> None:
    look: Any = {**EQUAL, "filesets": {**EQUAL["filesets"], "gateway": {**SETTLED, "steps": ["write /a"]}}}
    (change,) = host_changes(planned, look)
    assert (change.topic, change.item, change.change, change.why) == ("gateway", "(gateway)", "changed", "write /a")
    assert topics(planned, look) == {"gateway"}
    assert list(host_changes(planned, {**look, "filesets": {**EQUAL["filesets"], "gateway": SETTLED}})) == []
