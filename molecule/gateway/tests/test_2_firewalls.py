"""The hosts' own firewalls, the real ones: ufw on lab47, firewalld on lab48. What they hold closed is opened, and closed again."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from door import GATEWAYS, PORT, chat, gateway
from testlab import ROOT, Run, address, ansible, command, host

# How each is put on, with the lab's own way in kept open, and off again.
ON = {
    "lab47": "apt-get install -qq --no-install-recommends ufw iptables >/dev/null && ufw allow 22/tcp && ufw --force enable",
    "lab48": "apt-get install -qq --no-install-recommends firewalld >/dev/null && systemctl start firewalld && firewall-cmd --state",
}
OFF = {"lab47": "ufw --force disable", "lab48": "systemctl disable --now firewalld"}
ENGINE = 8101


@pytest.fixture(scope="module", autouse=True)
def firewalls() -> Iterator[None]:
    for name, shell in ON.items():
        host(name).check_output(f"export DEBIAN_FRONTEND=noninteractive; {shell}")
    yield
    for name, shell in OFF.items():
        host(name).run(f"{shell}; rmdir /etc/vllm")


def closed(where: str, port: int, source: str) -> bool:
    """Whether a connection from one machine of the lab to another one is not let in."""
    code = "import socket,sys; socket.create_connection((sys.argv[1], int(sys.argv[2])), 2)"
    return bool(host(source).run("python3 -c %s %s %s", code, address(where), str(port)).rc)


def engines(rules: dict[str, list[object]] | None) -> Run:
    """The role endpoint_firewall on both machines."""
    inventory = ROOT / "molecule" / "gateway" / "inventory"
    words = command("gateway", inventories=[inventory], endpoint_firewall_rules=rules)
    words[1] = str(ROOT / "molecule" / "gateway" / "firewall.yml")
    return ansible(*words)


def test_the_door_that_they_hold_closed_is_opened_to_everybody_once() -> None:
    for where, other in zip(GATEWAYS, reversed(GATEWAYS)):
        assert closed(where, PORT, other), f"the firewall of {where} is on"
    told = gateway("--check", "--diff")
    assert told.rc == 0, told.text
    assert "ufw: open port 8080 to everybody" in told.text
    assert "firewalld: open port 8080 to everybody" in told.text
    run = gateway()
    assert run.rc == 0, run.text
    for where in GATEWAYS:
        assert chat(where).status == 200
    assert gateway().changed == 0


def test_engines_are_opened_to_the_sources_alone_and_closed_again() -> None:
    pairs = list(zip(GATEWAYS, reversed(GATEWAYS)))
    sources = [address(name) for name in GATEWAYS]
    assert all(closed(where, ENGINE, other) for where, other in pairs)
    rules = {"ports": [ENGINE], "sources": sources}
    run = engines(rules)
    assert run.rc == 0, run.text
    assert not any(closed(where, ENGINE, other) for where, other in pairs)
    assert engines(rules).changed == 0
    assert engines(None).rc == 0
    assert all(closed(where, ENGINE, other) for where, other in pairs)
    for where in GATEWAYS:
        kept = host(where).run("ufw show added 2>/dev/null; cat /etc/firewalld/policies/*.xml 2>/dev/null").stdout
        assert "engines" not in kept
        assert "gateway" in kept
