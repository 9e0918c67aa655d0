"""What a host's own firewall must let in: firewalld's or ufw's, where one of them is on.

A table of ours beside theirs can only close: a packet that one table accepts and another one drops is dropped (nft(8), "verdict
statements"). And what proves an endpoint goes over loopback, which both let in, so a port that they hold closed looks well.

firewalld gets a policy of its own (firewalld.policy(5), firewalld.policies(5), since 0.9), from any zone to the host, ahead of
the zones' rules; ufw gets rules with a comment of ours (ufw(8)). Either is found by that name and taken back by it.
"""

from __future__ import annotations

import ipaddress
import os
import shlex
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ansible_collections.baremetal.vllm.plugins.module_utils.host import folders
from ansible_collections.baremetal.vllm.plugins.module_utils.units import firewall_lists

POLICIES = Path("/etc/firewalld/policies")
# Of everything that is ours: policies are vllm-NAME, comments "baremetal.vllm NAME".
POLICY, COMMENT = "vllm-", "baremetal.vllm "
_LIMIT = 60.0
# The virtual router protocol, by which keepalived's tell each other that they live.
VRRP = "vrrp"
# By its number firewalld knows it on hosts without /etc/protocols too.
_VRRP_NUMBER = 112


class OpeningError(Exception):
    """A firewall that could not be asked or changed; what it said, and which ports stay closed."""


@dataclass(frozen=True)
class Opening:
    """What is to be let in under one name: TCP `ports` from `sources` (addresses and networks; none at all: from anybody),
    and VRRP from `peers`."""

    name: str
    ports: tuple[int, ...]
    sources: tuple[str, ...] = ()
    peers: tuple[str, ...] = ()

    def __str__(self) -> str:
        whom = f"{len(self.sources)} sources" if len(self.sources) > 2 else " and ".join(self.sources) or "everybody"
        words = [f"port{'s' * (len(self.ports) > 1)} {', '.join(map(str, self.ports))} to {whom}"]
        return ", ".join([*words, *([f"VRRP to {' and '.join(self.peers)}"] if self.peers else [])])

    @property
    def rules(self) -> list[tuple[str, str]]:
        """Each rule once as (source, port), "" from anybody; the port is VRRP where the protocol is."""
        sources = [plain(source) for source in self.sources] or [""]
        rules = [(source, str(port)) for port in self.ports for source in sources]
        return list(dict.fromkeys([*rules, *((plain(peer), VRRP) for peer in self.peers)]))


@dataclass(frozen=True)
class OpeningChange:
    """What one firewall lacks (or has too much), in words; the policy's text before and after, for a diff; and what it cannot
    be told, which somebody else must open."""

    steps: tuple[str, ...] = ()
    path: str = ""
    before: str = ""
    after: str = ""
    warning: str = ""


def plain(source: str) -> str:
    """A source in the one form that ufw shows it in, whichever it was written in: "" for anybody, no length for one address, no
    bits of a host for a network. Without it a rule that is there would be added and taken away in turn.

    >>> [plain(source) for source in ("0.0.0.0/0", "::/0", "10.0.0.5/32", "10.0.0.5/24", "FD00:0::/64")]
    ['', '', '10.0.0.5', '10.0.0.0/24', 'fd00::/64']
    """
    try:
        network = ipaddress.ip_network(source, strict=False)
    except ValueError:
        return source
    if network.prefixlen == 0:
        return ""
    return str(network.network_address) if network.prefixlen == network.max_prefixlen else str(network)


def policy_text(opening: Opening) -> str:
    """firewalld's policy as the file that it lies in."""
    lines = ['<?xml version="1.0" encoding="utf-8"?>', '<policy target="CONTINUE" priority="-100">']
    lines += [
        f"  <short>{POLICY}{opening.name}</short>",
        "  <description>Managed by baremetal.vllm: the next run overwrites this file.</description>",
        '  <ingress-zone name="ANY"/>',
        '  <egress-zone name="HOST"/>',
    ]
    for source, port in opening.rules:
        what = f'<protocol value="{_VRRP_NUMBER}"/>' if port == VRRP else f'<port port="{port}" protocol="tcp"/>'
        family = "ipv6" if ":" in source else "ipv4"
        rule = f'<rule family="{family}"><source address="{source}"/>' if source else "<rule>"
        lines.append(f"  {rule}{what}<accept/></rule>")
    return "\n".join([*lines, "</policy>"]) + "\n"


def ufw_rule(source: str, port: str) -> list[str]:
    """The words of `ufw allow` for a rule."""
    if port == VRRP:
        return ["from", source or "any", "proto", VRRP]
    return ["from", source or "any", "to", "any", "port", port, "proto", "tcp"]


def ufw_rules(shown: str, name: str) -> list[tuple[str, str]]:
    """Our rules under a name out of `ufw show added`, as `Opening.rules` has them.

    >>> ufw_rules("ufw allow from 10.0.0.5 to any port 8001 proto tcp comment 'baremetal.vllm engines'", "engines")
    [('10.0.0.5', '8001')]
    """
    found = []
    for line in shown.splitlines():
        try:
            words = shlex.split(line)
        except ValueError:
            continue
        if words[:2] != ["ufw", "allow"] or words[-2:] != ["comment", COMMENT + name]:
            continue
        rule = words[2:-2]
        pairs = dict(zip(rule[::2], rule[1::2]))
        if "proto" in pairs:
            source = pairs.get("from", "any")
            port = VRRP if pairs["proto"] == VRRP else pairs.get("port", "")
            # ufw writes "to any port N" as three words after "from X".
            port = port or rule[rule.index("port") + 1]
        else:
            source, port = "any", rule[0].partition("/")[0]
        found.append(("" if source == "any" else plain(source), port))
    return found


def firewalld_runs() -> bool:
    """Whether firewalld decides what comes in. Raises OpeningError where it does and cannot be asked."""
    if shutil.which("firewall-cmd"):
        return _tool(["firewall-cmd", "--state"]).returncode == 0
    active = shutil.which("systemctl") and _tool(["systemctl", "is-active", "--quiet", "firewalld"]).returncode == 0
    if active:
        raise OpeningError("firewalld runs, and its program firewall-cmd is not on this host")
    return False


def ufw_runs() -> bool:
    """Whether ufw decides what comes in. Raises OpeningError: where it is there and cannot be asked."""
    if not shutil.which("ufw"):
        return False
    done = _tool(["ufw", "status"])
    if done.returncode != 0:
        raise OpeningError(f"ufw status: {_said(done)}")
    return "status: active" in done.stdout.lower()


def held_closed(ports: Sequence[int]) -> dict[str, list[int]]:
    """Of these ports, by firewall those that no rule of it lets anybody in to. Raises OpeningError where it cannot be asked.

    Whom a rule lets in is for the one who wrote it to say; that there is none is what nobody sees on the host itself.
    """
    found = {}
    try:
        if firewalld_runs():
            words = ("--list-all-zones", "--list-all-policies", "--get-default-zone")
            zones, policies, default = (_tool(["firewall-cmd", word]).stdout for word in words)
            found["firewalld"] = [
                port for port in ports if not firewall_lists.firewalld(port, zones, policies, default.strip())
            ]
        if ufw_runs():
            # Only verbose tells the default, and an application's ports beside its name.
            status = _tool(["ufw", "status", "verbose"]).stdout
            found["ufw"] = [port for port in ports if not firewall_lists.ufw(port, status)]
    except OpeningError as error:
        raise OpeningError(f"{error}, so nobody knows whether it lets in port {', '.join(map(str, ports))}") from error
    return {firewall: closed for firewall, closed in found.items() if closed}


def look(name: str, opening: Opening | None) -> list[OpeningChange]:
    """What the host's firewalls need so that `opening` is let in, or nothing of that name where it is None.

    Raises OpeningError: where a firewall that is on cannot be asked.
    """
    try:
        found = (_firewalld(name, opening), _ufw(name, opening))
        return [change for change in found if change.steps or change.warning]
    except OpeningError as error:
        raise OpeningError(_closed(error, opening)) from error


def apply(name: str, opening: Opening | None) -> None:
    """Do what `look` told. Raises OpeningError; firewalld then has its earlier policy."""
    try:
        if _firewalld(name, opening).steps:
            _set_policy(name, opening)
        if _ufw(name, opening).steps:
            _set_ufw(name, opening)
    except OpeningError as error:
        raise OpeningError(_closed(error, opening)) from error


def _closed(error: OpeningError, opening: Opening | None) -> str:
    if opening is None:
        return str(error)
    return (
        f"{error}. Until the host's firewall lets in {opening}, nobody else reaches it, although it answers on the host"
        " itself. Open that there, or switch the firewall off"
    )


def _firewalld(name: str, opening: Opening | None) -> OpeningChange:
    path = POLICIES / f"{POLICY}{name}.xml"
    before = path.read_text(encoding="utf-8", errors="replace") if path.is_file() else ""
    if opening is None:
        steps = (f"firewalld: remove the policy {POLICY}{name}",) if before else ()
        return OpeningChange(steps, str(path), before)
    if not firewalld_runs():
        return OpeningChange()
    after = policy_text(opening)
    known = before == after and _tool(["firewall-cmd", f"--info-policy={POLICY}{name}"]).returncode == 0
    return OpeningChange(() if known else (f"firewalld: open {opening}",), str(path), before, after)


def _set_policy(name: str, opening: Opening | None) -> None:
    path = POLICIES / f"{POLICY}{name}.xml"
    before = path.read_text(encoding="utf-8", errors="replace") if path.is_file() else None
    if opening is None:
        path.unlink()
    else:
        _write(path, policy_text(opening))
    if not shutil.which("firewall-cmd") or not firewalld_runs():
        return
    for command in (["firewall-cmd", "--check-config"], ["firewall-cmd", "--reload"]):
        done = _tool(command)
        if done.returncode == 0:
            continue
        if before is None:
            path.unlink(missing_ok=True)
        else:
            _write(path, before)
        _tool(["firewall-cmd", "--reload"])
        raise OpeningError(f"{' '.join(command)}: {_said(done)}")


def _write(path: Path, text: str) -> None:
    folders.make(path.parent, 0o750)
    # Not .xml: firewalld reads all that is.
    draft = path.with_name(f".{path.name}.draft")
    draft.write_text(text, encoding="utf-8")
    draft.chmod(0o644)
    os.replace(draft, path)


def _ufw(name: str, opening: Opening | None) -> OpeningChange:
    if not shutil.which("ufw"):
        return OpeningChange()
    # Ours are taken back although it is off: it would let them in again once it is on.
    if opening is not None and not ufw_runs():
        return OpeningChange()
    extra, lacking, unknown = _ufw_differs(name, opening)
    steps = [f"ufw: close {_words(rule)}" for rule in extra] + [f"ufw: open {_words(rule)}" for rule in lacking]
    whom = " and ".join(source for source, __ in unknown)
    remedy = "let it in in /etc/ufw/before.rules, or both gateways will hold the floating address"
    return OpeningChange(
        tuple(steps), warning=f"This host's ufw is on and knows no VRRP: from {whom} {remedy}" if whom else ""
    )


_Rules = list[tuple[str, str]]


def _ufw_differs(name: str, opening: Opening | None) -> tuple[_Rules, _Rules, _Rules]:
    """Rules that are too many, that are missing, and that this ufw has no words for (VRRP before 0.36.2)."""
    done = _tool(["ufw", "show", "added"])
    if done.returncode != 0:
        raise OpeningError(f"ufw show added: {_said(done)}")
    have, want = ufw_rules(done.stdout, name), [] if opening is None else opening.rules
    lacking = [rule for rule in want if rule not in have]
    unknown = [
        rule
        for rule in lacking
        if rule[1] == VRRP and _tool(["ufw", "--dry-run", "allow", *ufw_rule(*rule)]).returncode != 0
    ]
    return [rule for rule in have if rule not in want], [rule for rule in lacking if rule not in unknown], unknown


def _set_ufw(name: str, opening: Opening | None) -> None:
    extra, lacking, __ = _ufw_differs(name, opening)
    for rule in lacking:
        _ufw_do(["ufw", "allow", *ufw_rule(*rule), "comment", COMMENT + name])
    for rule in extra:
        _ufw_do(["ufw", "--force", "delete", "allow", *ufw_rule(*rule)])


def _ufw_do(command: Sequence[str]) -> None:
    done = _tool(command)
    if done.returncode != 0:
        raise OpeningError(f"{' '.join(command)}: {_said(done)}")


def _words(rule: tuple[str, str]) -> str:
    source, port = rule
    return f"{'VRRP' if port == VRRP else f'port {port}'} to {source or 'everybody'}"


def _tool(command: Sequence[str]) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(
            list(command),
            capture_output=True,
            text=True,
            check=False,
            stdin=subprocess.DEVNULL,
            timeout=_LIMIT,
            env={**os.environ, "LC_ALL": "C"},
        )
    except subprocess.TimeoutExpired as error:
        raise OpeningError(f"{' '.join(command)}: no end after {_LIMIT:.0f} s") from error
    except OSError as error:
        raise OpeningError(f"{' '.join(command)}: {error.strerror}") from error


def _said(done: subprocess.CompletedProcess[str]) -> str:
    return " ".join((done.stderr or done.stdout).split()) or f"status {done.returncode}"
