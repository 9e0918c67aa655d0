"""The lock of a fleet: one of many wins, its own alone gives it back, and the dead are told from the living."""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.baremetal.vllm.plugins.module_utils.gateway import lock
from ansible_collections.baremetal.vllm.plugins.plugin_utils.fleet.process import start_of, this_run


def record(identity: str = "a1", **more: Any) -> dict[str, Any]:
    base = {"who": "ann@desk", "what": "vLLM 0.33.0", "since": "2026-01-01T00:00:00+00:00", "pid": 7}
    return {**base, "id": identity, "started": "100", "node": "n", "boot": "b", **more}


def test_held_released_and_held_by_another(tmp_path: Path) -> None:
    path = tmp_path / "vllm" / "rollout.lock"
    assert lock.hold(path, record(), check=True) == (True, record())
    assert not path.parent.exists()
    assert lock.hold(path, record()) == (True, record())
    assert lock.hold(path, record(since="later")) == (False, record())
    assert lock.hold(path, record("b2")) == (False, record())
    assert lock.release(path, "b2") == (False, record())
    assert lock.release(path, "a1", check=True) == (True, None)
    assert lock.read(path) == record()
    assert lock.release(path, "a1") == (True, None)
    assert lock.release(path, "a1") == (False, None)
    assert list(path.parent.iterdir()) == []


def test_taking_over_names_the_holder(tmp_path: Path) -> None:
    path = tmp_path / "rollout.lock"
    lock.hold(path, record("a1"))
    assert lock.hold(path, record("b2"), take_over="zz") == (False, record("a1"))
    assert lock.hold(path, record("b2"), take_over="a1") == (True, record("a1"))
    assert lock.hold(path, record("c3"), take_over="a1") == (False, record("b2")), "whoever comes later has lost"


@pytest.mark.parametrize("text", ["", "{", "[]", '{"id": 3}', "\x00"])
def test_a_record_that_nobody_can_read_is_held(tmp_path: Path, text: str) -> None:
    path = tmp_path / "rollout.lock"
    path.write_text(text)
    taken, holder = lock.hold(path, record())
    assert (taken, holder["id"]) == (False, lock.UNREADABLE)
    assert "rollout_take_over=unreadable" in lock.refusal(holder)
    assert lock.hold(path, record(), take_over=lock.UNREADABLE)[0]


def race(path: str, gate: Any, won: Any, number: int) -> None:
    gate.wait()
    taken, __ = lock.hold(Path(path), record(f"r{number}"), take_over="old")
    if taken:
        won.append(number)


@pytest.mark.parametrize("held", [False, True])
def test_of_many_at_once_exactly_one_wins(tmp_path: Path, held: bool) -> None:
    context = multiprocessing.get_context("fork")
    with context.Manager() as manager:
        for turn in range(3):
            path = tmp_path / f"{turn}.lock"
            if held:
                lock.hold(path, record("old"))
            won, gate = manager.list(), context.Barrier(8)
            racers = [context.Process(target=race, args=(str(path), gate, won, n)) for n in range(8)]
            for racer in racers:
                racer.start()
            for racer in racers:
                racer.join()
            assert len(won) == 1
            found = lock.read(path)
            assert found is not None
            assert found["id"] == f"r{won[0]}"


@pytest.mark.parametrize(
    ("holder", "started", "dead"),
    [
        ({}, "100", False),
        ({}, None, True),
        ({}, "101", True),
        ({"boot": "earlier"}, "100", True),
        ({"node": "other"}, None, False),
        ({"node": ""}, None, False),
    ],
)
def test_the_dead_are_known_on_their_own_control_node_alone(holder: Any, started: str | None, dead: bool) -> None:
    assert lock.dead(record(**holder), record("b2"), started) == dead


def test_the_refusal_tells_who_since_when_what_for_and_the_way_out() -> None:
    told = lock.refusal(record())
    for part in ("ann@desk", "2026-01-01T00:00:00+00:00", "vLLM 0.33.0", "process 7", "rollout_take_over=a1"):
        assert part in told


def test_processes_are_told_from_later_ones_of_the_same_number() -> None:
    sleeper = subprocess.Popen(["sleep", "30"])
    began = start_of(sleeper.pid)
    assert began is not None
    assert began.isdecimal()
    sleeper.kill()
    time.sleep(0.05)
    assert start_of(sleeper.pid) is None, "a zombie has ended"
    sleeper.wait()
    assert start_of(sleeper.pid) is None
    assert start_of(os.getpid()) not in (None, began)


SCRIPT = """
import multiprocessing, os
from ansible_collections.baremetal.vllm.plugins.plugin_utils.fleet.process import this_run
def worker():
    os.setsid()
    print(this_run().pid, this_run().identity, flush=True)
print(os.getpid(), this_run().identity, flush=True)
for _ in range(2):
    forked = multiprocessing.get_context("fork").Process(target=worker)
    forked.start()
    forked.join()
"""


def test_every_worker_of_a_run_is_the_same_run() -> None:
    ran = [
        subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=True) for __ in range(2)
    ]
    lines = [set(done.stdout.splitlines()) for done in ran]
    assert [len(found) for found in lines] == [1, 1]
    assert lines[0] != lines[1]


def test_without_proc_a_run_is_known_and_its_death_is_not(tmp_path: Path) -> None:
    run = this_run(proc=tmp_path, machine=tmp_path / "machine-id")
    assert (run.node, run.boot, run.started, run.pid) == ("", "", "", os.getppid())
    assert run.identity
