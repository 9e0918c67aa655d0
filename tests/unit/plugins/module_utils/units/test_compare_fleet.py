"""A fleet against its plan: what each model on each host would see, moves across hosts, and how it is told."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from typing import Any

import pytest
from ansible_collections.baremetal.vllm.plugins.module_utils.units.causes import SECRETS, Cause
from ansible_collections.baremetal.vllm.plugins.module_utils.units.decide import UnitStep
from ansible_collections.baremetal.vllm.plugins.plugin_utils.plan import render
from ansible_collections.baremetal.vllm.plugins.plugin_utils.plan.compare import compare_fleet, count
from ansible_collections.baremetal.vllm.plugins.plugin_utils.planned.fleet import FleetPlan, Weights, read_plan

PORT = Cause("option", "port", "8001", "8002")
GPUS = Cause("gpus", "gpus", "0", "0,1")
LENGTH = Cause("option", "max-model-len", "16k", "32k")
START = UnitStep("u", "start", "new", write=True, enable=True)
KEEP = UnitStep("u", "keep", "as planned")


def plan(service: Callable[..., dict[str, Any]], **hosts: str) -> FleetPlan:
    """`host="a b"`: the models planned on each host."""
    engine = {"release": "0.32.0", "accelerator": "cuda", "path": "/opt/vllm/0.32.0"}
    hosts_of = {
        host: {
            "engine": engine if names else None,
            "weights": [],
            "services": [service(name=n) for n in names.split()],
        }
        for host, names in hosts.items()
    }
    return read_plan({"hosts": hosts_of})


def answer(steps: Mapping[str, UnitStep], **more: Any) -> dict[str, Any]:
    """What a host says, by the model's name; whatever is not started anew is installed there."""
    return {
        "status": "read", "whole": True, "refusals": [], "files": [], "weights": [], "engine": {}, "weights_files": [],
        "unread": [], "doubts": [], "filesets": {}, "gpus": {},
        "steps": [{**asdict(step), "unit": f"vllm-{name}.service"} for name, step in steps.items()],
        "units": {
            f"vllm-{name}.service": {"drop_ins": []} if step is START else {"release": "0.31.0", "drop_ins": [], "drift": []}
            for name, step in steps.items()
        },
        **more,
    }  # fmt: skip


def gone(name: str) -> UnitStep:
    return UnitStep(f"vllm-{name}.service", "remove", "no longer planned")


CASES = [
    (START, "started"),
    (UnitStep("u", "restart", "", causes=(LENGTH,)), "restarted"),
    (UnitStep("u", "restart", "", causes=(SECRETS,)), "restarted"),
    (UnitStep("u", "restart", "", causes=(PORT,)), "moved"),
    (UnitStep("u", "restart", "", causes=(GPUS, PORT)), "moved"),
    (UnitStep("u", "restart", "", causes=(GPUS, LENGTH)), "restarted"),
    (UnitStep("u", "start", "found failed", causes=(Cause("state", "found failed"),)), "restarted"),
    (gone("m"), "removed"),
    (UnitStep("u", "keep", "only After of its unit file changed", write=True), "rewritten"),
    (UnitStep("u", "keep", "not enabled at boot", enable=True), "rewritten"),
    (KEEP, "unchanged"),
    (UnitStep("u", "wait", "still starting"), "unchanged"),
]


@pytest.mark.parametrize(("step", "expected"), CASES)
def test_every_step_has_its_word(service: Any, step: UnitStep, expected: str) -> None:
    found = compare_fleet(plan(service, h="" if step.verb == "remove" else "m"), {"h": answer({"m": step})})
    assert [(d.model, d.change, d.why) for d in found] == [("m", expected, step.why)]


def test_a_model_that_leaves_one_host_and_comes_to_another_moves(service: Any) -> None:
    hosts = plan(service, a="", b="m", c="m", d="")
    found = compare_fleet(
        hosts,
        {
            "a": answer({"m": gone("m")}),
            "b": answer({"m": START}),
            "c": answer({"m": START}),
            "d": answer({"x": gone("x")}),
        },
    )
    assert [(d.host, d.model, d.change, d.why, d.goes_to, d.came_from) for d in found] == [
        ("a", "m", "moved", "to b", "b", ""),
        ("b", "m", "moved", "from a", "", "a"),
        ("c", "m", "started", "new", "", ""),
        ("d", "x", "removed", "no longer planned", "", ""),
    ]
    assert {change: n for change, n in count(found).items() if n} == {"moved": 1, "started": 1, "removed": 1}


def test_a_host_that_was_not_read_takes_part_in_nothing(service: Any) -> None:
    found = compare_fleet(plan(service, a="", b="m"), {"b": answer({"m": START})})
    assert [(d.host, d.change) for d in found] == [("b", "started")]


def test_the_table_has_a_line_for_everything_that_would_change(service: Any) -> None:
    hosts = plan(service, a="m", b="m", c="", d="m")
    weights = (
        Weights("hub", repo="Org/New", revision="c" * 40, path="/w/new"),
        Weights("pushed", pushed_from="/home/me/small", path="/w/small", digest="d" * 64),
    )
    hosts = replace(hosts, hosts={**hosts.hosts, "a": replace(hosts.hosts["a"], weights=weights)})
    restart = UnitStep("u", "restart", "max-model-len 16k → 32k", causes=(LENGTH,))
    answers = {
        "a": answer(
            {"m": restart},
            engine={"release": "0.32.0", "install": True, "why": "it is not installed", "remove": ["0.30.0"], "packages": ["g++"]},
            weights=[{"path": "/w/new", "state": "absent", "detail": "", "size": 0},
                     {"path": "/w/small", "state": "present", "detail": "", "size": 1}],
            files=["/usr/local/libexec/vllm-wait-ready"],
        ),
        "b": {"status": "unreachable", "why": "ssh: no route"},
        "c": answer({}),
        "d": answer({"m": KEEP}, whole=False),
    }  # fmt: skip
    differences = compare_fleet(hosts, {h: a for h, a in answers.items() if a["status"] == "read"})
    answers["d"]["units"]["vllm-m.service"]["drop_ins"] = [{"path": "/e/x.conf", "sets": ["Nice"], "newer": False}]
    assert render.difference_table(hosts, differences, answers).splitlines() == [
        "HOST  MODEL              CHANGE       WHY",
        "a     (engine 0.32.0)    installed    it is not installed",
        "a     (packages)         installed    g++",
        "a     (engine 0.30.0)    removed      no longer used",
        "a     (weights Org/New)  fetched      not on the host",
        "a     (file)             rewritten    /usr/local/libexec/vllm-wait-ready",
        "a     m                  restarted    max-model-len 16k → 32k",
        "b                        unreachable  ssh: no route",
        "c     (no model)         unchanged",
        "d     m                  unchanged",
    ]
    differences = compare_fleet(hosts, {h: a for h, a in answers.items() if a["status"] == "read"})
    assert render.details(differences, answers).splitlines() == [
        "", "a  m  restarted", "  - max-model-len: 16k", "  + max-model-len: 32k",
        "", "d  m  unchanged", "  drop-in /e/x.conf sets Nice",
        "", "d was read without root: changed secrets and environments of running units stay unseen",
    ]  # fmt: skip
    assert render.summary(differences, answers) == "1 restarted, 1 unchanged, 1 host unreachable"


def test_the_document_says_its_schema_and_is_null_where_no_host_was_asked(service: Any) -> None:
    hosts = plan(service, a="m", b="m", c="m")
    bare = json.loads(json.dumps(render.document(hosts, "digest", None, {})))
    assert bare == {"schema": 1, "digest": "digest", "plan": hosts.document(), "differences": None}
    answers = {"a": answer({"m": START}), "b": {"status": "failed", "why": "no sudo"}}
    full = json.loads(json.dumps(render.document(hosts, "digest", compare_fleet(hosts, {"a": answers["a"]}), answers)))
    of_hosts = full["differences"]["hosts"]
    assert {host: said["status"] for host, said in of_hosts.items()} == {"a": "read", "b": "failed", "c": "not asked"}
    model = of_hosts["a"]["models"][0]
    assert (model["change"], model["why"], model["before"], model["after"]["port"]) == ("started", "new", {}, 8001)
    assert full["differences"]["counts"]["started"] == 1


def test_every_model_of_a_thousand_hosts_is_compared_and_counted(service: Any) -> None:
    names = [f"m{i}" for i in range(8)]
    hosts = plan(service, **{f"h{i}": " ".join(names) for i in range(1000)})
    steps = [KEEP, START, gone("m2"), UnitStep("u", "restart", "", causes=(LENGTH, PORT))]
    answers = {f"h{i}": answer({name: steps[(i + j) % 4] for j, name in enumerate(names)}) for i in range(1000)}
    differences = compare_fleet(hosts, answers)
    render.difference_table(hosts, differences, answers)
    render.details(differences, answers)
    render.document(hosts, "", differences, answers)
    assert len(differences) == 8000
    assert count(differences)["moved"] == 2000
