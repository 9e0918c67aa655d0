"""What a unit's sandbox and its host's firewall refuse: the stand-in engine tries it under the real systemd and the real kernel."""

from __future__ import annotations

import json
import socket
from typing import Any

import pytest
from service_lab import NAME, OTHER, playbook
from testlab import REPORT, STANDIN_RELEASE, Run, address, ask, host, install_standin, show, wait_until

UNIT = "vllm-kept.service"
PORT, SECOND = 8700, 8701


def run(name: str, **more: Any) -> Run:
    args = {
        "stand-in-calls": ["pidfd_getfd", "perf_event_open", "mincore", "ptrace", "getpid"],
        "stand-in-connect": f"{address(OTHER)}:22",
        "stand-in-listen": SECOND,
    }
    model = {"model": "/srv/stand-in", "kind": "chat", "hosts": NAME, "port": PORT, "args": args}
    return playbook(
        name, "--limit", NAME, vllm_version=STANDIN_RELEASE, **{"vllm_models": {"kept": model}, **more}
    )  # fmt: skip


def tried() -> dict[str, str]:
    """How the latest start's attempts ended."""
    invocation = show(host(NAME), UNIT, "InvocationID")["InvocationID"]
    lines = host(NAME).check_output("journalctl -q -o cat _SYSTEMD_INVOCATION_ID=%s", invocation).splitlines()
    words = [line.split(" ", 2) for line in lines if line.startswith("tried: ")]
    return {name: how for __, name, how in words}


def answers(port: int) -> bool:
    """Whether the control node, a stranger to the host, opens a connection."""
    try:
        socket.create_connection((address(NAME), port), 2).close()
    except OSError:
        return False
    return True


def checked() -> dict[str, Any]:
    (result,) = json.loads(REPORT.read_text())["results"]
    return next(check for check in result["checks"] if check["name"] == "only_its_port")


@pytest.fixture(autouse=True, scope="module")
def standin() -> Any:
    install_standin(NAME)
    assert run("site").rc == 0
    yield
    assert run("site", vllm_models={}).rc == 0
    host(NAME).check_output("rm -rf /opt/vllm/%s /srv/stand-in", STANDIN_RELEASE)


def test_a_denied_call_is_answered_and_the_engine_lives() -> None:
    found = tried()
    assert {name: found[name] for name in ("pidfd_getfd", "perf_event_open", "mincore", "ptrace")} == {
        "pidfd_getfd": "EPERM",
        "perf_event_open": "EPERM",
        "mincore": "EPERM",
        "ptrace": "EPERM",
    }
    assert found["getpid"] == "OK"
    assert show(host(NAME), UNIT, "ActiveState", "NRestarts") == {"ActiveState": "active", "NRestarts": "0"}


def test_shared_memory_of_a_crashed_worker_is_gone_with_the_next_start() -> None:
    target = host(NAME)
    pid = show(target, UNIT, "MainPID")["MainPID"]
    # As Python's shared_memory leaves it where nobody is left to unlink it: a file of the engines' user that no process holds.
    within = (
        "nsenter --target %s --mount setpriv --reuid vllm --regid vllm --clear-groups sh -c 'echo > /dev/shm/psm_%s'"
    )
    target.check_output(within % (pid, "left"))
    assert target.check_output("ls /proc/%s/root/dev/shm", pid) == "psm_left"
    assert target.check_output("ls -A /dev/shm") == "", "it is the unit's own, and takes no memory from another engine"
    target.check_output("kill -9 %s", pid)
    wait_until(lambda: show(target, UNIT, "MainPID")["MainPID"] not in (pid, "0"), 30, "the unit is started anew")
    wait_until(lambda: show(target, UNIT, "SubState")["SubState"] == "running", 30, "and serves")
    pid = show(target, UNIT, "MainPID")["MainPID"]
    assert target.check_output("ls -A /proc/%s/root/dev/shm", pid) == ""


def test_a_second_port_is_closed_to_others_and_open_to_the_host_itself() -> None:
    assert ask(NAME, PORT, "/v1/models")[0] == 200
    assert not answers(SECOND)
    own = "import socket; socket.create_connection(('%s', %d), 2)"
    assert host(NAME).run("python3 -c %s", own % (address(NAME), SECOND)).rc == 0
    # What others run on the host is none of ours, and what no process sends: a SYN cookie has no socket, so no user.
    assert answers(22)
    host(NAME).check_output("sysctl -w net.ipv4.tcp_syncookies=2")
    try:
        assert answers(22)
    finally:
        host(NAME).check_output("sysctl -w net.ipv4.tcp_syncookies=1")
    check = checked()
    assert (check["passed"], check["skipped"]) == (True, "")
    assert "1 others beyond loopback, closed by the host's firewall" in check["observed"]


def test_without_its_firewall_the_proof_names_process_port_and_remedy() -> None:
    target = host(NAME)
    target.check_output("systemctl stop firewall-vllm")
    try:
        assert answers(SECOND)
        proved = run("verify")
        assert proved.rc != 0
        check = checked()
        assert (check["passed"], check["skipped"]) == (False, "")
        pid = show(target, UNIT, "MainPID")["MainPID"]
        assert f"(pid {pid}) on tcp 0.0.0.0:{SECOND}" in check["observed"]
        assert "run site.yml" in proved.text
    finally:
        target.check_output("systemctl start firewall-vllm")
    assert not answers(SECOND)


def test_an_engine_connects_where_the_operator_says_and_is_refused_at_once_elsewhere() -> None:
    assert tried()["connect"] == "ECONNREFUSED 0 s"
    assert run("site", vllm_engine_destinations=[address(OTHER)]).rc == 0
    host(NAME).check_output("systemctl restart %s", UNIT)
    wait_until(lambda: tried().get("connect") == "OK 0 s", 10, "the engine has connected")
    assert not answers(SECOND), "whom it may connect to reaches its port alone"
    refused = run("site", vllm_engine_destinations=["other.lan"])
    assert refused.rc != 0
    assert "vllm_engine_destinations: 'other.lan' is no address" in refused.text
