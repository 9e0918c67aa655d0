"""The lab's network: one bridge with the control node's address, and one nft table that forwards and translates."""

from __future__ import annotations

import ipaddress
import json
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ansible_collections.baremetal.vllm.tools.lab.spec import Lab, LabError

BRIDGE = "bmvllm0"
TABLE = "bmvllm_lab"


def ruleset(lab: Lab) -> str:
    """The nft script that puts our table into place, whole, whatever was in it before.

    Machines without internet keep the bridge: they reach each other and the control node's address there, no more.
    Segment sizes follow the route, because the way out may take smaller packets than the bridge does.
    """
    members = ", ".join(lab.offline)
    shut = f"ip saddr {{ {members} }}"
    # Between two machines of the bridge the forward hook is passed too where the kernel filters bridges.
    no_forward = f'    {shut} oifname != "{BRIDGE}" reject with icmp type net-unreachable\n' if members else ""
    no_input = f'    iifname "{BRIDGE}" {shut} ip daddr != {lab.gateway} reject\n' if members else ""
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
        f"{_ruleset6(lab) if lab.ipv6 else ''}"
    )


def _ruleset6(lab: Lab) -> str:
    """Whoever has an IPv6 address keeps the bridge: neighbours, by multicast and link-local addresses too, and its own."""
    inside = f"{lab.gateway6}, fe80::/10, ff00::/8"
    return (
        f"table ip6 {TABLE}\n"
        f"delete table ip6 {TABLE}\n"
        f"table ip6 {TABLE} {{\n"
        "  chain forward {\n"
        "    type filter hook forward priority filter; policy accept;\n"
        f'    iifname "{BRIDGE}" oifname != "{BRIDGE}" reject\n'
        "  }\n"
        "  chain input {\n"
        "    type filter hook input priority filter; policy accept;\n"
        f'    iifname "{BRIDGE}" ip6 daddr != {{ {inside} }} reject\n'
        "  }\n"
        "}\n"
    )


def clashes(subnet: ipaddress.IPv4Network, routes: Iterable[Mapping[str, Any]]) -> list[str]:
    """Routes of this computer, the lab's own apart, that overlap the subnet (entries as in `ip -json route`)."""
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
    """Whether the bridge stands with the control node's addresses."""
    entries = ip_json("address", "show", "dev", BRIDGE)
    wanted = {(lab.gateway, lab.subnet.prefixlen), *([(lab.gateway6, 64)] if lab.ipv6 else [])}
    return any(
        "UP" in entry.get("flags", ()) and wanted <= {(a.get("local"), a.get("prefixlen")) for a in entry["addr_info"]}
        for entry in entries
        if entry
    )


def closed_chains(ruleset_json: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """(family, table, chain) of foreign forward chains that drop by default and have no opening for the lab yet.

    Docker's and ufw's are like that, and no accepting chain of ours could overrule them (libnftables-json(5)).
    """
    opened = {name[:3] for name in openings(ruleset_json)}
    chains = [entry["chain"] for entry in ruleset_json.get("nftables", ()) if "chain" in entry]
    names = [
        (chain["family"], chain["table"], chain["name"])
        for chain in chains
        if chain["family"] in ("ip", "inet") and chain.get("hook") == "forward" and chain.get("policy") == "drop"
    ]
    return [name for name in names if name not in opened]


def openings(ruleset_json: Mapping[str, Any]) -> list[tuple[str, str, str, int]]:
    """(family, table, chain, handle) of the rules that the lab has put into foreign chains."""
    rules = [entry["rule"] for entry in ruleset_json.get("nftables", ()) if "rule" in entry]
    return [
        (rule["family"], rule["table"], rule["chain"], rule["handle"]) for rule in rules if rule.get("comment") == TABLE
    ]


def ruleset_json() -> dict[str, Any]:
    done = run(("nft", "--json", "--handle", "list", "ruleset"))
    return json.loads(done.stdout) if done.returncode == 0 and done.stdout.strip() else {}


def open_chains() -> None:
    """Let the lab's packets through forward chains that would drop them."""
    for family, table, chain in closed_chains(ruleset_json()):
        for direction in ("iifname", "oifname"):
            command("nft", "insert", "rule", family, table, chain, direction, BRIDGE, "accept", "comment", f'"{TABLE}"')


def close_chains() -> None:
    for family, table, chain, handle in openings(ruleset_json()):
        command("nft", "delete", "rule", family, table, chain, "handle", str(handle))


def bridge_exists() -> bool:
    return bool(ip_json("link", "show", "dev", BRIDGE))


def make_bridge(lab: Lab) -> None:
    if bridge_exists():
        command("ip", "address", "flush", "dev", BRIDGE)
    else:
        command("ip", "link", "add", BRIDGE, "type", "bridge")
    command("ip", "address", "add", f"{lab.gateway}/{lab.subnet.prefixlen}", "dev", BRIDGE)
    if lab.ipv6:
        command("ip", "-6", "address", "add", f"{lab.gateway6}/64", "dev", BRIDGE, "nodad")
    command("ip", "link", "set", BRIDGE, "up")


def remove_bridge() -> None:
    command("ip", "link", "delete", BRIDGE)


def tables() -> list[str]:
    """The families in which a table of ours stands: ip, and ip6 where a machine has such an address."""
    return [family for family in ("ip", "ip6") if run(("nft", "list", "table", family, TABLE)).returncode == 0]


def load_rules(rules: str) -> None:
    if f"table ip6 {TABLE}" not in rules:
        remove_tables(["ip6"])
    done = run(("nft", "-f", "-"), rules)
    if done.returncode:
        raise LabError(f"nft refused the lab's rules: {done.stderr.strip()}")


def remove_tables(families: Sequence[str] = ("ip", "ip6")) -> None:
    for family in tables():
        if family in families:
            command("nft", "delete", "table", family, TABLE)


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
