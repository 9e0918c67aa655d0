"""Who may reach the engines: sources as an inventory has them, in the words of nftables."""

from __future__ import annotations

import ipaddress
import itertools
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import jinja2
import pytest
from ansible_collections.baremetal.vllm.plugins.plugin_utils.gateway.firewall import endpoint_rules
from ansible_collections.baremetal.vllm.plugins.plugin_utils.inventory.jsonform import build
from ansible_collections.baremetal.vllm.plugins.plugin_utils.planned.fleet import Firewall
from hypothesis import given
from hypothesis import strategies as st

TEMPLATES = Path(__file__).resolve().parents[5] / "templates"
NETWORKS = st.one_of(
    st.ip_addresses(v=4).map(str),
    st.ip_addresses(v=6, network="fd00::/8").map(str),
    st.tuples(st.ip_addresses(v=4), st.integers(0, 32)).map(lambda pair: f"{pair[0]}/{pair[1]}"),
)


@pytest.mark.parametrize(
    ("sources", "four", "six"),
    [
        (["10.0.0.5", "10.0.0.5/32", "fd00::5"], ["10.0.0.5"], ["fd00::5"]),
        (["10.0.0.0/24", "10.0.0.7"], ["10.0.0.0/24"], []),
        (["10.0.0.9/24"], ["10.0.0.0/24"], []),
        (["[fd00::1]", "::ffff:10.0.0.4"], ["10.0.0.4"], ["fd00::1"]),
        ([], [], []),
    ],
)
def test_sources_by_family(sources: list[str], four: list[str], six: list[str]) -> None:
    rules = endpoint_rules(build(Firewall, {"ports": [8002, 8001, 8001], "sources": sources}))
    assert (rules["ports"], rules["sources4"], rules["sources6"]) == ([8001, 8002], four, six)


def test_all_that_nftables_cannot_take_is_told_at_once() -> None:
    with pytest.raises(ValueError, match=r"gw\.example\.com: .*vllm_endpoint_address.*\nfe80::1%eth0: ") as told:
        endpoint_rules(
            build(Firewall, {"ports": [8001], "sources": ["gw.example.com", "10.0.0.1", "fe80::1%eth0", ""]})
        )
    assert len(str(told.value).splitlines()) == 3


@given(st.lists(NETWORKS, max_size=8))
def test_every_source_is_let_in_once(sources: list[str]) -> None:
    rules = endpoint_rules(build(Firewall, {"ports": [1], "sources": sources}))
    networks = [ipaddress.ip_network(text) for text in (*rules["sources4"], *rules["sources6"])]
    for source in sources:
        asked = ipaddress.ip_network(source, strict=False)
        holders = [n for n in networks if n.version == asked.version and asked.subnet_of(n)]  # type: ignore[arg-type]
        assert len(holders) == 1


def test_the_name_of_the_chain_changes_with_its_content_alone() -> None:
    def chain(*sources: str) -> str:
        return str(endpoint_rules(build(Firewall, {"ports": [1], "sources": sources}))["chain"])

    assert chain("10.0.0.1", "10.0.0.2") == chain("10.0.0.2", "10.0.0.1")
    assert chain("10.0.0.1") != chain("10.0.0.2")
    # Where the table goes, its template is rendered all the same.
    assert endpoint_rules(None).keys() == endpoint_rules(build(Firewall, {"ports": [1]})).keys()
    assert (endpoint_rules(None)["ports"], endpoint_rules(None)["chain"]) == ([], "closed")


def table(**asked: Any) -> str:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    rules = endpoint_rules(build(Firewall, {"ports": [8001], **asked}))
    return environment.get_template("etc/vllm/firewall.nft.j2").render(mark="#", rules=rules)


def test_without_a_source_only_the_host_itself_is_let_in() -> None:
    text = table(sources=[])
    assert "saddr" not in text
    assert 'iif "lo" accept' in text


def test_destinations_are_sources_of_nobody() -> None:
    rules = endpoint_rules(
        build(Firewall, {"ports": [8001], "sources": ["10.0.0.1"], "destinations": ["10.0.0.9/24", "fd00::1"]})
    )
    assert (rules["sources4"], rules["destinations4"], rules["destinations6"]) == (
        ["10.0.0.1"],
        ["10.0.0.0/24"],
        ["fd00::1"],
    )
    assert (rules["everyone"], rules["anywhere"], rules["peers"]) == (False, False, False)
    open_ = endpoint_rules(build(Firewall, {"ports": [8001]}))
    assert (open_["everyone"], open_["anywhere"]) == (True, True)
    with pytest.raises(ValueError, match=r"otel\.lan: is not an address"):
        endpoint_rules(build(Firewall, {"ports": [8001], "destinations": ["otel.lan"]}))


@pytest.mark.skipif(not shutil.which("nft") or os.geteuid() != 0, reason="nft and root try the tables")
def test_every_table_is_one_that_nftables_takes() -> None:
    sources = (None, [], ["10.0.0.1", "fd00::/8"])
    destinations = (None, [], ["10.0.0.0/24"], ["10.0.0.0/24", "fd00::1"])
    for source, destination, peers in itertools.product(sources, destinations, (False, True)):
        # The tables name a user of engine hosts; here is another one that is everywhere.
        text = table(sources=source, destinations=destination, peers=peers).replace('"vllm"', '"nobody"')
        command = ["unshare", "--net", "nft", "--check", "--file", "-"]
        done = subprocess.run(command, input=text, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{source} {destination} {peers}: {done.stderr}"
