"""Whatever fails while a fleet changes: it ends serving whole, in its old state or the new one, or with a clear word of why not."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from rollout_fleet import (
    GATEWAY,
    NEW,
    OLD,
    Playing,
    ask,
    assert_whole,
    drains,
    loaded,
    offer,
    other,
    play,
    processes,
    releases,
    ssh,
    view,
)
from testlab import playbook, received, wait_until

ONE = ("--limit", "lab1")
# Seconds from the verdict on a bad release until the fleet is where it was (the goal is two minutes).
BACK_WITHIN = 60
SWITCH = "switch | Run the other generation"


@pytest.mark.parametrize(
    ("release", "fault", "words"),
    [
        ("9.9.11", "does_not_start", "ValueError: No available memory for the cache blocks"),
        ("9.9.12", "wrong_answer", "Paris"),
        ("9.9.13", "slow", "first token"),
        ("9.9.14", "hangs_after:3", "no answer"),
    ],
)
def test_a_bad_release_stops_at_the_first_host_and_is_taken_back(
    steady: None, release: str, fault: str, words: str
) -> None:
    offer(release, fault, slow=60)
    before, was = processes(), releases()
    with loaded() as load:
        # Longer than the release takes to show what it is.
        playing = Playing("rollout", version=release, rollout_soak=4)
        playing.reaches("take_back | Judge what went wrong", 90)
        verdict = time.monotonic()
        run = playing.end()
        back = time.monotonic() - verdict
        load.wait_for(8)
    assert run.rc != 0
    assert words in run.text
    assert "lab1" in run.text.partition("PLAY RECAP")[0]
    assert back < BACK_WITHIN
    load.assert_unharmed()
    assert releases() == was
    after = processes()
    assert (after["lab2"], after["lab3"]) == (before["lab2"], before["lab3"]), "a second host was touched"
    assert_whole()


def test_a_release_that_does_not_know_an_option_is_refused_by_its_engine_and_taken_back(steady: None) -> None:
    offer("9.9.15", "bad_option")
    was = releases()
    run = play("rollout", *ONE, version="9.9.15")
    assert run.rc != 0
    assert "unrecognized arguments: --shutdown-timeout" in run.text
    assert releases() == was
    assert_whole()


@pytest.mark.parametrize(
    "task",
    [
        "drain | Wait for the running requests",
        "switch | Take the figures of what runs",
        SWITCH,
        "prove | Prove the endpoints",
        "soak | Ask its endpoints again",
    ],
)
def test_an_engine_that_is_killed_leaves_the_fleet_whole(steady: None, task: str) -> None:
    playing = Playing("rollout", *ONE, version=other())
    playing.reaches(task)
    if task == SWITCH:
        time.sleep(1.5)
    ssh("lab1", "pkill -9 -f ^VLLM::EngineCore || true")
    run = playing.end()
    assert run.rc == 0 or "lab1" in run.text.partition("PLAY RECAP")[0]
    assert_whole(30)


@pytest.fixture
def power() -> Iterator[None]:
    yield
    assert playbook("lab", lab_names=["lab1"]).rc == 0


def test_a_host_that_loses_its_power_is_named_and_finished_by_the_next_run(steady: None, power: None) -> None:
    release = other()
    with loaded() as load:
        playing = Playing("rollout", *ONE, version=release)
        playing.reaches(SWITCH)
        assert playbook("lab", lab_state="killed", lab_names=["lab1"]).rc == 0
        run = playing.end()
        load.wait_for(8)
    assert run.rc != 0
    assert "lab1" in run.text.partition("PLAY RECAP")[0]
    load.assert_unharmed()
    assert view()["chat"]["lab1"] != "UP"
    kept = next(why for server, why in drains().items() if "lab1" in server)
    assert kept["who"], "nobody knows who drained it"
    assert playbook("lab", lab_names=["lab1"]).rc == 0
    wait_until(lambda: ssh("lab1", "systemctl is-active vllm-chat"), 60, "the unit is back after the boot")
    again = play("rollout", *ONE, version=release)
    assert again.rc == 0, again.text
    assert releases()["lab1"]["chat"] == release
    assert_whole()


@pytest.mark.parametrize("task", ["drain | Wait for the running requests", SWITCH])
def test_a_control_node_that_dies_is_succeeded_by_the_same_command(steady: None, task: str) -> None:
    release = other()
    with loaded() as load:
        playing = Playing("rollout", *ONE, version=release)
        playing.reaches(task)
        playing.kill()
        again = play("rollout", *ONE, version=release)
        load.wait_for(8)
    assert again.rc == 0, again.text
    load.assert_unharmed()
    assert releases()["lab1"]["chat"] == release
    assert_whole()


def test_a_host_out_of_reach_of_the_control_node_goes_on_serving_and_is_finished_by_the_next_run(steady: None) -> None:
    release = other()
    cut = "nft 'add table inet cut; add chain inet cut in { type filter hook input priority -300; };"
    cut += " add rule inet cut in tcp dport 22 drop'"
    with loaded() as load:
        playing = Playing("rollout", *ONE, version=release)
        playing.reaches("prove | Prove the endpoints")
        # It comes back by itself: nobody could reach it to say so.
        ssh("lab1", f"systemd-run --quiet --on-active=25 nft delete table inet cut && {cut}")
        run = playing.end()
        load.wait_for(8)
    assert run.rc != 0
    assert "lab1" in run.text.partition("PLAY RECAP")[0]
    load.assert_unharmed()
    wait_until(
        lambda: ssh("lab1", "nft list tables | grep -c 'inet cut' || true").strip() == "0", 60, "the network is back"
    )
    again = play("rollout", *ONE, version=release)
    assert again.rc == 0, again.text
    assert releases()["lab1"]["chat"] == release
    assert_whole()


def test_a_gateway_that_is_killed_comes_back_with_what_was_drained(steady: None) -> None:
    release = other()
    playing = Playing("rollout", *ONE, version=release)
    playing.reaches("switch | Take the figures of what runs")
    ssh(GATEWAY, "systemctl kill --signal=KILL haproxy-vllm")
    wait_until(lambda: ask()[0] == 200, 20, "the gateway is back")
    drained = view()["chat"]["lab1"]
    run = playing.end()
    assert drained in ("DRAIN", "MAINT"), f"lab1 was drained, and after the kill it is {drained}"
    assert run.rc == 0 or "lab1" in run.text.partition("PLAY RECAP")[0]
    if run.rc != 0:
        assert play("rollout", *ONE, version=release).rc == 0
    assert_whole()


def test_a_disk_that_is_full_stops_before_any_host_is_touched(steady: None) -> None:
    """The real engine, of which there is no room for the first file; nothing of it ever starts."""
    before = processes()
    menu = {"chat": {"model": "/srv/stand-in", "kind": "chat", "hosts": "lab1,lab2,lab3", "port": 8101}}
    ssh(
        "lab1",
        "cp -a /opt/vllm /opt/vllm.kept && mount -t tmpfs -o size=20m tmpfs /opt/vllm && cp -a /opt/vllm.kept/. /opt/vllm",
    )
    try:
        run = play("rollout", "--limit", "lab1", version="0.32.0", vllm_models=menu, vllm_unchecked_releases=[])
    finally:
        ssh("lab1", "umount /opt/vllm; rm -rf /opt/vllm.kept")
    assert run.rc != 0
    assert "no host was switched" in run.text
    assert "/opt/vllm" in run.text
    assert "free" in run.text
    assert processes() == before
    assert_whole()


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
    hosts = {name: {"ansible_python_interpreter": "/opt/tomorrow/python3"} for name in ("lab1", GATEWAY)}
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
    assert releases()["lab1"]["chat"] == (OLD if release == NEW else NEW)
    assert_whole()


def test_a_second_operator_is_told_who_works_on_the_fleet_and_since_when(steady: None) -> None:
    release = other()
    first = Playing("rollout", *ONE, version=release)
    first.reaches("drain | Wait for the running requests")
    second = play("rollout", *ONE, version=release)
    done = first.end()
    assert second.rc != 0
    assert "@" in second.text
    assert "since" in second.text
    assert second.recap["lab1"]["changed"] == 0
    assert done.rc == 0, done.text
    assert_whole()


def test_no_request_ever_reached_two_engines(fleet: None) -> None:
    """After all these faults: one that kills its engine must not go round the fleet."""
    marks = [
        line.rpartition("mark=")[2]
        for name in ("lab1", "lab2", "lab3")
        for model in ("chat", "embed")
        if (name, model) != ("lab1", "embed")
        for line in received(name, f"vllm-{model}.service", "-20min")
    ]
    marks = [mark for mark in marks if mark != "-"]
    assert len(marks) > 100
    assert len(marks) == len(set(marks))
