"""The state of a fleet from what hosts, endpoints and gateways said: each thing that is wrong is told, and nothing else."""

from __future__ import annotations

import copy
import datetime
import json
from typing import Any

import pytest
from ansible_collections.baremetal.vllm.plugins.plugin_utils.difference.look import OF_GATEWAY, read_look
from ansible_collections.baremetal.vllm.plugins.plugin_utils.fleet.status_document import (
    document,
    fleet_problems,
    host_problems,
)
from ansible_collections.baremetal.vllm.plugins.plugin_utils.fleet.status_gather import (
    Fleet,
    held,
    look_at_gateway,
    read_gateway,
    read_host,
)
from ansible_collections.baremetal.vllm.plugins.plugin_utils.fleet.status_table import notes, status_table
from ansible_collections.baremetal.vllm.plugins.plugin_utils.inventory.jsonform import build
from ansible_collections.baremetal.vllm.plugins.plugin_utils.planned.fleet import HostPlan

NOW = datetime.datetime(2026, 11, 23, 20, 0, tzinfo=datetime.timezone.utc)
SERVICE = {
    "name": "m", "unit": "vllm-m.service", "kind": "chat", "release": "0.33.0", "gpus": [0], "address": "0.0.0.0",
    "port": 8001, "weights": "/srv/m",
}  # fmt: skip
PLANNED = {"services": [SERVICE], "weights": [{"path": "/srv/m", "source": "pushed", "from": "/home/ann/m"}]}
UNIT = {
    "state": "active (running)", "restarts": 2, "since": "2026-11-23T19:00:00+00:00", "seconds": 3600.0,
    "release": "0.33.0", "kind": "chat", "gpus": [0], "address": "0.0.0.0", "port": 8001, "weights": "/srv/m",
    "drift": [], "drop_ins": [],
}  # fmt: skip
KEEP = {"unit": "vllm-m.service", "verb": "keep", "why": "as planned", "write": False, "enable": False, "causes": []}
SETTLED: dict[str, list[str]] = {"steps": [], "warnings": [], "unknown": []}
STATE = {
    "status": "read", "schema": 1, "host": "lab1", "endpoints": [], "unread": [], "doubts": [], "weights_files": [], "answers": [],
    "unasked": "", "holder": {}, "gateway": {}, "gpus": {}, "upkeep": {}, "filesets": {"firewall": SETTLED, "canary": SETTLED}, "steps": [KEEP], "units": {"vllm-m.service": UNIT}, "files": [], "refusals": [], "whole": True,
    "engine": {"release": "0.33.0", "install": False, "why": "", "remove": [], "packages": []},
    "weights": [{"path": "/srv/m", "state": "present", "detail": ""}], "canary": None,
    "generation": {"current": 5, "kept": [{"number": 5, "outcome": "proven", "created": "C", "plan": "p", "releases": []}]},
}  # fmt: skip


def check(name: str, passed: bool = True, seconds: float = 0.02) -> dict[str, Any]:
    seen = {"observed": "HTTP 500" if not passed else "a text", "expected": "a text", "skipped": ""}
    return {"name": name, "passed": passed, "seconds": seconds, **seen}


CHECKED: dict[str, Any] = {
    "results": [
        {"unit": "vllm-m.service", "checks": [check("healthy"), check("listed"), check("answer", seconds=0.25)]}
    ]
}
GATEWAY = {
    "item": "gw1", "running": True, "drains": {},
    "servers": {"m": {"lab1": {"admin": "ready", "up": True, "sessions": 3}}},
}  # fmt: skip


def fleet(
    state: Any = None,
    checked: Any = None,
    *gateways: Any,
    planned: Any = PLANNED,
    files: Any = None,
) -> Fleet:
    """`checked`: `results` of the endpoints that were asked, or why none was (`msg`); `files`: those of the gateways."""
    routed = tuple(read_gateway(gateway["item"], gateway, files) for gateway in gateways)
    asked = CHECKED if checked is None else checked
    look = {**(STATE if state is None else state)}
    if look.get("status") == "read":
        look.update(answers=asked.get("results", []), unasked=asked.get("msg", ""))
    host = read_host("lab1", build(HostPlan, planned), read_look("lab1", look), routed)
    return Fleet((host,), routed, None)


def problems(found: Fleet) -> list[str]:
    return fleet_problems(found) + host_problems(found.hosts[0], found)


def with_(base: dict[str, Any], *path: Any, value: Any) -> dict[str, Any]:
    """A copy of nested data with one thing changed."""
    changed = copy.deepcopy(base)
    at = changed
    for key in path[:-1]:
        at = at[key]
    at[path[-1]] = value
    return changed


def test_a_host_that_is_a_gateway_alone_is_looked_at_for_that() -> None:
    look = {
        "status": "read",
        "schema": 1,
        "host": "gw1",
        "holder": {},
        "gateway": GATEWAY,
        "filesets": {"gateway": REWRITE},
    }
    seen = look_at_gateway("gw1", read_look("gw1", look, OF_GATEWAY))
    assert (seen.running, seen.servers["m"]["lab1"]["up"], len(seen.drift)) == (True, True, 1)
    dumb = look_at_gateway("gw1", read_look("gw1", {**look, "gateway": {"msg": "HAProxy gave no answer"}}, OF_GATEWAY))
    assert (dumb.status, dumb.why) == ("failed", "HAProxy gave no answer")
    lost = look_at_gateway("gw1", read_look("gw1", {"unreachable": True, "msg": "no route"}, OF_GATEWAY))
    assert (lost.status, lost.why) == ("unreachable", "no route")
    half = {key: value for key, value in look.items() if key != "gateway"}
    assert look_at_gateway("gw1", read_look("gw1", half, OF_GATEWAY)).why.startswith(
        "its look is not whole (it lacks gateway)"
    )


def test_a_fleet_as_planned_has_one_line_per_endpoint_and_no_problem() -> None:
    found = fleet(None, None, GATEWAY)
    header, row = status_table(found, NOW).splitlines()
    assert header.split() == ["HOST", "MODEL", "KIND", "RELEASE", "SINCE", "RESTARTS", "HEALTH", "GATEWAY", "DRIFT"]
    assert row.split() == ["lab1", "m", "chat", "0.33.0", "2026-11-23", "19:00", "2", "0.25", "s", "ready", "-"]
    assert problems(found) == []
    assert notes(found).splitlines() == [
        "gateway gw1: up, 1 of 1 servers ready, 3 requests under way",
        "1 endpoint on 1 host: all as planned, all answer",
    ]


REMOVE = {**KEEP, "unit": "vllm-old.service", "verb": "remove", "why": "no longer planned"}
RESTART = {
    **KEEP, "verb": "restart", "why": "release 0.32.0 → 0.33.0",
    "causes": [{"what": "release", "name": "release", "before": "0.32.0", "after": "0.33.0"}],
}  # fmt: skip
START = {**KEEP, "verb": "start", "why": "new", "write": True, "enable": True}
FAILED = {
    "results": [{"unit": "vllm-m.service", "checks": [check("healthy"), check("listed"), check("answer", False)]}]
}
CANARY = {"runs": True, "failed": True, "complaints": ["asking m", "m: no answer within 30 s"]}
RECORD = {"who": "ann@control", "since": "2026-11-23T19:58:00+00:00", "why": "new cables"}
CASES: list[tuple[str, Any, Any, Any, list[str]]] = [
    ("an older release", with_(STATE, "steps", value=[RESTART]), None, None, ["m: would be restarted: release 0.32.0 → 0.33.0"]),
    (
        "a model that nobody plans, and that no gateway knows",
        {**STATE, "steps": [KEEP, REMOVE], "units": {**STATE["units"], "vllm-old.service": UNIT}},  # type: ignore[dict-item]
        None,
        GATEWAY,
        ["old: not planned"],
    ),
    (
        "a planned model that is not there",
        {**STATE, "steps": [START], "units": {}},
        {"results": []},
        None,
        ["m: not installed"],
    ),
    (
        "an edit by hand",
        with_(STATE, "units", "vllm-m.service", "drift", value=["unit file edited by hand"]),
        None,
        None,
        ["m: unit file edited by hand"],
    ),
    ("an endpoint that answers wrongly", None, FAILED, None, ["m: fails: answer: observed HTTP 500, expected a text"]),
    ("endpoints that could not be asked", None, {"failed": False, "msg": "no Python"}, None, ["m: not asked: no Python"]),
    ("a file", with_(STATE, "files", value=["/etc/x"]), None, None, ["/etc/x is not as planned"]),
    (
        "a release that is missing",
        with_(STATE, "engine", "install", value=True),
        None,
        None,
        ["engine 0.33.0: "],
    ),
    (
        "weights that are missing",
        with_(STATE, "weights", 0, "state", value="absent"),
        None,
        None,
        ["weights m: not on the host"],
    ),
    ("a canary's complaint", with_(STATE, "canary", value=CANARY), None, None, ["the canary failed: m: no answer within 30 s"]),
    (
        "a canary that was stopped",
        with_(STATE, "canary", value={"runs": False, "failed": False, "complaints": []}),
        None,
        None,
        ["the canary does not run: its timer canary-vllm.timer is not active"],
    ),
    (
        "a drained server",
        None,
        None,
        {**with_(GATEWAY, "servers", "m", "lab1", "admin", value="drained"), "drains": {"m/lab1": RECORD}},
        ["m: drained at gw1 by ann@control since 2026-11-23T19:58:00+00:00 (new cables)"],
    ),
    (
        "a drained server that nobody knows of",
        None,
        None,
        with_(GATEWAY, "servers", "m", "lab1", "admin", value="drained"),
        ["m: drained at gw1, and no record says by whom"],
    ),
    ("a server that is down", None, None, with_(GATEWAY, "servers", "m", "lab1", "up", value=False), ["m: down at gw1"]),
    ("a server that no gateway has", None, None, with_(GATEWAY, "servers", value={}), ["m: not routed at gw1"]),
    (
        "a gateway that is down",
        None,
        None,
        {**GATEWAY, "running": False},
        ["gateway gw1: haproxy-vllm.service does not run there"],
    ),
    (
        "a gateway that cannot be reached",
        None,
        None,
        {"item": "gw1", "unreachable": True, "msg": "no\n route"},
        ["gateway gw1: unreachable: no route"],
    ),
    (
        "a certificate that has ended",
        None,
        None,
        {**GATEWAY, "certificate": {"path": "/c.pem", "ends": "2026-11-20T11:12:13+00:00", "days": -3.2}},
        ["gateway gw1: the certificate that HAProxy loaded from /c.pem ended on 2026-11-20 11:12 UTC: clients refuse it"],
    ),
    ("a host that cannot be reached", {"status": "unreachable", "why": "no route"}, None, GATEWAY, ["unreachable: no route"]),
    ("a host that was never asked", {"msg": "lost before"}, None, None, ["failed: lost before"]),
]  # fmt: skip


@pytest.mark.parametrize(("state", "checked", "gateway", "told"), [c[1:] for c in CASES], ids=[c[0] for c in CASES])
def test_whatever_is_wrong_is_one_line(state: Any, checked: Any, gateway: Any, told: list[str]) -> None:
    found = fleet(state, checked, *([gateway] if gateway else []))
    assert problems(found) == told
    text = notes(found)
    assert all(line in text for line in told)
    status_table(found, NOW)
    whole = json.loads(json.dumps(document(found, "T", "D")))
    assert (whole["schema"], whole["time"], whole["plan_digest"]) == (1, "T", "D")
    assert len(whole["problems"]) == 1
    assert whole["hosts"]["lab1"]["problems"] == [line for line in told if not line.startswith("gateway")]


REWRITE = {**SETTLED, "steps": ["write /etc/vllm/canary.json", "start canary-vllm.timer (it is inactive)"]}


@pytest.mark.parametrize(
    ("found", "told"),
    [
        (SETTLED, []),
        (REWRITE, ["not as planned: would write /etc/vllm/canary.json, start canary-vllm.timer (it is inactive)"]),
        ({**SETTLED, "unknown": ["systemctl: no end after 60 s"]}, ["systemctl: no end after 60 s"]),
    ],
)
def test_what_stands_around_the_engines_is_compared(found: Any, told: list[str]) -> None:
    stopped = {**STATE, "canary": {"runs": False, "failed": False, "complaints": []}}
    around = {**stopped, "filesets": {"firewall": SETTLED, "canary": found}}
    assert problems(fleet(around, None, GATEWAY)) == (
        [f"canary: {line}" for line in told] or ["the canary does not run: its timer canary-vllm.timer is not active"]
    )


@pytest.mark.parametrize(
    ("found", "told"),
    [
        (None, []),
        (SETTLED, []),
        (REWRITE, ["not as planned: would write /etc/vllm/canary.json, start canary-vllm.timer (it is inactive)"]),
        ({**SETTLED, "unknown": ["firewall-cmd says\nsomething"]}, ["firewall-cmd says something"]),
    ],
)
def test_what_stands_on_a_gateway_is_compared(found: Any, told: list[str]) -> None:
    assert problems(fleet(None, None, GATEWAY, files=found)) == [f"gateway gw1: {line}" for line in told]


@pytest.mark.parametrize(
    ("look", "why"),
    [
        ({**STATE, "schema": 0}, "its look has the form 0, and this collection reads 1: look again"),
        ({**STATE, "host": "lab2"}, "its look is of another host (lab2): look again"),
        (
            {key: value for key, value in STATE.items() if key not in ("weights", "filesets")},
            "its look is not whole (it lacks filesets, weights): look again",
        ),
    ],
)
def test_a_look_of_another_version_of_another_host_or_half_of_one_is_none(look: Any, why: str) -> None:
    assert problems(fleet(look)) == [f"failed: {why}"]


def test_gateways_that_disagree_are_told_apart() -> None:
    other = with_({**GATEWAY, "item": "gw2"}, "servers", "m", "lab1", "admin", value="drained")
    assert "gw1 ready, gw2 drained" in status_table(fleet(None, None, GATEWAY, other), NOW)


def test_a_change_that_did_not_end_well_is_told_with_what_is_installed() -> None:
    newest = {"number": 6, "outcome": "failed", "created": "C", "plan": "p"}
    text = notes(fleet(with_(STATE, "generation", value={"current": 5, "kept": [newest]})))
    assert "lab1: generation 6 (C) ended failed; what is installed is generation 5" in text


@pytest.mark.parametrize(
    ("registered", "looks", "lock"),
    [
        ([], [], None),
        ([None, {"results": [{"holder": {}}]}], [{"holder": {}}], None),
        ([{"results": [{"unreachable": True}, {"holder": {"who": "ann"}}]}], [], {"who": "ann"}),
        ([], [{"status": "failed"}, {"holder": {"who": "ann"}}], {"who": "ann"}),
    ],
)
def test_who_changes_the_fleet_is_found_at_any_keeper(registered: Any, looks: Any, lock: Any) -> None:
    assert held(registered, looks) == lock
    if lock:
        locked = Fleet((), (), {**lock, "since": "S", "what": "rollout"})
        assert "lock: held by ann since S (rollout)" in notes(locked)


LIBC = "/usr/lib/x86_64-linux-gnu/libc.so.6"
LIBCUDA = "/usr/lib/x86_64-linux-gnu/libcuda.so.535.154.05"
RESTARTED = "rollout.yml -e rollout_restart_replaced=true restarts these engines, host by host"
UPKEEP = {"reboot_due": None, "reboots_itself": "", "low": {}}
NOTICES: list[tuple[str, Any, Any, list[str]]] = [
    ("nothing", with_(STATE, "upkeep", value=UPKEEP), GATEWAY, []),
    (
        "an engine with old libraries",
        with_(STATE, "units", "vllm-m.service", "replaced", value=[LIBC, "/opt/vllm/lib.so"]),
        GATEWAY,
        ["lab1: m: an update replaced lib.so, libc.so.6 under the running process", RESTARTED],
    ),
    (
        "an engine with the driver's old libraries, whatever else is old",
        with_(
            with_(STATE, "units", "vllm-m.service", "replaced", value=[LIBC, LIBCUDA]),
            "units", "vllm-m.service", "replaced_driver", value=[LIBCUDA],
        ),
        GATEWAY,
        [
            "lab1: m: an update replaced the NVIDIA driver's libraries (libcuda.so.535.154.05) under the running process, and the"
            " kernel has the module from before: CUDA would fail in a restarted engine",
            "driver.yml --limit lab1 brings the kernel's module to these libraries (anew, or by a reboot with"
            " -e nvidia_driver_reboot=true); until then no rollout restarts these engines for libraries",
        ],
    ),
    (
        "a gateway with old libraries",
        None,
        {**GATEWAY, "replaced": {"haproxy-vllm-bodies.service": [LIBC], "keepalived-vllm.service": [LIBC]}},
        [
            "gateway gw1: haproxy-vllm-bodies.service: an update replaced libc.so.6 under the running process; "
            "`systemctl reload haproxy-vllm.service` there takes it up",
            "gateway gw1: keepalived-vllm.service: an update replaced libc.so.6 under the running process; "
            "`systemctl restart keepalived-vllm.service` there takes it up",
        ],
    ),
    (
        "a certificate that ends soon",
        None,
        {**GATEWAY, "certificate": {"path": "/c.pem", "ends": "2026-12-08T11:12:13+00:00", "days": 9.0}},
        ["gateway gw1: the certificate that HAProxy loaded from /c.pem ends on 2026-12-08 11:12 UTC"],
    ),
    (
        "a certificate that is good for long",
        None,
        {**GATEWAY, "certificate": {"path": "/c.pem", "ends": "2027-02-08T11:12:13+00:00", "days": 70.0}},
        [],
    ),
    (
        "a host that will reboot",
        with_(STATE, "upkeep", value={"reboot_due": "linux-image", "reboots_itself": "02:00", "low": {"/": "9 MiB free"}}),
        None,
        [
            "lab1: a reboot is due for linux-image",
            "lab1: reboots by itself where an update asks for it, at 02:00, with its engines running (Automatic-Reboot)",
            "lab1: / is almost full: 9 MiB free",
        ],
    ),
]  # fmt: skip


@pytest.mark.parametrize(("state", "gateway", "told"), [c[1:] for c in NOTICES], ids=[c[0] for c in NOTICES])
def test_what_is_worth_knowing_is_told_and_is_no_fault(state: Any, gateway: Any, told: list[str]) -> None:
    found = fleet(state, None, *([gateway] if gateway else []))
    assert problems(found) == []
    text = notes(found).splitlines()
    assert text[-1] == "1 endpoint on 1 host: all as planned, all answer"
    assert [line.strip() for line in text if line.startswith("  ")] == told
    whole = json.loads(json.dumps(document(found, "T", "D")))
    assert (whole["notices"], whole["problems"]) == (told, [])
    paths = (state or STATE)["units"]["vllm-m.service"].get("replaced", [])
    assert whole["hosts"]["lab1"]["endpoints"][0]["replaced"] == paths
