"""What firewalld and ufw are told, with stand-ins for their programs that keep what they are told as the real ones do."""

from __future__ import annotations

import contextlib
import io
import runpy
import shutil
import subprocess
import sys
import textwrap
import xml.etree.ElementTree as ElementTree
from collections.abc import Sequence
from pathlib import Path

import pytest
from ansible_collections.baremetal.vllm.plugins.module_utils.units import opening, surroundings
from ansible_collections.baremetal.vllm.plugins.module_utils.units.opening import Opening, OpeningError

ENGINES = Opening("engines", (8001, 8002), ("10.0.0.5", "fd00::/64"))
DOOR = Opening("gateway", (443,), (), ("10.0.0.6",))
# ufw 0.36.2 as it was seen in the lab: rules are shown in its own words, and one that is there is skipped.
UFW = r"""
import ipaddress, pathlib, sys
home = pathlib.Path(__file__).parent
rules = home / "ufw.rules"
words = [word for word in sys.argv[1:] if word != "--force"]
kept = rules.read_text().splitlines() if rules.exists() else []
def shown(rest):
    comment = ""
    if "comment" in rest:
        at = rest.index("comment")
        rest, comment = rest[:at], f" comment '{rest[at + 1]}'"
    pairs = dict(zip(rest[::2], rest[1::2]))
    source = pairs["from"]
    if source != "any":
        network = ipaddress.ip_network(source, strict=False)
        source = "any" if network.prefixlen == 0 else str(network).replace("/32", "").replace("/128", "")
    port = rest[rest.index("port") + 1] if "port" in rest else ""
    if not port:
        return f"ufw allow from {source} proto {pairs['proto']}" + comment
    if source == "any":
        return f"ufw allow {port}/tcp" + comment
    return f"ufw allow from {source} to any port {port} proto tcp" + comment
if words in (["status"], ["status", "verbose"]):
    print("Status: " + (home / "ufw.status").read_text())
elif words == ["show", "added"]:
    print("Added user rules (see 'ufw status' for running firewall):")
    print("\n".join(kept))
elif words[0] == "--dry-run":
    sys.exit((home / "ufw.old").exists() and "ERROR: Unsupported protocol 'vrrp'" or 0)
elif words[0] == "allow":
    if (home / "ufw.broken").exists():
        sys.exit("ERROR: problem running iptables")
    if shown(words[1:]) in kept:
        sys.exit(print("Skipping adding existing rule"))
    rules.write_text("\n".join([*kept, shown(words[1:])]) + "\n")
elif words[:2] == ["delete", "allow"]:
    line = shown(words[2:])
    left = [rule for rule in kept if rule.partition(" comment ")[0] != line]
    sys.exit("Could not delete non-existent rule") if left == kept else rules.write_text("\n".join(left) + "\n")
else:
    sys.exit(f"no such stand-in: {words}")
"""
FIREWALLD = r"""
import pathlib, sys
home = pathlib.Path(__file__).parent
loaded = home / "loaded"
policies = home / "policies"
word = sys.argv[1]
if word == "--state":
    sys.exit(0 if (home / "firewalld.on").exists() else 252)
elif word == "--check-config":
    sys.exit("Error: INVALID_RULE" if (home / "firewalld.broken").exists() else 0)
elif word == "--reload":
    loaded.write_text("\n".join(path.stem for path in policies.glob("*.xml")))
    with (home / "reloads").open("a") as stream:
        stream.write("x")
elif word in ("--list-all-zones", "--list-all-policies"):
    listing = home / word[2:]
    print(listing.read_text() if listing.exists() else "public (active)\\n  services: ssh\\n  ports: ")
elif word == "--get-default-zone":
    print("public")
elif word.startswith("--info-policy="):
    sys.exit(0 if loaded.exists() and word.partition("=")[2] in loaded.read_text().split() else 112)
else:
    sys.exit(f"no such stand-in: {word}")
"""


BOUND = "public (active)\n  target: default\n  interfaces: eth0\n  services: ssh\n  rich rules: \n"


@pytest.fixture
def tools(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory that is all of PATH: stand-ins are put there by name."""
    monkeypatch.setenv("PATH", str(tmp_path))
    (tmp_path / "policies").mkdir()
    monkeypatch.setattr(opening, "POLICIES", tmp_path / "policies")
    return tmp_path


@pytest.fixture
def in_process(tools: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same stand-ins without a process for each call, for tests that ask and change many times over."""

    def run(command: Sequence[str]) -> subprocess.CompletedProcess[str]:
        path = shutil.which(command[0])
        assert path
        out, status, said = io.StringIO(), 0, ""
        with contextlib.redirect_stdout(out), monkeypatch.context() as patch:
            patch.setattr(sys, "argv", list(command))
            try:
                runpy.run_path(path, run_name="__main__")
            except SystemExit as end:
                status = end.code if isinstance(end.code, int) else int(end.code is not None)
                said = end.code if isinstance(end.code, str) else ""
        return subprocess.CompletedProcess(list(command), status, out.getvalue(), said)

    monkeypatch.setattr(opening, "_tool", run)


def put(place: Path, name: str, text: str) -> None:
    path = place / name
    path.write_text(f"#!{sys.executable} -I\n{textwrap.dedent(text)}")
    path.chmod(0o755)


def steps(asked: Opening | None, name: str = "engines") -> list[str]:
    return [step for change in opening.look(name, asked) for step in change.steps]


def test_a_host_without_either_is_left_as_it_is(tools: Path) -> None:
    assert opening.look("engines", ENGINES) == []
    opening.apply("engines", ENGINES)
    assert opening.look("engines", None) == []


def test_ufw_lets_the_sources_in_once_and_by_no_other_name(tools: Path) -> None:
    put(tools, "ufw", UFW)
    (tools / "ufw.status").write_text("active\n\nTo  Action  From\n")
    (tools / "ufw.rules").write_text(
        "ufw allow from 10.9.9.9 to any port 8001 proto tcp\nufw allow 22/tcp comment 'ssh'\n"
    )
    assert steps(ENGINES) == [
        "ufw: open port 8001 to 10.0.0.5",
        "ufw: open port 8001 to fd00::/64",
        "ufw: open port 8002 to 10.0.0.5",
        "ufw: open port 8002 to fd00::/64",
    ]
    opening.apply("engines", ENGINES)
    assert steps(ENGINES) == []
    opening.apply("gateway", DOOR)
    assert steps(DOOR, "gateway") == []
    assert steps(ENGINES) == []
    # Another gateway, one port less: what is too much goes, and only that.
    moved = Opening("engines", (8001,), ("10.0.0.7",))
    assert steps(moved)[:2] == ["ufw: close port 8001 to 10.0.0.5", "ufw: close port 8001 to fd00::/64"]
    opening.apply("engines", moved)
    assert steps(moved) == []
    opening.apply("engines", None)
    opening.apply("gateway", None)
    assert (tools / "ufw.rules").read_text().split("\n")[:-1] == [
        "ufw allow from 10.9.9.9 to any port 8001 proto tcp",
        "ufw allow 22/tcp comment 'ssh'",
    ]


@pytest.mark.parametrize(
    "sources",
    [
        ("0.0.0.0/0",),
        ("::/0",),
        ("0.0.0.0/0", "::/0"),
        ("10.0.0.5/32", "10.0.0.5"),
        ("10.0.0.5/24", "fd00:0:0::1/64"),
        ("0.0.0.0/0", "10.0.0.5"),
    ],
)
def test_a_source_that_ufw_writes_in_another_way_is_opened_once_and_stays(
    tools: Path, in_process: None, sources: tuple[str, ...]
) -> None:
    put(tools, "ufw", UFW)
    (tools / "ufw.status").write_text("active")
    asked = Opening("engines", (8001,), sources)
    opening.apply("engines", asked)
    kept = (tools / "ufw.rules").read_text()
    for __ in range(2):
        assert steps(asked) == []
        opening.apply("engines", asked)
        assert (tools / "ufw.rules").read_text() == kept
    opening.apply("engines", None)
    assert (tools / "ufw.rules").read_text().strip() == ""


def test_ufw_that_is_off_opens_nothing_and_gives_back_what_is_there(tools: Path, in_process: None) -> None:
    put(tools, "ufw", UFW)
    (tools / "ufw.status").write_text("active")
    opening.apply("engines", ENGINES)
    (tools / "ufw.status").write_text("inactive")
    assert steps(Opening("engines", (9000,), ())) == []
    assert len(steps(None)) == 4
    opening.apply("engines", None)
    assert steps(None) == []


def test_ufw_that_knows_no_vrrp_is_told_of_and_stops_nothing(tools: Path) -> None:
    put(tools, "ufw", UFW)
    (tools / "ufw.status").write_text("active")
    (tools / "ufw.old").touch()
    changes = opening.look("gateway", DOOR)
    assert [change.steps for change in changes] == [("ufw: open port 443 to everybody",)]
    assert "knows no VRRP: from 10.0.0.6" in changes[0].warning
    opening.apply("gateway", DOOR)
    assert [(change.steps, bool(change.warning)) for change in opening.look("gateway", DOOR)] == [((), True)]


def test_firewalld_gets_one_policy_and_loses_it(tools: Path) -> None:
    put(tools, "firewall-cmd", FIREWALLD)
    assert steps(ENGINES) == []
    (tools / "firewalld.on").touch()
    assert steps(ENGINES) == ["firewalld: open ports 8001, 8002 to 10.0.0.5 and fd00::/64"]
    opening.apply("engines", ENGINES)
    assert steps(ENGINES) == []
    assert (tools / "reloads").read_text() == "x"
    policy = ElementTree.parse(tools / "policies" / "vllm-engines.xml").getroot()
    assert (policy.find("ingress-zone").get("name"), policy.find("egress-zone").get("name")) == ("ANY", "HOST")
    rules = [
        (
            rule.get("family"),
            rule.find("source").get("address"),
            rule.find("port").get("port"),
            rule.find("accept") is not None,
        )
        for rule in policy.findall("rule")
    ]
    assert rules == [
        ("ipv4", "10.0.0.5", "8001", True),
        ("ipv6", "fd00::/64", "8001", True),
        ("ipv4", "10.0.0.5", "8002", True),
        ("ipv6", "fd00::/64", "8002", True),
    ]
    # A file that was never loaded is not in force.
    (tools / "loaded").write_text("")
    assert len(steps(ENGINES)) == 1
    assert steps(None) == ["firewalld: remove the policy vllm-engines"]
    opening.apply("engines", None)
    assert list((tools / "policies").iterdir()) == []
    assert (tools / "loaded").read_text() == ""


def test_the_door_is_open_to_everybody_and_to_the_other_gateways_vrrp() -> None:
    policy = ElementTree.fromstring(opening.policy_text(DOOR).encode())
    clients, peers = policy.findall("rule")
    assert (clients.get("family"), clients.find("source"), clients.find("port").get("port")) == (None, None, "443")
    assert (peers.find("source").get("address"), peers.find("protocol").get("value")) == ("10.0.0.6", "112")


def test_what_firewalld_refuses_is_taken_back_and_the_port_named(tools: Path) -> None:
    put(tools, "firewall-cmd", FIREWALLD)
    (tools / "firewalld.on").touch()
    opening.apply("engines", ENGINES)
    before = (tools / "policies" / "vllm-engines.xml").read_text()
    (tools / "firewalld.broken").touch()
    with pytest.raises(
        OpeningError, match=r"INVALID_RULE\. Until the host's firewall lets in port 9000 to 10\.0\.0\.9, nobody else"
    ):
        opening.apply("engines", Opening("engines", (9000,), ("10.0.0.9",)))
    assert (tools / "policies" / "vllm-engines.xml").read_text() == before


def test_what_ufw_refuses_names_the_port(tools: Path) -> None:
    put(tools, "ufw", UFW)
    (tools / "ufw.status").write_text("active")
    (tools / "ufw.broken").touch()
    with pytest.raises(OpeningError, match=r"problem running iptables\. .*lets in port 443 to everybody"):
        opening.apply("gateway", Opening("gateway", (443,)))


def test_firewalld_without_its_program_is_an_error_that_names_the_port(tools: Path) -> None:
    put(tools, "systemctl", "import sys; sys.exit(0 if sys.argv[1:] == ['is-active', '--quiet', 'firewalld'] else 4)")
    with pytest.raises(
        OpeningError, match=r"firewalld runs, and its program .*lets in ports 8001, 8002 to 10\.0\.0\.5"
    ):
        opening.look("engines", ENGINES)


def test_a_firewall_that_is_somebody_elses_is_told_of_and_left_alone(tools: Path) -> None:
    put(tools, "firewall-cmd", FIREWALLD)
    (tools / "firewalld.on").touch()
    asked = surroundings.wanted(
        {
            "state": "present",
            "opening": {"name": "engines", "ports": [8001], "sources": ["10.0.0.5"], "peers": [], "manage": False},
        }
    )
    found = surroundings.look(asked)
    assert found.steps == ()
    assert len(found.warnings) == 1
    assert "firewalld is on, and no rule of it lets anybody in to port 8001" in found.warnings[0]
    assert "firewall-cmd --permanent --add-port=8001/tcp" in found.warnings[0]
    surroundings.let_in(asked, found)
    assert list((tools / "policies").iterdir()) == []


def test_no_ports_is_nothing_to_let_in(tools: Path) -> None:
    put(tools, "firewall-cmd", FIREWALLD)
    (tools / "firewalld.on").touch()
    opening.apply("gateway", DOOR)
    asked = surroundings.wanted(
        {"state": "present", "opening": {"name": "gateway", "ports": [], "sources": [], "peers": [], "manage": True}}
    )
    found = surroundings.look(asked)
    assert found.steps == ("firewalld: remove the policy vllm-gateway",)
    surroundings.let_in(asked, found)
    assert list((tools / "policies").iterdir()) == []


@pytest.mark.parametrize(
    ("zones", "policies", "closed"),
    [
        ("public (active)\n  services: ssh\n  ports: \n", "", [443, 8001]),
        ("public (active)\n  services: ssh https\n  ports: 8001/tcp\n", "", []),
        ("public (active)\n  services: ssh\n  ports: 8000-8100/tcp 443/udp\n", "", [443]),
        (
            'public\n  rich rules: \n\trule family="ipv4" source address="10.0.80.1" port port="8001" protocol="tcp" accept\n',
            "",
            [443],
        ),
        ("public\n  ports: 18001/tcp 80010/tcp 800/tcp\n", "mine\n  ports: 443/tcp\n", [8001]),
        # Rules that name no port, of what is bound to something.
        ("public (active)\n  target: ACCEPT\n  interfaces: eth0\n", "", []),
        ("public\n  target: ACCEPT\n  interfaces: \n  sources: \n", "", []),
        ("trusted (active)\n  target: ACCEPT\n  interfaces: \n  sources: 10.0.0.0/8\n", "", []),
        ("internal (active)\n  target: default\n  interfaces: eth1\n  protocols: tcp\n", "", []),
        (f'{BOUND}\trule family="ipv4" source address="10.0.0.0/8" accept\n', "", []),
        (f'{BOUND}\trule family="ipv4" source address="10.0.0.0/8" protocol value="tcp" accept\n', "", []),
        ("", "mine (active)\n  target: ACCEPT\n  ingress-zones: ANY\n  egress-zones: HOST\n", []),
        # The same of nobody: of nothing, of this host itself, of containers, of what is only passed on.
        ("trusted\n  target: ACCEPT\n  interfaces: \n  sources: \n", "", [443, 8001]),
        ("trusted (active)\n  target: ACCEPT\n  interfaces: lo\n  sources: \n", "", [443, 8001]),
        ("docker (active)\n  target: ACCEPT\n  interfaces: docker0\n", "", [443, 8001]),
        ("", "docker-forwarding (active)\n  target: ACCEPT\n  egress-zones: docker\n", [443, 8001]),
        (f'{BOUND}\trule family="ipv4" source address="10.0.0.0/8" drop\n', "", [443, 8001]),
        (f'{BOUND}\trule service name="ssh" accept\n\trule protocol value="112" accept\n', "", [443, 8001]),
        (
            "",
            'ours (active)\n  target: CONTINUE\n  egress-zones: HOST\n\trule icmp-type name="x" accept\n',
            [443, 8001],
        ),
    ],
)
def test_ports_that_firewalld_says_nothing_of(tools: Path, zones: str, policies: str, closed: list[int]) -> None:
    put(tools, "firewall-cmd", FIREWALLD)
    assert opening.held_closed([443, 8001]) == {}
    (tools / "firewalld.on").touch()
    (tools / "list-all-zones").write_text(zones)
    (tools / "list-all-policies").write_text(policies)
    assert opening.held_closed([443, 8001]) == ({"firewalld": closed} if closed else {})


@pytest.mark.parametrize(
    ("listed", "closed"),
    [
        ("To                         Action      From\n22/tcp                     ALLOW       Anywhere\n", [443, 8001]),
        ("443                        ALLOW       Anywhere\n8001/tcp (v6)              ALLOW       Anywhere (v6)\n", []),
        ("8000:8100/tcp              ALLOW       10.0.0.0/8\n443/udp                    ALLOW       Anywhere\n", [443]),
        ("80,443/tcp (Nginx Full)    ALLOW IN    Anywhere\n10.0.0.7 8001/tcp on eth0  LIMIT IN    10.0.0.0/8\n", []),
        ("80,443/udp                 ALLOW IN    Anywhere\n", [443, 8001]),
        # Rules that name no port.
        ("Anywhere                   ALLOW IN    10.0.0.0/8\n", []),
        ("Anywhere (v6) on eth1      ALLOW IN    Anywhere (v6)\n", []),
        ("Anywhere/tcp               ALLOW IN    10.0.0.0/8/tcp\n", []),
        ("10.0.0.7                   ALLOW IN    10.0.0.0/8\n", []),
        ("fd00::7                    ALLOW IN    fd00::/64\n", []),
        ("Default: allow (incoming), allow (outgoing), disabled (routed)\n", []),
        # The same of nobody who would be let in here.
        ("Default: deny (incoming), allow (outgoing), allow (routed)\n", [443, 8001]),
        ("Anywhere                   DENY IN     10.0.0.0/8\n", [443, 8001]),
        ("Anywhere                   ALLOW OUT   Anywhere\n8001/tcp    ALLOW FWD   Anywhere\n", [443, 8001]),
        ("Anywhere on lo             ALLOW IN    Anywhere\n", [443, 8001]),
        ("Anywhere/vrrp              ALLOW IN    10.0.0.6/vrrp\n", [443, 8001]),
        ("Anywhere/udp               ALLOW IN    Anywhere/udp\n", [443, 8001]),
    ],
)
def test_ports_that_ufw_says_nothing_of(tools: Path, listed: str, closed: list[int]) -> None:
    put(tools, "ufw", UFW)
    (tools / "ufw.status").write_text(f"active\n\n{listed}")
    assert opening.held_closed([443, 8001]) == ({"ufw": closed} if closed else {})


def test_ports_that_clients_reach_without_a_gateway_are_told_of_and_nothing_is_opened(tools: Path) -> None:
    put(tools, "firewall-cmd", FIREWALLD)
    (tools / "firewalld.on").touch()
    said = {"name": "engines", "ports": [], "sources": [], "peers": [], "served": [8938], "manage": True}
    asked = surroundings.wanted({"state": "absent", "opening": said})
    assert surroundings.surplus(asked).steps == ()
    warnings = surroundings.closed_to_all(asked)
    assert len(warnings) == 1
    assert "port 8938: it answers on this host alone" in warnings[0]
    assert list((tools / "policies").iterdir()) == []
