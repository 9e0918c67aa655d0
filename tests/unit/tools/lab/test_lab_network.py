"""The lab's nftables rules, and whose network it must keep away from."""

from __future__ import annotations

import ipaddress
import os
import shutil
import subprocess
from typing import Any

import pytest
from ansible_collections.baremetal.vllm.tools.lab import network
from ansible_collections.baremetal.vllm.tools.lab.spec import Lab, Machine

NET = ipaddress.IPv4Network("10.1.2.0/24")
OPEN = Lab(NET, (Machine("a", "10.1.2.11"), Machine("b", "10.1.2.12")))
SIX = Lab(NET, (Machine("a", "10.1.2.11"), Machine("six", "fd6c:6162:a01:200::14", internet=False)))
SHUT = Lab(NET, (Machine("a", "10.1.2.11"), Machine("b", "10.1.2.12", internet=False)))


def test_everyone_is_translated_and_nobody_rejected_by_default() -> None:
    rules = network.ruleset(OPEN)
    assert 'ip saddr 10.1.2.0/24 oifname != "bmvllm0" masquerade' in rules
    assert "reject" not in rules


def test_a_machine_without_internet_keeps_the_bridge_only() -> None:
    lines = [line.strip() for line in network.ruleset(SHUT).splitlines() if "reject" in line]
    assert lines == [
        'ip saddr { 10.1.2.12 } oifname != "bmvllm0" reject with icmp type net-unreachable',
        'iifname "bmvllm0" ip saddr { 10.1.2.12 } ip daddr != 10.1.2.1 reject',
    ]


def test_a_machine_with_an_ipv6_address_keeps_the_bridge_too() -> None:
    assert SIX.offline == ()
    assert "ip6" not in network.ruleset(OPEN)
    lines = [line.strip() for line in network.ruleset(SIX).splitlines() if "reject" in line]
    assert lines == [
        'iifname "bmvllm0" oifname != "bmvllm0" reject',
        'iifname "bmvllm0" ip6 daddr != { fd6c:6162:a01:200::1, fe80::/10, ff00::/8 } reject',
    ]


def test_rules_do_not_depend_on_the_order_of_machines() -> None:
    machines = (Machine("a", "10.1.2.11", internet=False), Machine("b", "10.1.2.12", internet=False))
    assert network.ruleset(Lab(NET, machines)) == network.ruleset(Lab(NET, machines[::-1]))


@pytest.mark.skipif(os.geteuid() != 0 or shutil.which("nft") is None, reason="nft as root, in a network of its own")
@pytest.mark.parametrize("lab", [OPEN, SHUT, SIX], ids=["open", "shut", "six"])
def test_the_real_nft_takes_the_rules(lab: Lab) -> None:
    done = subprocess.run(
        ["unshare", "--net", "nft", "-f", "-"],
        input=network.ruleset(lab) * 2,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("route", "clash"),
    [
        ({"dst": "default", "dev": "eth0"}, []),
        ({"dst": "192.168.1.0/24", "dev": "eth0"}, []),
        ({"dst": "10.1.2.0/24", "dev": network.BRIDGE}, []),
        ({"dst": "0.0.0.0/1", "dev": "tun0"}, []),
        ({"dst": "10.1.2.0/24", "dev": "docker0"}, ["10.1.2.0/24 on docker0"]),
        ({"dst": "10.0.0.0/8", "dev": "tun0"}, ["10.0.0.0/8 on tun0"]),
        ({"type": "local", "dst": "10.1.2.7", "dev": "eth0"}, ["10.1.2.7/32 on eth0"]),
        ({"type": "unreachable", "dst": "10.1.2.0/24"}, []),
    ],
)
def test_clashes(route: dict[str, Any], clash: list[str]) -> None:
    assert network.clashes(NET, [route]) == clash


def chain(table: str, **more: Any) -> dict[str, Any]:
    return {"chain": {"family": "ip", "table": table, "name": "FORWARD", "handle": 1, **more}}


def test_chains_that_drop_what_is_forwarded_are_opened_once() -> None:
    docker = chain("filter", hook="forward", policy="drop")
    listing = [docker, chain("mine", hook="forward", policy="accept"), chain("other", hook="input", policy="drop")]
    assert network.closed_chains({"nftables": listing}) == [("ip", "filter", "FORWARD")]
    rule = {"family": "ip", "table": "filter", "chain": "FORWARD", "handle": 7, "comment": network.TABLE}
    listing += [{"rule": rule}, {"rule": {**rule, "handle": 8, "comment": "someone else's"}}]
    assert network.closed_chains({"nftables": listing}) == []
    assert network.openings({"nftables": listing}) == [("ip", "filter", "FORWARD", 7)]
