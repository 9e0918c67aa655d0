"""What a host's own firewall lets in by what it lists: pure, from the output of `firewall-cmd` and `ufw status verbose`.

Only whether some rule lets somebody in to a port is read here, not whom. A rule that names no port lets in to all of them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

# firewalld's own services at ports that a gateway may have.
_SERVICES = {80: "http", 443: "https"}
_PORTS = re.compile(r"(?:(?<=\s)|(?<=\"))(\d{1,5})(?:-(\d{1,5}))?(?=/tcp|\")")
# Zones that programs make for their own guests and containers: what these may reach is not what a client may.
_GUESTS = re.compile(r"docker|libvirt|nm-shared")
# What a rich rule may name instead of everything (firewalld.richlanguage(5)).
_NARROW = re.compile(r"\b(?:(?:source-|forward-)?port|service|icmp-type|icmp-block|masquerade)\b")
_PROTOCOL = re.compile(r"\bprotocol value=\"(?!tcp\")")

_UFW = re.compile(r"(?P<to>\S.*?)\s+(?:ALLOW|LIMIT)(?: IN)?\s{2,}(?P<source>\S.*)")
_UFW_DEFAULT = re.compile(r"(?m)^Default: allow \(incoming\)")
_UFW_PORTS = re.compile(r"(?P<ports>\d+(?::\d+)?(?:,\d+(?::\d+)?)*)(?:/(?P<protocol>\w+))?")
# "Anywhere" or an address, with a protocol or without.
_UFW_ALL = re.compile(r"(?:Anywhere|[0-9.]+|[0-9a-fA-F:.]*:[0-9a-fA-F:.]*)(?:/\d+)?(?:/tcp)?")


def firewalld(port: int, zones: str, policies: str, default: str = "") -> bool:
    """Whether firewalld lets somebody in to a TCP port, from `--list-all-zones`, `--list-all-policies` and the default zone."""
    text = f"{zones}\n{policies}"
    if any(int(first) <= port <= int(last or first) for first, last in _PORTS.findall(text)):
        return True
    if _SERVICES.get(port, "") in {
        name for line in re.findall(r"(?m)^\s*services: (.*)$", text) for name in line.split()
    }:
        return True
    return any(_zone_open(head, body, default) for head, body in _blocks(zones)) or any(
        _open(body) for __, body in _blocks(policies) if {"HOST", "ANY"} & set(_value(body, "egress-zones").split())
    )


def _blocks(listing: str) -> Iterator[tuple[str, str]]:
    """Each zone or policy as its head, such as "public (default, active)", and the indented lines below it."""
    for block in re.split(r"(?m)^(?=\S)", listing):
        head, __, body = block.partition("\n")
        if head.strip():
            yield head.strip(), body


def _value(body: str, name: str) -> str:
    found = re.search(rf"(?m)^\s+{name}: *(.*)$", body)
    return found[1].strip() if found else ""


def _zone_open(head: str, body: str, default: str) -> bool:
    """Whether a zone lets in everything of somebody elsewhere. One that nothing is bound to (`trusted` is on every host) lets
    in nobody, unless it is the default one, which has all that is bound to no other."""
    name = head.partition(" ")[0]
    if _GUESTS.match(name):
        return False
    bound = set(_value(body, "interfaces").split()) - {"lo"} or _value(body, "sources")
    return bool(bound or name == default) and _open(body)


def _open(body: str) -> bool:
    if _value(body, "target") == "ACCEPT" or "tcp" in _value(body, "protocols").split():
        return True
    rules = [line.strip() for line in body.splitlines() if line.strip().startswith("rule ")]
    return any(
        re.search(r"\baccept\b", rule) and not _NARROW.search(rule) and not _PROTOCOL.search(rule) for rule in rules
    )


def ufw(port: int, status: str) -> bool:
    """Whether ufw lets somebody in to a TCP port, from `ufw status verbose`."""
    return bool(_UFW_DEFAULT.search(status)) or any(_ufw_rule(port, line) for line in status.splitlines())


def _ufw_rule(port: int, line: str) -> bool:
    """One line, such as `10.0.0.5 8000:8100,9000/tcp (app) on eth0 (v6)   ALLOW IN    10.0.0.0/8`: the first part is an
    address, ports or both, or Anywhere."""
    found = _UFW.match(line)
    if not found or re.search(r" on lo\b", found["to"]):
        return False
    where = re.sub(r" \(.*?\)| on \S+", "", found["to"]).split()
    last = _UFW_PORTS.fullmatch(where[-1])
    if not last:
        return bool(_UFW_ALL.fullmatch(" ".join(where)))
    if last["protocol"] not in (None, "tcp"):
        return False
    spans = [span.partition(":") for span in last["ports"].split(",")]
    return any(int(first) <= port <= int(end or first) for first, __, end in spans)
