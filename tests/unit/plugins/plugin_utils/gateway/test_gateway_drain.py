"""Which servers may be drained, and what HAProxy says of them."""

from __future__ import annotations

import pytest
from ansible_collections.baremetal.vllm.plugins.module_utils.gateway.drain import (
    Server,
    StateError,
    drains,
    left_without,
    parse_config,
    parse_state,
    patch_state,
    stopped,
    unknown,
    with_sessions,
)
from hypothesis import given
from hypothesis import strategies as st

HEAD = (
    "1\n# be_id be_name srv_id srv_name srv_addr srv_op_state srv_admin_state srv_uweight srv_iweight "
    "srv_time_since_last_change srv_check_status srv_check_result srv_check_health srv_check_state srv_agent_state "
    "bk_f_forced_id srv_f_forced_id srv_fqdn srv_port srvrecord srv_use_ssl srv_check_port srv_check_addr "
    "srv_agent_addr srv_agent_port\n"
)
STATE = (
    HEAD
    + """\
3 model.two 1 lab1 127.0.0.1 2 0 1 1 20 6 3 2 6 0 0 0 - 8123 - 0 0 - - 0
3 model.two 2 lab2 127.0.0.1 2 8 1 1 9 6 3 2 6 0 0 0 - 8123 - 0 0 - - 0
3 model.two 3 lab3 127.0.0.1 0 0 1 1 9 8 2 0 6 0 0 0 - 8123 - 0 0 - - 0
4 model.solo 1 lab1 127.0.0.1 2 1 1 1 9 1 0 2 0 0 0 0 - 8124 - 0 0 - - 0
5 bodies 1 reader - 2 0 1 1 9 1 0 2 0 0 0 0 - 0 - 0 0 - - 0

"""
)
STATISTICS = """\
# pxname,svname,qcur,qmax,scur,smax,slim,stot,status,
model.two,lab1,0,0,7,9,,12,UP,
model.two,lab2,0,0,1,9,,12,DRAIN,
bodies,reader,0,0,3,9,,12,no check,

"""
CONFIG = """\
# backend model.commented
global
    maxconn 10
backend bodies
    server reader unix@/bodies.sock
backend model.two
    option httpchk GET /health
    server lab1 127.0.0.1:8123 weight 1
    server lab9 [fd00::1]:8125
backend model.solo
    server lab1 127.0.0.1:8124
"""


def test_a_view_of_what_haproxy_says() -> None:
    assert with_sessions(parse_state(STATE), STATISTICS) == {
        "two": {
            "lab1": Server("ready", True, 7),
            "lab2": Server("drained", True, 1),
            "lab3": Server("ready", False, 0),
        },
        "solo": {"lab1": Server("maint", True, 0)},
    }


@pytest.mark.parametrize(
    "text", ["", "\n", "Unknown command.\n", "2\n# be_id be_name\n", STATE[: len(HEAD) + 30], "1\n"]
)
def test_what_is_no_server_state(text: str) -> None:
    with pytest.raises(StateError):
        parse_state(text)


def test_a_gateway_that_is_down_comes_up_as_its_file_and_configuration_say() -> None:
    configured = parse_config(CONFIG)
    assert configured == {("two", "lab1"): "8123", ("two", "lab9"): "8125", ("solo", "lab1"): "8124"}
    assert stopped(configured, STATE.replace("lab2", "lab9")) == {
        "two": {"lab1": Server("ready", False), "lab9": Server("drained", False)},
        "solo": {"lab1": Server("maint", False)},
    }
    assert stopped(configured, "half a li")["two"]["lab9"] == Server("ready", False)


def test_pairs_that_the_gateway_does_not_have_are_all_named() -> None:
    found = unknown(parse_state(STATE), [("two", "lab1"), ("two", "lab7"), ("three", "lab1")])
    assert found == [
        "this gateway has no server lab7 for the model two (it has lab1, lab2, lab3)",
        "this gateway does not know the model three (it knows solo, two)",
    ]


UP, DOWN, OUT, MAINT = Server("ready", True), Server("ready", False), Server("drained", True), Server("maint", True)


@pytest.mark.parametrize(
    ("servers", "asked", "gap"),
    [
        ({"a": UP, "b": UP}, ["a"], False),
        ({"a": UP, "b": UP}, ["a", "b"], True),
        ({"a": UP, "b": OUT}, ["a"], True),
        ({"a": UP, "b": DOWN}, ["a"], True),
        ({"a": UP, "b": MAINT}, ["a"], True),
        ({"a": UP}, ["a"], True),
        ({"a": OUT}, ["a"], False),
        ({"a": DOWN}, ["a"], False),
        ({"a": OUT, "b": UP}, ["a"], False),
        ({"a": DOWN, "b": OUT}, ["a"], False),
        ({"a": UP, "b": UP, "c": UP}, ["a", "b"], False),
        ({"a": UP, "b": UP, "c": OUT}, ["a", "b"], True),
    ],
)
def test_a_model_is_left_without_a_server(servers: dict[str, Server], asked: list[str], gap: bool) -> None:
    assert left_without({"m": servers}, [("m", host) for host in asked]) == (["m"] if gap else [])


SERVERS = st.builds(Server, st.sampled_from(["ready", "drained", "maint"]), st.booleans())
VIEWS = st.dictionaries(
    st.sampled_from(["m", "n"]), st.dictionaries(st.sampled_from(["a", "b", "c"]), SERVERS, min_size=1)
)


@given(view=VIEWS, data=st.data())
def test_what_is_allowed_leaves_every_served_model_served(
    view: dict[str, dict[str, Server]], data: st.DataObject
) -> None:
    pairs = [(model, host) for model, servers in view.items() for host in servers]
    asked = data.draw(st.lists(st.sampled_from(pairs), unique=True) if pairs else st.just([]))
    gaps = left_without(view, asked)
    for model, servers in view.items():
        before = any(server.serves for server in servers.values())
        after = any(server.serves for host, server in servers.items() if (model, host) not in asked)
        assert (model in gaps) == (before and not after)


@given(text=st.sampled_from([STATE, HEAD, "", STATE[:900]]), data=st.data())
def test_a_patched_state_says_what_was_asked_and_nothing_else(text: str, data: st.DataObject) -> None:
    pairs = [("two", "lab1"), ("two", "lab2"), ("two", "lab3"), ("solo", "lab1"), ("new", "lab4")]
    asked, drained = data.draw(st.lists(st.sampled_from(pairs), unique=True)), data.draw(st.booleans())
    try:
        before = parse_state(text)
    except StateError:
        before = {}
    patched = patch_state(text, asked, drained, dict.fromkeys(pairs, "8123"))
    after = parse_state(patched)
    for model, host in pairs:
        was, now = before.get(model, {}).get(host), after.get(model, {}).get(host)
        if (model, host) in asked:
            assert now is not None
            assert now.admin == ("drained" if drained else "ready")
        else:
            assert now == was
    assert patch_state(patched, asked, drained, {}) == patched
    # HAProxy passes over a line whose state mixes drain and maintenance.
    assert {line.split()[6] for line in patched.splitlines()[2:]} <= {"0", "1", "8"}


def test_a_new_line_has_the_configured_port_and_none_is_made_for_what_is_not_configured() -> None:
    patched = patch_state("", [("m", "a"), ("m", "gone")], True, {("m", "a"): "8130"})
    assert [line.split()[3] + ":" + line.split()[18] for line in patched.splitlines()[2:]] == ["a:8130"]


def test_who_drained_what_is_told_of_exactly_what_is_drained() -> None:
    mine = {"who": "alice", "why": "psu", "since": "2026-01-01T00:00:00+00:00"}
    found = drains(parse_state(STATE), {"two/lab1": mine, "gone/lab1": mine})
    assert list(found) == ["two/lab2"]
    assert found["two/lab2"]["who"] is None
    assert drains(parse_state(STATE), {"two/lab2": mine}) == {"two/lab2": mine}
