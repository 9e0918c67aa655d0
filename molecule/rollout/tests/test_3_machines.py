"""Machines, networks, disks and clocks that fail while a fleet changes: it ends serving whole, or with a clear word of why not."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from rollout_fleet import (
    FIRST,
    GATEWAY,
    HOSTS,
    INVENTORY,
    NEW,
    OLD,
    SECOND,
    THIRD,
    ask,
    assert_whole,
    begin,
    drains,
    loaded,
    other,
    play,
    processes,
    releases,
    ssh,
    view,
)
from testlab import playbook, received, wait_until
from thoroughness import exhaustive

ONE = ("--limit", FIRST)
SWITCH = "switch | Run the other generation"


@pytest.fixture
def power() -> Iterator[None]:
    yield
    assert playbook("lab", inventories=[INVENTORY], lab_names=[FIRST]).rc == 0


def test_a_host_that_loses_its_power_is_named_and_finished_by_the_next_run(steady: None, power: None) -> None:
    release = other()
    with loaded() as load:
        playing = begin("rollout", *ONE, version=release)
        playing.reaches(SWITCH)
        assert playbook("lab", inventories=[INVENTORY], lab_state="killed", lab_names=[FIRST]).rc == 0
        run = playing.end()
        load.wait_for(8)
    assert run.rc != 0
    assert FIRST in run.text.partition("PLAY RECAP")[0]
    load.assert_unharmed()
    assert view()["chat"][FIRST] != "UP"
    kept = next(why for server, why in drains().items() if FIRST in server)
    assert kept["who"], "nobody knows who drained it"
    assert playbook("lab", inventories=[INVENTORY], lab_names=[FIRST]).rc == 0
    wait_until(lambda: ssh(FIRST, "systemctl is-active vllm-chat"), 60, "the unit is back after the boot")
    again = play("rollout", *ONE, version=release)
    assert again.rc == 0, again.text
    assert releases()[FIRST]["chat"] == release
    assert_whole()


@pytest.mark.parametrize("task", [pytest.param("drain | Wait for the running requests", marks=exhaustive), SWITCH])
def test_a_control_node_that_dies_is_succeeded_by_the_same_command(steady: None, task: str) -> None:
    release = other()
    with loaded() as load:
        playing = begin("rollout", *ONE, version=release)
        playing.reaches(task)
        playing.kill()
        again = play("rollout", *ONE, version=release)
        load.wait_for(8)
    assert again.rc == 0, again.text
    load.assert_unharmed()
    assert releases()[FIRST]["chat"] == release
    assert_whole()


@exhaustive
def test_a_host_out_of_reach_of_the_control_node_goes_on_serving_and_is_finished_by_the_next_run(steady: None) -> None:
    release = other()
    cut = "nft 'add table inet cut; add chain inet cut in { type filter hook input priority -300; };"
    cut += " add rule inet cut in tcp dport 22 drop'"
    with loaded() as load:
        playing = begin("rollout", *ONE, version=release)
        playing.reaches("prove | Prove the endpoints")
        # It comes back by itself: nobody could reach it to say so.
        ssh(FIRST, f"systemd-run --quiet --on-active=25 nft delete table inet cut && {cut}")
        run = playing.end()
        load.wait_for(8)
    # A connection that lives through the silence finishes its work; one that does not must be told.
    assert run.rc == 0 or FIRST in run.text.partition("PLAY RECAP")[0]
    load.assert_unharmed()
    wait_until(
        lambda: ssh(FIRST, "nft list tables | grep -c 'inet cut' || true").strip() == "0", 60, "the network is back"
    )
    again = play("rollout", *ONE, version=release)
    assert again.rc == 0, again.text
    assert releases()[FIRST]["chat"] == release
    assert_whole()


def test_a_gateway_that_is_killed_comes_back_with_what_was_drained(steady: None) -> None:
    release = other()
    playing = begin("rollout", *ONE, version=release)
    playing.reaches("switch | Take the figures of what runs")
    ssh(GATEWAY, "systemctl kill --signal=KILL haproxy-vllm")
    wait_until(lambda: ask()[0] == 200, 60, "the gateway is back")
    drained = view()["chat"][FIRST]
    run = playing.end()
    assert drained in ("DRAIN", "MAINT"), f"{FIRST} was drained, and after the kill it is {drained}"
    assert run.rc == 0 or FIRST in run.text.partition("PLAY RECAP")[0]
    if run.rc != 0:
        assert play("rollout", *ONE, version=release).rc == 0
    assert_whole()


def test_a_disk_that_is_full_stops_before_any_host_is_touched(steady: None) -> None:
    """The real engine, of which there is no room for the first file; nothing of it ever starts."""
    before = processes()
    menu = {"chat": {"model": "/srv/stand-in", "kind": "chat", "hosts": ",".join(HOSTS), "port": 8101}}
    ssh(
        FIRST,
        "cp -a /opt/vllm /opt/vllm.kept && mount -t tmpfs -o size=20m tmpfs /opt/vllm && cp -a /opt/vllm.kept/. /opt/vllm",
    )
    try:
        run = play("rollout", "--limit", FIRST, version="0.32.0", vllm_models=menu, vllm_unchecked_releases=[])
    finally:
        ssh(FIRST, "umount /opt/vllm; rm -rf /opt/vllm.kept")
    assert run.rc != 0
    assert "no host was switched" in run.text
    assert "/opt/vllm" in run.text
    assert "free" in run.text
    assert processes() == before
    assert_whole()


@exhaustive
def test_clocks_that_are_a_day_off_change_nothing(steady: None, tmp_path: Path) -> None:
    """A host and the gateway whose Python lives in tomorrow: lock, drains, generations and figures hold nevertheless."""
    tomorrow = (
        "import time, datetime\nreal, utc = time.time, datetime.timezone.utc\ntime.time = lambda: real() + 86400\n"
        "class Tomorrow(datetime.datetime):\n    @classmethod\n    def now(cls, tz=None):\n"
        "        return super().now(tz) + datetime.timedelta(days=1)\ndatetime.datetime = Tomorrow\n"
    )
    script = (
        "mkdir -p /opt/tomorrow && cat > /opt/tomorrow/sitecustomize.py <<'END'\n" + tomorrow + "END\n"
        "printf '#!/bin/sh\\nPYTHONPATH=/opt/tomorrow exec /usr/bin/python3 \"$@\"\\n' > /opt/tomorrow/python3\n"
        "chmod 755 /opt/tomorrow/python3"
    )
    skewed = tmp_path / "skewed.json"
    hosts = {name: {"ansible_python_interpreter": "/opt/tomorrow/python3"} for name in (FIRST, GATEWAY)}
    skewed.write_text(json.dumps({"all": {"hosts": hosts}}))
    release = other()
    for name in hosts:
        ssh(name, script)
    try:
        run = play("rollout", *ONE, "-i", str(skewed), version=release)
        # The way back is judged in today's time, with a generation that is of tomorrow.
        back = play("rollback", *ONE, version=release)
    finally:
        for name in hosts:
            ssh(name, "rm -rf /opt/tomorrow")
    assert run.rc == 0, run.text
    assert back.rc == 0, back.text
    assert releases()[FIRST]["chat"] == (OLD if release == NEW else NEW)
    assert_whole()


def test_a_second_operator_is_told_who_works_on_the_fleet_and_since_when(steady: None) -> None:
    release = other()
    # Longer than the others need to be refused.
    first = begin("rollout", *ONE, version=release, rollout_soak=30)
    first.reaches("drain | Wait for the running requests")
    others = [begin("rollout", *ONE, version=release), begin("site", version=release)]
    refused = [other.end() for other in others]
    done = first.end()
    for run in refused:
        assert run.rc != 0
        assert "@" in run.text
        assert "since" in run.text
        assert run.recap[FIRST]["changed"] == 0
    assert done.rc == 0, done.text
    assert_whole()


def test_no_request_ever_reached_two_engines(fleet: None) -> None:
    """After all these faults: one that kills its engine must not go round the fleet."""
    marks = [
        line.rpartition("mark=")[2]
        for name in (FIRST, SECOND, THIRD)
        for model in ("chat", "embed")
        if (name, model) != (FIRST, "embed")
        for line in received(name, f"vllm-{model}.service", "-20min")
    ]
    marks = [mark for mark in marks if mark != "-"]
    assert len(marks) > 100
    assert len(marks) == len(set(marks))
