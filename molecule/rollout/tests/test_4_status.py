"""What runs is told as it is, and what leaves the fleet leaves it without a lost token and without a trace."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import testlab
from load import Load, load
from rollout_fleet import (
    FIRST,
    GATEWAY,
    GOOD,
    HOSTS,
    KEY,
    OLD,
    PORT,
    REPLICAS,
    SECOND,
    THIRD,
    ask,
    assert_whole,
    play,
    processes,
    ssh,
    view,
)
from thoroughness import exhaustive

PLACES = "/opt/vllm /var/lib/vllm /var/cache/vllm /etc/vllm /etc/*.d/vllm.conf /etc/needrestart/conf.d/vllm-*"


def status(tmp_path: Path, *arguments: str) -> tuple[testlab.Run, dict[str, Any]]:
    """status.yml and its document; it changes nothing, whatever it finds."""
    path = tmp_path / "status.json"
    run = play("status", *arguments, version=running(), vllm_status_json=str(path))
    assert run.changed == 0
    return run, json.loads(path.read_text())


def running() -> str:
    """The good release that the tests before left the fleet on."""
    line = ssh(FIRST, "systemctl show -p ExecStart vllm-chat.service")
    return next((release for release in reversed(GOOD) if f"/{release}/" in line), OLD)


@contextmanager
def chatting() -> Iterator[Load]:
    with load(f"http://{testlab.address(GATEWAY)}:{PORT}", KEY, chat=["chat"], users=6, tokens=(10, 40)) as held:
        yield held


def test_a_whole_fleet_is_told_endpoint_by_endpoint(steady: None, tmp_path: Path) -> None:
    run, told = status(tmp_path)
    assert run.rc == 0, run.text
    assert (told["schema"], told["problems"], told["lock"]) == (1, [], None)
    found = {(host, e["model"]): e for host, part in told["hosts"].items() for e in part["endpoints"]}
    assert set(found) == {(host, model) for model, hosts in REPLICAS.items() for host in hosts}
    for (host, model), endpoint in found.items():
        assert (endpoint["health"], endpoint["gateways"], endpoint["drift"]) == ("answers", {GATEWAY: "ready"}, [])
        assert endpoint["release"] == running()
        pid = testlab.show(testlab.host(host), f"vllm-{model}.service", "NRestarts")
        assert endpoint["restarts"] == int(pid["NRestarts"])
    # Hosts that have the same to tell share their lines.
    table = run.text.partition("\nHOST ")[2].partition("\n\n")[0]
    assert {model for model in REPLICAS if f" {model} " in table} == set(REPLICAS)


def test_a_part_of_the_fleet_is_told_alone(steady: None, tmp_path: Path) -> None:
    run, told = status(tmp_path, "--limit", FIRST)
    assert run.rc == 0, run.text
    assert set(told["hosts"]) == {FIRST}
    assert told["hosts"][FIRST]["endpoints"][0]["gateways"] == {GATEWAY: "ready"}


def by_hand(state: str) -> None:
    """Somebody at the gateway's admin socket, who leaves no record."""
    said = f"set server model.chat/{SECOND} state {state}"
    words = "import socket; s = socket.socket(socket.AF_UNIX); s.connect('/run/haproxy-vllm/admin.sock');"
    ssh(GATEWAY, f"python3 -c \"{words} s.sendall(b'{said}\\\\n'); s.recv(99)\"")


def test_what_is_wrong_is_told_and_fails(steady: None, tmp_path: Path) -> None:
    by_hand("drain")
    ssh(THIRD, "systemctl stop vllm-embed.service && echo '# edit' >> /etc/systemd/system/vllm-chat.service")
    ssh(THIRD, "nft delete table inet vllm_endpoints && echo >> /etc/vllm/canary.json")
    ssh(GATEWAY, "echo '# edit' >> /etc/haproxy/vllm.cfg")
    try:
        run, told = status(tmp_path)
    finally:
        by_hand("ready")
        assert play("site", version=running()).rc == 0
    assert run.rc != 0
    problems = "\n".join(told["problems"])
    assert f"{SECOND}: chat: drained at {GATEWAY}, and no record says by whom" in problems
    assert f"{THIRD}: embed: fails: " in problems
    assert f"{THIRD}: chat: " in problems
    assert f"{THIRD}: firewall: not as planned: would restart firewall-vllm.service" in problems
    assert f"{THIRD}: canary: not as planned: would write /etc/vllm/canary.json" in problems
    assert f"gateway {GATEWAY}: not as planned: would write /etc/haproxy/vllm.cfg" in problems
    assert FIRST not in problems
    assert_whole()


def test_the_last_replica_of_a_model_does_not_leave_unasked(steady: None) -> None:
    before = processes()
    run = play("retire", version=running(), host=f"{SECOND},{THIRD}")
    assert run.rc != 0
    assert f"embed would be left without a replica: {SECOND}, {THIRD} is all that serves it" in run.text
    assert processes() == before
    assert_whole()


def test_a_model_leaves_and_nobody_else_notices(steady: None) -> None:
    version, alone = running(), processes()[FIRST]
    with chatting() as held:
        held.wait_for(3)
        run = play("retire", version=version, model="embed")
        held.wait_for(3)
    assert run.rc == 0, run.text
    assert "delete vllm_models.embed" in run.text
    held.assert_unharmed()
    assert processes()[FIRST] == alone
    assert ask("embed")[0] == 404
    assert "embed" not in view()
    for host in REPLICAS["embed"]:
        assert "vllm-embed" not in ssh(host, "ls /etc/systemd/system; systemctl list-units --all 'vllm-*'")
    again = play("site", version=version)
    assert again.rc == 0, again.text
    assert_whole()


@exhaustive
def test_a_host_leaves_and_keeps_no_trace(steady: None) -> None:
    version = running()
    with chatting() as held:
        held.wait_for(3)
        run = play("retire", version=version, host=FIRST, empty=True)
        held.wait_for(3)
    assert run.rc == 0, run.text
    held.assert_unharmed()
    assert set(view()["chat"]) == {SECOND, THIRD}
    assert ssh(FIRST, f"ls -d {PLACES} /etc/systemd/system/*vllm* /usr/local/libexec/*vllm* 2>/dev/null || true") == ""
    assert ssh(FIRST, "getent passwd vllm; nft list table inet vllm_endpoints 2>/dev/null || true") == ""
    assert [line for line in ssh(FIRST, "ps -eo args").splitlines() if "/opt/vllm" in line] == []
    for release in GOOD:
        testlab.install_standin(FIRST, release, start=0.2, rate=50)
    again = play("site", version=version)
    assert again.rc == 0, again.text
    assert set(HOSTS) == set(view()["chat"])
    assert_whole()
