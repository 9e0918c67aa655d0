"""The lab's network: one bridge with the control node's address, and one nft table that forwards and translates."""

from __future__ import annotations

import ipaddress
import json
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ansible_collections.baremetal.vllm.plugins.module_utils.lab.spec import Lab, LabError

BRIDGE = "bmvllm0"
TABLE = "bmvllm_lab"
FORWARDING = Path("/proc/sys/net/ipv4/ip_forward")


def ruleset(lab: Lab) -> str:
    """The nft script that puts our table into place, whole, whatever was in it before.

    Machines without internet keep the bridge: they reach each other and the control node's address there, no more.
    Segment sizes follow the route, because the way out may take smaller packets than the bridge does.
    """
    members = ", ".join(lab.offline)
    shut = f'    iifname "{BRIDGE}" ip saddr {{ {members} }}'
    no_forward = f"{shut} reject with icmp type net-unreachable\n" if members else ""
    no_input = f"{shut} ip daddr != {lab.gateway} reject\n" if members else ""
    return (
        f"table ip {TABLE}\n"
        f"delete table ip {TABLE}\n"
        f"table ip {TABLE} {{\n"
        "  chain postrouting {\n"
        "    type nat hook postrouting priority srcnat; policy accept;\n"
        f'    ip saddr {lab.subnet} oifname != "{BRIDGE}" masquerade\n'
        "  }\n"
        "  chain forward {\n"
        "    type filter hook forward priority filter; policy accept;\n"
        f"{no_forward}"
        f'    iifname "{BRIDGE}" tcp flags syn tcp option maxseg size set rt mtu\n'
        "  }\n"
        "  chain input {\n"
        "    type filter hook input priority filter; policy accept;\n"
        f"{no_input}"
        "  }\n"
        "}\n"
    )


def clashes(subnet: ipaddress.IPv4Network, routes: Iterable[Mapping[str, Any]]) -> list[str]:
    """Routes of this computer, the lab's own apart, that overlap the subnet (entries as `ip -json route` gives them)."""
    found = set()
    for route in routes:
        destination = str(route.get("dst", "default"))
        if destination == "default" or route.get("dev") in (BRIDGE, None):
            continue
        try:
            network = ipaddress.IPv4Network(destination, strict=False)
        except ValueError:
            continue
        # A way to half or all of the internet (a tunnel's default route) is no neighbour.
        if network.prefixlen > 1 and network.overlaps(subnet):
            found.add(f"{network} on {route['dev']}")
    return sorted(found)


def check_subnet(subnet: ipaddress.IPv4Network) -> None:
    """:raises LabError: when this computer already reaches these addresses some other way"""
    used = clashes(subnet, ip_json("-4", "route", "show", "table", "all"))
    if used:
        raise LabError(
            f"the lab's network {subnet} is already in use on this computer ({', '.join(used)}): "
            "choose another one with -e lab_subnet=10.X.Y.0/24"
        )


def bridge_up(lab: Lab) -> bool:
    """Whether the bridge stands with the control node's address."""
    entries = ip_json("address", "show", "dev", BRIDGE)
    wanted = (lab.gateway, lab.subnet.prefixlen)
    return any(
        "UP" in entry.get("flags", ()) and wanted in [(a.get("local"), a.get("prefixlen")) for a in entry["addr_info"]]
        for entry in entries
        if entry
    )


def bridge_exists() -> bool:
    return Path(f"/sys/class/net/{BRIDGE}").exists()


def make_bridge(lab: Lab) -> None:
    if bridge_exists():
        command("ip", "address", "flush", "dev", BRIDGE)
    else:
        command("ip", "link", "add", BRIDGE, "type", "bridge")
    command("ip", "address", "add", f"{lab.gateway}/{lab.subnet.prefixlen}", "dev", BRIDGE)
    command("ip", "link", "set", BRIDGE, "up")


def remove_bridge() -> None:
    command("ip", "link", "delete", BRIDGE)


def table_exists() -> bool:
    return run(("nft", "list", "table", "ip", TABLE)).returncode == 0


def load_rules(rules: str) -> None:
    done = run(("nft", "-f", "-"), rules)
    if done.returncode:
        raise LabError(f"nft refused the lab's rules: {done.stderr.strip()}")


def remove_table() -> None:
    command("nft", "delete", "table", "ip", TABLE)


def forwarding() -> str:
    return FORWARDING.read_text().strip()


def set_forwarding(value: str) -> None:
    FORWARDING.write_text(value)


def ip_json(*words: str) -> list[dict[str, Any]]:
    """What `ip -json ...` lists; nothing where the device is not there."""
    done = run(("ip", "-json", *words))
    return json.loads(done.stdout) if done.returncode == 0 and done.stdout.strip() else []


def command(*words: str) -> None:
    """:raises LabError: with the command and its last words"""
    done = run(words)
    if done.returncode:
        raise LabError(f"`{' '.join(words)}` failed: {(done.stderr or done.stdout).strip()}")


def run(words: Sequence[str], stdin: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(words, input=stdin, capture_output=True, text=True, check=False)
