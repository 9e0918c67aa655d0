"""The canary and the endpoints' firewall on a machine of their own, under its real systemd and nftables, with a STAND-IN engine."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "shared"))
from testlab import KEY, STANDIN_RELEASE, STATE, address, ansible, ask, host, install_standin, show, wait_until

# Beside the fleet: what is restarted here must not be what other tests count on.
HOST, GATEWAY, STRANGER = "lab9", "lab41", "lab42"
PORT = {"m": 8790, "other": 8791}
CHAT = {"model": "m", "messages": [{"role": "user", "content": "hello"}], "max_tokens": 4}
INTERVAL, TIMEOUT, FAILURES = 2, 6, 2
# Stopping a stand-in that hangs takes its unit's whole TimeoutStopSec.
BOUND, STOPPED = INTERVAL + FAILURES * (TIMEOUT + INTERVAL), 4
# What a computer may add on which the scenario's other tests run at the same time.
BUSY = 40
NONE: dict[str, Any] = {"canary_services": [], "endpoint_firewall_rules": None}
UNIT = """[Service]
Type=exec
EnvironmentFile=/etc/vllm/secrets/api_key.env
ExecStart=/opt/vllm/{release}/bin/python /opt/vllm/{release}/bin/vllm serve /srv/stand-in --host 0.0.0.0 --port {port} \
 --served-model-name {name} --max-num-seqs 1
Restart=always
TimeoutStopSec={stopped}
[Install]
WantedBy=multi-user.target
"""


def play(*arguments: str, **variables: Any) -> str:
    """Both roles on the machine, by the path that an inventory's play takes; what Ansible printed."""
    roles = [{"role": f"baremetal.vllm.{role}"} for role in ("endpoint_firewall", "canary")]
    path = STATE / "canary-test.yml"
    path.write_text(json.dumps([{"hosts": "all", "gather_facts": False, "roles": roles}]))
    command = ["ansible-playbook", "-i", f"{HOST},", "--ssh-common-args", f"-F {STATE / 'ssh' / 'config'}", str(path)]
    fast = {"canary_interval": INTERVAL, "canary_timeout": TIMEOUT, "canary_failures": FAILURES}
    command += ["-e", json.dumps({"ansible_user": "root", **fast, **variables}), *arguments]
    done = ansible(*command)
    assert done.rc == 0, done.text[-3000:]
    return done.text


def changed(text: str) -> int:
    found = re.search(r"changed=(\d+)", text)
    assert found
    return int(found[1])


@pytest.fixture(scope="module")
def machine() -> Iterator[Any]:
    """A machine with two engines; without a trace of them in the end."""
    install_standin(HOST)
    target = host(HOST)
    target.check_output(
        "install -d -m 700 /etc/vllm/secrets && echo VLLM_API_KEY=%s > /etc/vllm/secrets/api_key.env", KEY
    )
    for name, port in PORT.items():
        text = UNIT.format(release=STANDIN_RELEASE, port=port, name=name, stopped=STOPPED)
        target.check_output("echo %s > /etc/systemd/system/vllm-%s.service", text, name)
        target.check_output("systemctl daemon-reload && systemctl enable --now vllm-%s", name)
    yield target
    play(**NONE)
    units = " ".join(f"vllm-{name}.service" for name in PORT)
    target.check_output(f"systemctl disable --now {units} && cd /etc/systemd/system && rm {units}")
    target.check_output("systemctl daemon-reload")


def services(**changes: Any) -> dict[str, Any]:
    one = {"kind": "chat", "address": "0.0.0.0"}
    planned = [{"unit": f"vllm-{name}.service", "name": name, "port": port, **one} for name, port in PORT.items()]
    return {"canary_services": planned, "endpoint_firewall_rules": None, **changes}


def started(target: Any, name: str = "m") -> str:
    return show(target, f"vllm-{name}.service", "InvocationID")["InvocationID"]


def running(name: str = "m") -> bool:
    return ask(HOST, PORT[name], "/v1/chat/completions", {**CHAT, "model": name})[0] == 200


def journal(target: Any, unit: str, since: str = "-2min") -> str:
    return str(target.check_output("journalctl -q -o cat -u %s --since=%s", unit, since))


def signal(target: Any, name: str) -> None:
    target.check_output("systemctl kill --kill-whom=main -s %s vllm-m.service", name)


def settle(target: Any) -> None:
    """Past the time for which an endpoint that has just started is left alone."""
    wait_until(running, 30, "the engine answers")
    time.sleep(TIMEOUT)


def test_the_canary_is_there_after_one_run_and_a_second_one_changes_nothing(machine: Any) -> None:
    assert changed(play("--check", **services())) == 1
    assert not machine.file("/etc/vllm/canary.json").exists
    assert changed(play(**services())) == 1
    assert changed(play(**services())) == 0
    assert changed(play("--check", **services())) == 0
    assert show(machine, "canary-vllm.timer", "ActiveState", "UnitFileState") == {
        "ActiveState": "active",
        "UnitFileState": "enabled",
    }
    assert KEY not in machine.file("/etc/vllm/canary.json").content_string


def test_an_engine_that_hangs_while_health_says_200_is_restarted_within_the_bound(machine: Any) -> None:
    settle(machine)
    before, other = started(machine), started(machine, "other")
    signal(machine, "USR1")
    began = time.monotonic()
    assert ask(HOST, PORT["m"], "/health")[0] == 200
    wait_until(lambda: started(machine) not in (before, ""), BOUND + STOPPED + 2, "started anew")
    took = time.monotonic() - began
    print(f"a hang was mended after {took:.0f} s; the bound is {BOUND} s, and up to {STOPPED} s more for the stop")
    wait_until(running, 10, "answers again")
    assert started(machine, "other") == other
    told = (
        "vllm-m.service is restarted by the canary: /v1/chat/completions: no answer within 6 s, and nothing is counted"
    )
    for unit in ("canary-vllm.service", "vllm-m.service"):
        assert told in journal(machine, unit)
    assert KEY not in journal(machine, "canary-vllm.service")


def test_a_process_that_is_stopped_hangs_with_its_metrics_and_is_restarted(machine: Any) -> None:
    settle(machine)
    before = started(machine)
    signal(machine, "STOP")
    wait_until(lambda: started(machine) not in (before, ""), BOUND + STOPPED + BUSY, "started anew")
    wait_until(running, 10, "answers again")
    assert "/metrics does not answer either" in journal(machine, "canary-vllm.service")


def test_an_engine_that_is_busy_with_others_is_left_alone(machine: Any) -> None:
    """One request runs at a time here, and this one takes longer than the bound."""
    settle(machine)
    before = started(machine)
    long = {**CHAT, "max_tokens": 100 * (BOUND + 5), "stream": True}
    busy = threading.Thread(target=ask, args=(HOST, PORT["m"], "/v1/chat/completions", long), daemon=True)
    busy.start()
    time.sleep(BOUND + 3)
    assert busy.is_alive(), "the load was over too soon to prove anything"
    assert started(machine) == before
    assert "it works on others' requests" in journal(machine, "canary-vllm.service")
    assert show(machine, "canary-vllm.service", "Result")["Result"] == "success"


def test_a_third_hang_within_an_hour_is_only_told_and_the_unit_of_the_canary_fails(machine: Any) -> None:
    play(**services(), canary_restarts=2)
    settle(machine)
    before = started(machine)
    signal(machine, "USR1")
    wait_until(
        lambda: show(machine, "canary-vllm.service", "Result")["Result"] == "exit-code",
        BOUND + BUSY,
        "the canary fails",
    )
    assert started(machine) == before
    assert "vllm-m.service is ill: " in journal(machine, "canary-vllm.service")
    signal(machine, "USR1")
    wait_until(
        lambda: show(machine, "canary-vllm.service", "Result")["Result"] == "success", BOUND, "all is well again"
    )


def reaches(name: str) -> bool:
    """Whether another machine can open a connection to the engine."""
    words = f"import socket; socket.create_connection(('{address(HOST)}', {PORT['m']}), 3)"
    return bool(host(name).run("python3 -c %s", words).rc == 0)


def test_only_the_gateway_reaches_the_engine_and_nothing_open_is_cut(machine: Any) -> None:
    open_line = f"import socket, time; s = socket.create_connection(('{address(HOST)}', {PORT['m']})); time.sleep(20)"
    open_line += "; s.sendall(b'GET /health HTTP/1.1\\r\\nHost: x\\r\\n\\r\\n'); print(s.recv(100))"
    held = subprocess.Popen(
        ["ssh", "-F", str(STATE / "ssh" / "config"), STRANGER, f'python3 -c "{open_line}"'],
        stdout=subprocess.PIPE,
        text=True,
    )
    wait_until(lambda: ":8790" in machine.check_output("ss -Htn state established sport = :8790"), 10, "a line is open")
    rules = {"ports": list(PORT.values()), "sources": [address(GATEWAY), "fd00::1"]}
    play(**services(endpoint_firewall_rules=rules))
    assert reaches(GATEWAY)
    assert not reaches(STRANGER)
    assert host(STRANGER).run("true").rc == 0
    assert machine.run("ssh -V").rc == 0, "the machine itself is reached"
    assert held.communicate()[0].startswith("b'HTTP/1.1 200")
    assert changed(play(**services(endpoint_firewall_rules=rules))) == 0
    # Who was let in is told from who is asked for.
    play(**services(endpoint_firewall_rules={**rules, "sources": [address(STRANGER)]}))
    assert (reaches(GATEWAY), reaches(STRANGER)) == (False, True)
    play(**services(endpoint_firewall_rules=rules))
    # The canary asks from the host itself.
    assert show(machine, "canary-vllm.service", "Result")["Result"] == "success"


def test_another_firewall_that_flushes_all_rules_takes_it_away_for_a_moment_only(machine: Any) -> None:
    machine.check_output("nft add table inet theirs")
    # Its first start is the one that nobody tells us of.
    machine.check_output("systemctl start nftables")
    play_again()
    for verb in ("reload", "restart"):
        machine.check_output(f"systemctl {verb} nftables")
        wait_until(lambda: "vllm_endpoints" in machine.check_output("nft list tables"), 10, f"closed after a {verb}")
        assert not reaches(STRANGER)
    machine.check_output("nft flush ruleset")
    assert reaches(STRANGER)
    assert changed(play_again("--check")) == 1
    assert changed(play_again()) == 1
    assert not reaches(STRANGER)
    machine.check_output("systemctl disable nftables")


def play_again(*arguments: str) -> str:
    rules = {"ports": list(PORT.values()), "sources": [address(GATEWAY), "fd00::1"]}
    return play(*arguments, **services(endpoint_firewall_rules=rules))


def test_both_are_back_after_a_reboot(machine: Any) -> None:
    boot = machine.check_output("cat /proc/sys/kernel/random/boot_id; systemctl show -P UserspaceTimestampMonotonic")
    machine.check_output("systemd-run --on-active=1 systemctl reboot")
    command = "cat /proc/sys/kernel/random/boot_id; systemctl show -P UserspaceTimestampMonotonic"
    wait_until(lambda: host(HOST).check_output(command) != boot, 90, "it has booted")
    wait_until(lambda: reaches(GATEWAY), 60, "the engine is up")
    assert not reaches(STRANGER)
    assert show(host(HOST), "canary-vllm.timer", "ActiveState")["ActiveState"] == "active"


def test_no_trace_is_left_where_neither_is_asked_for(machine: Any) -> None:
    play_again()
    machine.check_output("nft add table inet theirs")
    assert changed(play(**NONE)) == 2
    assert changed(play(**NONE)) == 0
    assert machine.check_output("nft list tables") == "table inet theirs"
    machine.check_output("nft delete table inet theirs")
    for path in (
        *("/etc/vllm/firewall.nft", "/etc/vllm/canary.json", "/usr/local/libexec/vllm-canary"),
        *(
            f"/etc/systemd/system/{unit}"
            for unit in ("firewall-vllm.service", "canary-vllm.service", "canary-vllm.timer")
        ),
    ):
        assert not machine.file(path).exists, path
    for unit in ("firewall-vllm.service", "canary-vllm.service", "canary-vllm.timer"):
        assert show(machine, unit, "LoadState")["LoadState"] == "not-found"
    assert reaches(STRANGER)
