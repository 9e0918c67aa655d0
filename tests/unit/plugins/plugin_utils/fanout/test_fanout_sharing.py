"""Whether there is anything to decide at all, by the plan and the difference; and what the end of a wave is told as."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.baremetal.vllm.plugins.filter.fan_out import NOBODY, lacking_hosts, sharing_hosts
from ansible_collections.baremetal.vllm.plugins.plugin_utils.actions.fanout_share import told

GROUP = "gpu_hosts"


def planned(**weights: str) -> dict[str, Any]:
    """By host paths of weights, of the operator's own where they begin with `own`; no engines."""
    hosts = {
        host: {
            "engine": None,
            "weights": [
                {"source": "host" if path.startswith("own") else "hub", "path": path} for path in paths.split()
            ],
        }
        for host, paths in weights.items()
    }
    return {"plan": {"hosts": hosts, "gateway": None}}


@pytest.mark.parametrize(
    ("plan", "source", "lacking", "somebody"),
    [
        (planned(a="m", b="m"), "hosts", None, True),
        (planned(a="m", b="m"), "hosts", ["b"], True),
        (planned(a="m", b="m"), "upstream", ["b"], False),
        (planned(a="m", b="m"), "hosts", [], False),
        (planned(a="m"), "hosts", ["a"], False),
        (planned(a="m n", b="o"), "hosts", None, False),
        (planned(a="own", b="own"), "hosts", None, False),
        # The one that lacks something has nothing in common with anybody.
        (planned(a="m", b="m", c="n"), "hosts", ["c"], False),
        (planned(a="m", b="m"), "hosts", ["gateway1"], False),
        ({}, "hosts", None, False),
    ],
)
def test_who_is_asked_to_decide(plan: Any, source: str, lacking: list[str] | None, somebody: bool) -> None:
    assert sharing_hosts(plan, GROUP, source, lacking) == (GROUP if somebody else NOBODY)


def test_engines_are_shared_by_release_and_accelerator() -> None:
    def engine(release: str, accelerator: str) -> dict[str, Any]:
        return {"engine": {"path": f"/opt/vllm/{release}", "accelerator": accelerator}, "weights": []}

    def fleet(*hosts: dict[str, Any]) -> dict[str, Any]:
        return {"plan": {"hosts": {f"h{number}": host for number, host in enumerate(hosts)}}}

    same = engine("0.33.0", "cuda")
    assert sharing_hosts(fleet(same, same), GROUP) == GROUP
    assert sharing_hosts(fleet(same, engine("0.33.0", "rocm"), engine("0.32.0", "cuda")), GROUP) == NOBODY


def test_hosts_lack_something_by_the_difference() -> None:
    topics = {"engine": ["b"], "weights": ["a", "b"], "units": ["c"]}
    assert lacking_hosts({"topics": topics}) == ["a", "b"]
    assert lacking_hosts({}) == []


def test_the_end_of_a_wave_is_told_in_a_line_for_each_reason() -> None:
    whole = {"whole": True, "size": 4 * 10**9, "seconds": 10.0}
    lines = told(
        {"name": "weights org/m@c0ffee"},
        {"a": whole, "b": whole, "c": {"whole": False, "why": "no chunk came for 120 s"}, "d": {}},
    )
    assert lines == [
        "weights org/m@c0ffee: from host to host to a and b, 4.0 GB each in 10 s, 800.0 MB/s in all",
        "weights org/m@c0ffee: c in the ordinary way: no chunk came for 120 s",
        "weights org/m@c0ffee: d in the ordinary way: it was not given",
    ]
