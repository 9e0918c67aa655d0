"""What an inventory may ask of the gateways, and what it gets told."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from ansible_collections.baremetal.vllm.plugins.module_utils.text.problems import Problems
from ansible_collections.baremetal.vllm.plugins.plugin_utils.gateway.judge import (
    judge_clients,
    judge_engine_key,
    judge_floating,
    judge_names,
)
from ansible_collections.baremetal.vllm.plugins.plugin_utils.gateway.keys import GatewayClient, digest, read_keys
from ansible_collections.baremetal.vllm.plugins.plugin_utils.gateway.request import read_gateway
from ansible_collections.baremetal.vllm.plugins.plugin_utils.planned.gateway import Replica, Route, Settings
from hypothesis import given
from hypothesis import strategies as st

KEY, OTHER = "sk-0123456789abcdef", "sk-fedcba9876543210"
KEYED = {"gateway_keys": {"team": KEY}}


def told(**declared: Any) -> list[str]:
    problems = Problems()
    settings = read_gateway({**KEYED, **declared}, problems)
    found = sorted(map(str, problems.found))
    assert (settings is None) == bool(found)
    assert KEY not in " ".join(found)
    return found


def settings(**declared: Any) -> Settings:
    problems = Problems()
    read = read_gateway({**KEYED, **declared}, problems)
    assert read is not None, problems.found
    return read


@pytest.fixture
def pems(tmp_path: Path) -> dict[str, str]:
    texts = {
        "certificate": "-----BEGIN CERTIFICATE-----\n",
        "key": "-----BEGIN PRIVATE KEY-----\n",
        "both": "-----BEGIN CERTIFICATE-----\n-----BEGIN EC PRIVATE KEY-----\n",
        "locked": "-----BEGIN ENCRYPTED PRIVATE KEY-----\n",
        "vaulted": "$ANSIBLE_VAULT;1.1;AES256\n3133\n",
    }
    for name, text in texts.items():
        (tmp_path / name).write_text(text)
    return {name: str(tmp_path / name) for name in [*texts, "missing"]}


def test_a_key_is_all_that_must_be_written() -> None:
    assert settings() == Settings()
    assert settings(gateway_port="8080", gateway_timeout=1200, gateway_metrics_address="10.0.0.5").port == 8080
    assert settings(gateway_open=True, gateway_keys=None).open


def test_a_door_without_tls_is_warned_of() -> None:
    problems = Problems()
    read_gateway(KEYED, problems)
    assert [problem.key for problem in problems.warned] == ["gateway_tls_certificate"]


@pytest.mark.parametrize(
    ("declared", "expected"),
    [
        (
            {"gateway_keys": None},
            "gateway_keys: is missing, so nobody could use the gateway. Write one key per client, from a vault (gateway_keys: "
            "{team-a: sk-…}), or gateway_open: true where everybody who reaches the gateway may use every model.",
        ),
        ({"gateway_keys": []}, "gateway_keys: is missing, so nobody could use the gateway."),
        ({"gateway_open": True}, "gateway_open: stands beside gateway_keys: keys would not be asked for. Keep one of the two."),
        ({"gateway_open": "maybe"}, "gateway_open: 'maybe' is neither true nor false. Write true or false."),
        ({"gateway_tiemout": 5}, 'gateway_tiemout: is not a variable of the gateway. Did you mean "gateway_timeout".'),
        ({"gateway_port": 70000}, "gateway_port: 70000 is not a number from 1 to 65535. Write a port, or leave it out (80)."),
        ({"gateway_port": 8405}, "gateway_metrics_port: 8405 is also gateway_port. Give the metrics a port of their own."),
        ({"gateway_timeout": "10m"}, "gateway_timeout: '10m' is not a number from 10 to 86400. Write seconds that an engine may be silent,"),
        ({"gateway_body_limit_mib": 0}, "gateway_body_limit_mib: 0 is not a number from 1 to 256."),
        ({"gateway_max_connections": True}, "gateway_max_connections: True is not a number from 100 to 200000."),
        ({"gateway_address": "gw.example.com"}, "gateway_address: 'gw.example.com' is not an IP address. Write one such as 10.0.0.5,"),
        ({"gateway_name": "https://llm.example.org"}, "gateway_name: 'https://llm.example.org' is not a DNS name. Write the name that clients know:"),
        ({"gateway_metrics_address": "*"}, "gateway_metrics_address: '*' is not an IP address."),
        ({"gateway_tls_path": "tls.pem"}, "gateway_tls_path: 'tls.pem' is not an absolute path. Write the path of a PEM file of the gateway hosts."),
        ({"gateway_tls_path": "/etc/my tls.pem"}, "gateway_tls_path: '/etc/my tls.pem' has white space in it. Name a path without any."),
        ({"gateway_tls_key": "/k.pem"}, "gateway_tls_key: is the key of a certificate that is not named. Set gateway_tls_certificate."),
        ({"gateway_floating_address": "10.0.0.9"}, "gateway_floating_address: '10.0.0.9' is not an address with the length of its network."),
        ({"gateway_floating_address": "127.0.0.1/8"}, "gateway_floating_address: '127.0.0.1/8' is not an address with"),
        ({"gateway_floating_router_id": 7}, "gateway_floating_router_id: means nothing without gateway_floating_address."),
        ({"gateway_floating_address": "10.0.0.9/24", "gateway_floating_interface": "eth 0"}, "gateway_floating_interface: 'eth 0' is not the name"),
        ({"gateway_floating_address": "10.0.0.9/24", "gateway_address": "10.0.0.5"}, "gateway_address: names one address, and a gateway can listen"),
    ],
)  # fmt: skip
def test_each_mistake_has_its_sentence(declared: dict[str, Any], expected: str) -> None:
    found = told(**declared)
    assert any(problem.startswith(expected) for problem in found), found
    assert len(found) == 1


def test_all_mistakes_are_told_at_once() -> None:
    assert len(told(gateway_port="x", gateway_timeout="y", gateway_nix=1, gateway_keys={"a": "short"})) == 4


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        ({"team": 1234567890123456}, "gateway_keys.team, key 1: is not text. Quote it: YAML reads digits as a number."),
        ({"team": "sk-short"}, "gateway_keys.team, key 1: has 8 characters, 16 to 512 are taken. Make one with: openssl rand -hex 24."),
        ({"team": "sk-with a blank in it"}, "gateway_keys.team, key 1: has characters that no header carries."),
        ({"team": "sk-0123456789abcd\n"}, "gateway_keys.team, key 1: has characters that no header carries."),
        ({"team": [KEY, KEY]}, "gateway_keys.team, key 2: is the same as gateway_keys.team, key 1. Give each client keys of its own, each once."),
        ({"a": KEY, "b": {"keys": [OTHER, KEY]}}, "gateway_keys.b, key 2: is the same as gateway_keys.a, key 1."),
        ({KEY + "/": "team"}, "gateway_keys: has a name that cannot be one (not shown: it may be a key)."),
        ({"team": {}}, "gateway_keys.team: needs one of `key` and `keys`."),
        ({"team": {"key": KEY, "keys": [OTHER]}}, "gateway_keys.team: needs one of `key` and `keys`."),
        ({"team": {"keys": []}}, "gateway_keys.team.keys: is not a list of keys. Write keys: [sk-…]."),
        ({"team": {"key": KEY, "rpm": 5}}, "gateway_keys.team.rpm: is not known. Known are: concurrent, key, keys, models, requests_per_minute."),
        ({"team": {"key": KEY, "concurent": 5}}, 'gateway_keys.team.concurent: is not known. Did you mean "concurrent".'),
        ({"team": {"key": KEY, "concurrent": 0}}, "gateway_keys.team.concurrent: 0 is not a number from 1 to 100000."),
        ({"team": {"key": KEY, "models": "m"}}, "gateway_keys.team.models: 'm' is not a list of models."),
        ([KEY], "gateway_keys: is not a dictionary with names as keys."),
        (KEY, "gateway_keys: is not a dictionary with names as keys."),
    ],
)  # fmt: skip
def test_keys_are_judged_and_never_repeated(keys: Any, expected: str) -> None:
    found = told(gateway_keys=keys)
    assert any(problem.startswith(expected) for problem in found), found
    assert OTHER not in " ".join(found)


def test_keys_as_they_may_be_written() -> None:
    given_keys = {
        "a": KEY,
        "b": ["k" * 16, "l" * 16],
        "c": {"key": OTHER, "requests_per_minute": "60", "models": ["m"], "concurrent": 4},
    }
    problems = Problems()
    assert read_keys(given_keys, problems) == (
        GatewayClient("a", (KEY,)),
        GatewayClient("b", ("k" * 16, "l" * 16)),
        GatewayClient("c", (OTHER,), 60, 4, ("m",)),
    )
    assert not problems.found
    assert digest("x") == "2D711642B726B04401627CA9FBAC32F5C8530FB1903CC4DB02258717921A4881"


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda item: st.lists(item) | st.dictionaries(st.text(), item),
    )
)
def test_no_keys_break_the_reader(given_keys: Any) -> None:
    problems = Problems()
    clients = read_keys(given_keys, problems)
    assert problems.found or all(16 <= len(key) <= 512 and key.isascii() for client in clients for key in client.keys)


def test_certificates(pems: dict[str, str]) -> None:
    read = settings(gateway_tls_certificate=pems["certificate"], gateway_tls_key=pems["key"])
    assert (read.tls, read.port) == (True, 443)
    assert settings(gateway_tls_certificate=pems["both"]).tls
    assert settings(gateway_tls_certificate=pems["certificate"], gateway_tls_key=pems["vaulted"]).tls
    assert settings(gateway_tls_path="/etc/letsencrypt/live/gw.pem").tls


@pytest.mark.parametrize(
    ("certificate", "key", "expected"),
    [
        ("missing", "", "gateway_tls_certificate: {certificate} cannot be read (No such file or directory)."),
        ("key", "key", "gateway_tls_certificate: {certificate} holds no certificate in PEM form."),
        ("certificate", "", "gateway_tls_key: {certificate} holds no private key in PEM form."),
        ("certificate", "locked", "gateway_tls_key: the private key in {key} is locked by a passphrase."),
    ],
)
def test_bad_certificates(pems: dict[str, str], certificate: str, key: str, expected: str) -> None:
    found = told(gateway_tls_certificate=pems[certificate], gateway_tls_key=pems[key] if key else None)
    assert len(found) == 1
    assert found[0].startswith(expected.format(certificate=pems[certificate], key=pems.get(key, "")))


def test_certificate_text_in_place_of_a_path_is_not_shown(pems: dict[str, str]) -> None:
    found = told(gateway_tls_certificate=pems["certificate"], gateway_tls_key="-----BEGIN PRIVATE KEY-----\nsecret")
    assert any("PEM text is not an absolute path" in problem for problem in found)
    assert "secret" not in " ".join(found)


@pytest.mark.parametrize(("count", "fits"), [(500, True), (900, False)])
def test_more_names_than_the_gateway_can_list_are_refused(count: int, fits: bool) -> None:
    problems = Problems()
    judge_names([Route("m", names=("m", *(f"adapter-{n}" for n in range(count))))], problems)
    assert [problem.key for problem in problems.found] == ([] if fits else ["vllm_models"])


def test_what_only_the_fleet_shows() -> None:
    problems = Problems()
    replica = Replica("gpu 1", "10.0.0.1", 8000, "vllm-a.service")
    judge_names([Route("a", names=("a", "x"), replicas=(replica,)), Route("b", names=("b", "x"))], problems)
    judge_clients([GatewayClient("team", (KEY,), models=("aa",))], ["a-model", "b"], KEY, problems)
    judge_engine_key("two words", problems)
    judge_floating("10.0.0.9/24", {"gw1": "10.0.0.5", "gw2": "gw2.example.com"}, problems)
    judge_floating("10.0.0.9/24", {"gw1": "10.0.0.5"}, problems)
    assert {problem.key for problem in problems.found} == {
        "vllm_models.b", "gpu 1", "gateway_keys.team.models", "gateway_keys.team, key 1", "vllm_api_key",
        "gw2.vllm_endpoint_address", "gateway_floating_address",
    }  # fmt: skip
    assert KEY not in str(problems.found)
