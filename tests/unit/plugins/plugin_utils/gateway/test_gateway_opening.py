"""What the hosts' own firewalls and SELinux are told of the door."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from ansible_collections.baremetal.vllm.plugins.module_utils.host import labels
from ansible_collections.baremetal.vllm.plugins.module_utils.host.labels import Labels
from ansible_collections.baremetal.vllm.plugins.module_utils.text.problems import Problems
from ansible_collections.baremetal.vllm.plugins.module_utils.units import empty, opening, surroundings
from ansible_collections.baremetal.vllm.plugins.plugin_utils.gateway import files
from ansible_collections.baremetal.vllm.plugins.plugin_utils.gateway.request import read_gateway
from ansible_collections.baremetal.vllm.plugins.plugin_utils.planned.gateway import Settings

TEMPLATES = Path(__file__).resolve().parents[5] / "templates"


@pytest.mark.parametrize(
    ("settings", "ports", "peers"),
    [
        ({"address": "*", "port": 443, "floating_address": ""}, [443], []),
        ({"address": "10.0.0.5", "port": 80, "floating_address": "10.0.0.100/24"}, [80], ["10.0.0.6"]),
        ({"address": "[fd00::5]", "port": 80, "floating_address": ""}, [80], []),
        # Only the machine itself reaches it.
        ({"address": "127.0.0.1", "port": 8080, "floating_address": ""}, [], []),
        ({"address": "[::1]", "port": 8080, "floating_address": ""}, [], []),
    ],
)
def test_what_is_let_in(settings: dict[str, Any], ports: list[int], peers: list[str]) -> None:
    asked = files.let_in(Settings(**settings), ["10.0.0.6"], True)
    assert (asked["ports"], asked["peers"]) == (ports, peers)


def test_a_gateway_that_goes_gives_all_of_it_back() -> None:
    gone = files.absent(files.haproxy(TEMPLATES, {"/etc/haproxy/vllm.cfg": ""}, {}))
    assert (gone["opening"]["name"], gone["opening"].get("ports", [])) == ("gateway", [])
    assert gone["selinux"]["booleans"] == ["haproxy_connect_any"]
    assert set(gone["selinux"]["contexts"]) <= {
        "/var/lib/haproxy-vllm(/.*)?",
        *(file["path"] for file in [*gone["files"], *files.keepalived()["files"]]),
    }


def test_the_roles_variables_are_the_plans_too() -> None:
    problems = Problems()
    declared = {"gateway_keys": {"a": "sk-0123456789abcdef"}, "gateway_host_firewall": False, "gateway_selinux": False}
    assert read_gateway(declared, problems) is not None
    assert problems.found == set()


def test_an_emptied_host_gives_back_what_it_was_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(labels, "noted", lambda root=None: Labels({"/x(/.*)?": "bin_t"}, ["haproxy_connect_any"]))
    monkeypatch.setattr(opening, "POLICIES", tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path))
    (tmp_path / "vllm-engines.xml").write_text("<policy/>")
    steps = [step for asked in empty.around() for step in surroundings.surplus(asked).steps]
    assert steps == [
        "SELinux: take back the type of /x(/.*)?",
        "SELinux: switch haproxy_connect_any off",
        "firewalld: remove the policy vllm-engines",
    ]
