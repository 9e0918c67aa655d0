"""Keys that keep nobody out, and settings of gateways that nobody has."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.baremetal.vllm.plugins.plugin_utils.plan.keys import is_placeholder
from hypothesis import given
from hypothesis import strategies as st

ROOT = Path(__file__).resolve().parents[5]
KEY = "sk-4f1c0de5b7a89d23"


class Told:
    def __init__(self, outcome: Any) -> None:
        self.plan = outcome.plan
        self.problems, self.warnings = sorted(map(str, outcome.problems)), sorted(map(str, outcome.warnings))

    def about(self, key: str) -> tuple[list[str], list[str]]:
        return [p for p in self.problems if p.startswith(key)], [w for w in self.warnings if w.startswith(key)]


def plan(fleet: Any, api_key: Any = KEY, host: str = "gpu1", keys: Any = None, **more: Any) -> Told:
    if keys is not None:
        more["gateways"] = {"10.0.0.9": {"gateway_keys": keys, **more.pop("gateway", {})}}
    return Told(
        fleet.plan({"m": fleet.chat}, {host: {**fleet.gpu_host, **more.pop("of", {})}}, api_key=api_key, **more)
    )


@pytest.mark.parametrize(
    "key", ["replace-me", "REPLACE_ME", "changeme", "Change-me-please-123", "<your-api-key>", "your key"]
)
def test_a_placeholder_is_refused_where_a_host_is_real(fleet: Any, key: str) -> None:
    told = plan(fleet, key)
    assert told.about("vllm_api_key") == (
        [
            "vllm_api_key: is an example's placeholder, which everybody can read. Put a key of your own into a vault. Make one "
            "with: openssl rand -hex 24."
        ],
        [],
    )
    assert told.plan == {}


@pytest.mark.parametrize(
    ("host", "of", "refused"),
    [
        ("gpu1.example.com", {}, False),
        ("gpu1.example", {}, False),
        ("GPU1.Example.ORG", {}, False),
        ("gpu1", {"ansible_host": "192.0.2.7"}, False),
        ("gpu1", {"ansible_host": "2001:db8::7"}, False),
        ("gpu1", {"ansible_host": "gpu1.invalid"}, False),
        ("gpu1.example.com", {"ansible_host": "10.0.0.7"}, True),
        ("gpu1.example.com", {"ansible_host": "fd00::7"}, True),
        ("gpu1.myexample.com", {}, True),
        ("example.com.corp", {}, True),
        ("localhost", {}, True),
        ("gpu1.test", {}, True),
    ],
)
def test_hosts_of_the_documentation_can_be_planned_with_a_placeholder(
    fleet: Any, host: str, of: dict[str, Any], refused: bool
) -> None:
    problems, warnings = plan(fleet, "replace-me", host, of=of).about("vllm_api_key")
    assert (len(problems), len(warnings)) == ((1, 0) if refused else (0, 1))


def test_placeholders_of_clients_are_refused_by_name(fleet: Any) -> None:
    keys = {"team-a": "replace-me-team-a", "jobs": {"keys": [KEY + "1", "replace-me-jobs-2"]}, "fine": KEY + "2"}
    told = plan(fleet, keys=keys)
    assert [line.partition(": ")[0] for line in told.problems] == [
        "gateway_keys.jobs, key 2",
        "gateway_keys.team-a, key 1",
    ]
    assert "replace" not in "".join(told.problems + told.warnings)


@pytest.mark.parametrize(
    ("key", "said"),
    [
        (12345678901234567890, "is not text. Quote it: YAML reads digits as a number"),
        (0, "is not text"),
        ("x", "has one character"),
        (1.5, "is not text"),
        (True, "is not text"),
        ([KEY], "is not text"),
        (KEY + "\n", "begins or ends with a blank or a line break"),
        (" " + KEY, "begins or ends with a blank"),
        ("sk-4f1c\x000de5b7a89d23", "has a control character"),
    ],
)
def test_what_no_client_could_send_is_refused(fleet: Any, key: Any, said: str) -> None:
    ((line,), warnings) = plan(fleet, key).about("vllm_api_key")
    assert said in line
    assert warnings == []


@pytest.mark.parametrize(
    ("key", "said"), [("xy", "2 characters"), ("geheim", "6 characters"), (KEY[:15], "15 characters")]
)
def test_a_short_key_is_warned_about(fleet: Any, key: str, said: str) -> None:
    told = plan(fleet, key)
    assert told.problems == []
    assert told.about("vllm_api_key")[1] == [
        f"vllm_api_key: has {said}, and can be guessed. Make one with: openssl rand -hex 24."
    ]


@pytest.mark.parametrize("key", [KEY, KEY[:16], "lab-key-no-secret", "a passphrase of words", None])
def test_a_sound_key_and_a_run_that_is_told_none_say_nothing(fleet: Any, key: Any) -> None:
    assert plan(fleet, key).about("vllm_api_key") == ([], [])


@given(st.text(min_size=3) | st.integers(10**30), st.text(min_size=3))
def test_no_key_is_repeated_and_none_enters_the_plan(key: Any, other: str) -> None:
    from tests.unit.plugins.plugin_utils.plan.conftest import Fleet

    marked, clients = (f"Zq9{key}9qZ", f"Zq9{other}9qZ") if isinstance(key, str) else (key, f"Zq9{other}9qZ")
    told = plan(Fleet(), marked, keys={"team": clients})
    everything = "".join([*told.problems, *told.warnings, str(told.plan)])
    assert str(marked) not in everything
    assert "Zq9" not in everything


def test_every_key_that_an_inventory_of_ours_publishes_is_known_as_a_placeholder() -> None:
    found = 0
    for path in ROOT.glob("inventories/*/group_vars/all/vault.yml"):
        values = yaml.safe_load(path.read_text())
        keys = [values["vault_vllm_api_key"]]
        for client in (values.get("vault_gateway_keys") or {}).values():
            keys += client["keys"] if isinstance(client, dict) else [client]
        assert [is_placeholder(key) for key in keys] == [True] * len(keys), path
        found += len(keys)
    assert found >= 3


def test_settings_of_a_gateway_without_one_are_warned_about(fleet: Any) -> None:
    names = {"gpu1": (*fleet.gpu_host, "gateway_keys", "gateway_name", "gateway_of_the_rack")}
    told = plan(fleet, names=names)
    assert told.about("gateway") == (
        [],
        [
            "gateway_keys and gateway_name: set for hosts, and none of them is a gateway: clients reach the engines themselves. Put a host into "
            "the group gateways (or name another group with vllm_gateway_group), or take it out."
        ],
    )
    gateways = {
        "gateways": {"10.0.0.9": {"gateway_keys": {"a": KEY}}},
        "gateway_names": {"10.0.0.9": ("gateway_keys",)},
    }
    assert plan(fleet, names=names, **gateways).about("gateway_keys") == ([], [])
    assert plan(fleet, names={"gpu1": tuple(fleet.gpu_host)}).about("gateway") == ([], [])
