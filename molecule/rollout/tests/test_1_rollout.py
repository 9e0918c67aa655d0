"""A fleet changes under load, and no client sees it: each stream is counted to its last token."""

from __future__ import annotations

import time

from rollout_fleet import GATEWAY, HOSTS, KEY, NEW, OLD, REPLICAS, ask, assert_whole, loaded, play, releases, ssh
from testlab import received

NEXT = "second-key-no-secret"


def test_a_new_release_reaches_every_host_and_goes_back_without_a_lost_token(steady: None) -> None:
    with loaded() as load:
        run = play("rollout", version=NEW)
        load.wait_for(8)
    assert run.rc == 0, run.text
    load.assert_unharmed()
    assert {release for models in releases().values() for release in models.values()} == {NEW}
    assert_whole()

    with loaded() as load:
        run = play("rollback", version=NEW)
        load.wait_for(8)
    assert run.rc == 0, run.text
    load.assert_unharmed()
    assert {release for models in releases().values() for release in models.values()} == {OLD}
    assert_whole()


def log(name: str, model: str) -> list[str]:
    return received(name, f"vllm-{model}.service", "-30min") if name in REPLICAS[model] else []


def test_keys_are_rotated_and_the_gateway_reloads_without_a_lost_token(steady: None) -> None:
    both, after = {"load": {"keys": [KEY, NEXT]}}, {"load": NEXT}
    with loaded() as old:
        assert play("gateway", gateway_keys=both).rc == 0
        with loaded(NEXT) as new:
            for __ in range(3):
                ssh(GATEWAY, "systemctl reload haproxy-vllm")
                new.wait_for(8)
            old.wait_for(8)
    old.assert_unharmed()
    with loaded(NEXT) as new:
        assert play("gateway", gateway_keys=after).rc == 0
        new.wait_for(8)
    new.assert_unharmed()
    assert (ask(key=KEY)[0], ask(key=NEXT)[0]) == (401, 200)
    assert play("gateway").rc == 0
    assert (ask(key=KEY)[0], ask(key=NEXT)[0]) == (200, 401)


def test_of_a_killed_replica_only_the_requests_in_flight_are_lost(steady: None) -> None:
    with loaded() as load:
        before = load.counts
        assert before["failed"] + before["cut"] == 0
        ssh(HOSTS[1], "systemctl kill --signal=KILL vllm-chat")
        time.sleep(0.5)
        struck = load.counts
        load.wait_for(30)
        after = load.counts
    lost = {words.split()[1] for words in after["failures"]}
    reached = {line.rpartition("mark=")[2] for line in log(HOSTS[1], "chat")}
    # What lay in the engine's sockets, not yet read, was in flight on it as well.
    assert len(lost - reached) <= 1, f"requests that never reached the dead engine were lost: {after['failures']}"
    assert (after["failed"], after["cut"]) == (struck["failed"], struck["cut"]), "others were lost later"
    assert_whole()
