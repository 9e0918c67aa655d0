"""From the inventory's words to machines and addresses."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.baremetal.vllm.tools.lab.spec import (
    DEFAULT_MACHINES,
    DEFAULT_SUBNET,
    LabError,
    Machine,
    parse_lab,
    places,
)
from hypothesis import given
from hypothesis import strategies as st

SUBNET = "10.1.2.0/24"


def test_addresses_are_planned_around_those_asked_for() -> None:
    lab = parse_lab(SUBNET, [{"name": "a"}, {"name": "b", "address": "10.1.2.12"}, {"name": "c"}])
    assert [machine.address for machine in lab.machines] == ["10.1.2.11", "10.1.2.12", "10.1.2.13"]
    assert lab.gateway == "10.1.2.1"


def test_words_from_the_command_line_are_understood() -> None:
    (machine,) = parse_lab(
        SUBNET, [{"name": "a", "internet": "false", "suite": "trixie", "packages": ["git", "g++"]}]
    ).machines
    assert machine == Machine("a", "10.1.2.11", "trixie", internet=False, packages=("g++", "git"))


@pytest.mark.parametrize(
    ("subnet", "entries", "fault"),
    [
        ("10.1.2.3/24", [{"name": "a"}], "lab_subnet: 10.1.2.3/24 has host bits set"),
        ("8.8.8.0/24", [{"name": "a"}], "must be a private network"),
        ("10.1.2.0/30", [{"name": "a"}], "at least 16 addresses"),
        (SUBNET, [], "no machines"),
        (SUBNET, [{"name": "Lab_1"}], "machine Lab_1: a name has"),
        (SUBNET, [{"name": "../x"}], "a name has"),
        (SUBNET, [{"name": "a" * 33}], "a name has"),
        (SUBNET, [{"address": "10.1.2.11"}], "machine number 1"),
        (SUBNET, [{"name": "a", "suite": "jessie"}], "not one of bookworm, trixie"),
        (SUBNET, [{"name": "a", "sute": "trixie"}], "unknown key 'sute'"),
        (SUBNET, [{"name": "a", "internet": "perhaps"}], "lab_internet is true or false"),
        (SUBNET, [{"name": "a", "packages": "git"}], "lab_packages is a list"),
        (SUBNET, [{"name": "a", "packages": ["--x"]}], "'--x' is no package name"),
        (SUBNET, [{"name": "a", "address": "10.1.3.1"}], "ansible_host against lab_subnet"),
        (SUBNET, [{"name": "a", "address": "10.1.2.1"}], "ansible_host against lab_subnet"),
        (SUBNET, [{"name": "a", "address": "lab.example"}], "no IP address"),
        (SUBNET, [{"name": "a"}, {"name": "a"}], "two machines have the name a"),
        (SUBNET, [{"name": a, "address": "10.1.2.9"} for a in "ab"], "two machines have the address 10.1.2.9"),
        (SUBNET, [{"name": "a", "address": "fd6c:6162:a01:200::14"}], "write lab_internet: false"),
        (
            SUBNET,
            [{"name": "a", "address": "fd00::14", "internet": False}],
            "no address for a machine in fd6c:6162:a01:200::/64",
        ),
        (SUBNET, [{"name": "a", "address": "fd6c:6162:a01:200::1", "internet": False}], "no address for a machine in"),
        (SUBNET, [{"name": "a", "port": "ssh"}], "ansible_port 'ssh' is no port"),
        ("10.1.2.0/28", [{"name": f"m{n}"} for n in range(5)], "10.1.2.0/28 is full"),
    ],
)
def test_bad_input_is_refused_with_its_place(subnet: str, entries: list[dict[str, Any]], fault: str) -> None:
    with pytest.raises(LabError) as caught:
        parse_lab(subnet, entries)
    assert fault in str(caught.value)


def test_all_faults_at_once() -> None:
    with pytest.raises(LabError) as caught:
        parse_lab("x", [{"name": "A"}, {"name": "b", "suite": "sid"}])
    assert len(str(caught.value).splitlines()) == 3


@given(st.integers(1, 60), st.sets(st.integers(2, 254), max_size=20))
def test_no_two_machines_share_an_address(count: int, taken: set[int]) -> None:
    entries: list[dict[str, Any]] = [{"name": f"t{number}", "address": f"10.1.2.{number}"} for number in sorted(taken)]
    lab = parse_lab(SUBNET, [*entries, *({"name": f"m{number}"} for number in range(count))])
    addresses = [machine.address for machine in lab.machines]
    assert len(set(addresses)) == len(addresses) == count + len(taken)
    assert lab.gateway not in addresses


def test_places_follow_the_xdg_directories() -> None:
    assert str(places({"HOME": "/h"}).state) == "/h/.local/state/baremetal-vllm/lab"
    found = places({"HOME": "/h", "XDG_STATE_HOME": "/s", "XDG_CACHE_HOME": "/c"})
    assert (str(found.state), str(found.cache)) == ("/s/baremetal-vllm/lab", "/c/baremetal-vllm/lab")


@pytest.mark.parametrize("path", ["relative", "/with:colon", "/with,comma", "/with space"])
def test_places_that_a_mount_cannot_name_are_refused(path: str) -> None:
    with pytest.raises(LabError, match="XDG_STATE_HOME"):
        places({"HOME": "/h", "XDG_STATE_HOME": path})


def test_the_inventory_and_the_default_are_the_same_lab() -> None:
    inventory = yaml.safe_load((Path(__file__).parents[4] / "inventories" / "lab" / "hosts.yml").read_text())["all"]
    assert inventory["vars"]["lab_subnet"] == DEFAULT_SUBNET
    default = parse_lab(DEFAULT_SUBNET, [{"name": name} for name in DEFAULT_MACHINES])
    hosts = inventory["children"]["lab"]["hosts"]
    ends = [machine.address.rpartition(".")[2] for machine in default.machines]
    assert [host["ansible_host"].rpartition(".")[2] for host in hosts.values()] == ends
    assert tuple(hosts) == DEFAULT_MACHINES
