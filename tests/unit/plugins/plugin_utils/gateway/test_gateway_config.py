"""The files of a gateway: what stands in them follows from the plan, and no secret or name breaks out of its place."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest
from ansible_collections.baremetal.vllm.plugins.plugin_utils.gateway import config, errors, files
from ansible_collections.baremetal.vllm.plugins.plugin_utils.gateway.keys import GatewayClient
from ansible_collections.baremetal.vllm.plugins.plugin_utils.inventory.jsonform import build
from ansible_collections.baremetal.vllm.plugins.plugin_utils.planned.gateway import GatewayPlan, Route, Settings
from hypothesis import given
from hypothesis import strategies as st

TEMPLATES = Path(__file__).resolve().parents[5] / "templates"
KEY, ENGINE = "sk-0123456789abcdef", "engine-key-$'\\\"%#"
CLIENTS = (GatewayClient("team", (KEY,)), GatewayClient("narrow", ("n" * 20,), 60, 4, ("alias",)))


def model(name: str = "m", kind: str = "chat", *more: str, adapters: tuple[str, ...] = (), replicas: int = 2) -> Route:
    document = {
        "name": name,
        "kind": kind,
        "names": [name, *more, *adapters],
        "adapters": list(adapters),
        "replicas": [
            {"host": f"gpu{n}", "address": f"10.0.0.{n}", "port": 8001, "unit": f"vllm-{name}.service"}
            for n in range(1, replicas + 1)
        ],
    }
    return build(Route, document)


def plan(*models: Route, **settings: Any) -> GatewayPlan:
    return GatewayPlan(("gw1", "gw2"), ("10.0.0.5", "10.0.0.6"), Settings(**settings), models)


def rendered(planned: GatewayPlan, clients: tuple[GatewayClient, ...] = CLIENTS) -> dict[str, str]:
    return config.public_files(TEMPLATES, planned, clients)


def entries(text: str) -> dict[str, str]:
    """A map as HAProxy reads it: the first word is the key, the rest the value."""
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    return {line.split(None, 1)[0]: line.split(None, 1)[1] for line in lines}


def rules(text: str, frontend: str) -> list[str]:
    section = re.split(r"^(?=\S)", text.split(f"\nfrontend {frontend}\n")[1], flags=re.MULTILINE)[0]
    return [line.strip() for line in section.splitlines() if line.strip().startswith("http-request")]


def test_every_replica_is_a_server_of_its_models_backend() -> None:
    text = rendered(plan(model("a"), model("b", "embedding", replicas=1)))[config.CONFIG]
    assert re.findall(r"^backend (model\.\S+)", text, re.MULTILINE) == ["model.a", "model.b"]
    assert text.count("server gpu1 10.0.0.1:8001") == 2
    assert text.count("server gpu2 10.0.0.2:8001") == 1
    addressed = model("c", replicas=1)
    addressed = replace(addressed, replicas=(replace(addressed.replicas[0], address="fd00::1"),))
    assert "server gpu1 [fd00::1]:8001" in rendered(plan(addressed))[config.CONFIG]


def test_a_body_is_read_only_behind_path_method_key_and_limits() -> None:
    lines = rules(rendered(plan(model()))[config.CONFIG], "door")
    order = [next(i for i, line in enumerate(lines) if part in line) for part in (
        "unknown_url", "method_not_allowed", "keys.map", "invalid_api_key", "per minute", "under way", "del-header ^",
        "request_too_large", "allow if", "wait-for-body", "lua.model_from_json", "txn.refusal) -m str not_json", "models.map",
        "engine.map",
    )]  # fmt: skip
    assert order == sorted(order)


def test_no_secret_stands_where_others_may_read() -> None:
    public = rendered(plan(model("m", "chat", "alias"), tls=True, tls_certificate="/c.pem"))
    secret = config.secret_files(CLIENTS, ENGINE, "PEM")
    for text in public.values():
        assert KEY not in text
        assert ENGINE not in text
    assert KEY not in "".join(secret.values()), "digests only"
    assert entries(secret[f"{config.DIRECTORY}/engine.map"]) == {"engine": ENGINE}
    assert set(entries(secret[f"{config.DIRECTORY}/keys.map"]).values()) == {"team", "narrow"}
    asked = files.haproxy(TEMPLATES, public, secret)
    modes = {file["path"]: file.get("mode") for file in asked["files"] if file.get("secret")}
    assert modes == dict.fromkeys(secret, "0600")


@given(st.lists(st.text(min_size=1, max_size=40), min_size=1, max_size=5, unique=True))
def test_any_name_is_one_entry_of_the_maps(names: list[str]) -> None:
    public = rendered(plan(model("m", "chat", *names)))
    routed = entries(public[f"{config.DIRECTORY}/models.map"])
    assert {unquote(name) for name in routed} == {"m", *names}
    assert set(routed.values()) == {"model.m"}
    for path, card in entries(public[f"{config.DIRECTORY}/cards.map"]).items():
        assert path.startswith("/v1/models/")
        assert json.loads(card)["root"] == "m"
    assert [card["id"] for card in json.loads(public[f"{config.DIRECTORY}/models.json"])["data"]] == list(
        dict.fromkeys(["m", *names])
    )


@pytest.mark.parametrize(
    ("kinds", "opened"),
    [
        ((), set()),
        (("chat", "vision"), {"/v1/chat/completions", "/v1/completions", "/v1/responses"}),
        (("embedding",), {"/v1/embeddings", "/v1/rerank", "/v2/rerank", "/v1/score"}),
        (("classify",), {"/classify"}),
        (("transcription",), {"/v1/audio/transcriptions", "/v1/audio/translations"}),
    ],
)
def test_only_paths_of_planned_kinds_are_open(kinds: tuple[str, ...], opened: set[str]) -> None:
    paths = config.open_paths(kinds)
    assert set(paths) == {"/v1/models", *opened}
    assert all((way == "form") == ("/audio/" in path) for path, way in paths.items())


def test_a_limited_key_opens_a_model_by_all_of_its_own_names_and_an_adapter_by_its_own() -> None:
    public = rendered(plan(model("m", "chat", "alias", adapters=("legal",)), model("other")))
    assert entries(public[f"{config.DIRECTORY}/allowed.map"]) == {
        "narrow": "some",
        "narrow/m": "yes",
        "narrow/alias": "yes",
    }
    narrow = (GatewayClient("narrow", ("n" * 20,), models=("org/x",)),)
    one = rendered(plan(model("m", "chat", "alias", adapters=("legal", "org/x")), model("other")), narrow)
    assert entries(one[f"{config.DIRECTORY}/allowed.map"]) == {"narrow": "some", "narrow/org%2Fx": "yes"}
    assert entries(public[f"{config.DIRECTORY}/per-minute.map"]) == {"narrow": "60"}
    assert entries(public[f"{config.DIRECTORY}/concurrent.map"]) == {"narrow": "4"}


def test_an_open_door_asks_for_no_key() -> None:
    text = rendered(plan(model(), open=True), ())[config.CONFIG]
    assert "keys.map" not in text
    assert "track-sc0" not in text


def test_limits_and_addresses_are_those_of_the_settings() -> None:
    asked = plan(
        model(),
        tls=True,
        tls_path="/etc/tls.pem",
        port=8443,
        address="10.0.0.5",
        body_limit_mib=64,
        timeout=90,
        body_timeout=7,
    )
    public = rendered(asked)
    door, bodies = public[config.CONFIG], public[f"{config.DIRECTORY}/bodies.cfg"]
    assert "bind 10.0.0.5:8443 ssl crt /etc/tls.pem alpn http/1.1 proto h1" in door
    for text in (door, bodies):
        assert "timeout server 90s" in text
        assert "wait-for-body time 7s" in text
        assert f"lua.model_from_json {64 * 2**20}" in text
    assert f"tune.bufsize {64 * 2**20 + 131072}" in bodies
    assert "tune.bufsize 65536" in door


def test_errors_have_the_shape_of_openais() -> None:
    for answer in (*errors.ANSWERS.values(), *errors.REFUSALS.values(), *errors.STATUSES.values()):
        error = json.loads(answer.text.replace("%[var(txn.model),json(utf8s)]", "m"))["error"]
        assert set(error) == {"message", "type", "param", "code"}
        assert not set("'\\") & set(answer.text), "it stands between apostrophes"
        assert answer.formatted == ("%" in answer.text)
        assert ("Retry-After" in dict(answer.headers)) == (answer.status in (429, 502, 503))


def test_the_first_gateway_takes_a_floating_address_that_nobody_holds() -> None:
    asked = plan(model(), floating_address="10.0.0.9/24", floating_router_id=7)
    first, second = (config.keepalived(TEMPLATES, asked, host, "eth0") for host in asked.hosts)
    assert "priority 200" in first
    assert "priority 199" in second
    assert "unicast_src_ip 10.0.0.6" in second
    assert re.search(r"unicast_peer \{\n\s+10\.0\.0\.5\n\s+\}", second)
    assert "10.0.0.9/24 dev eth0" in first


def test_what_goes_is_all_that_came() -> None:
    there = files.haproxy(TEMPLATES, rendered(plan(model())), config.secret_files(CLIENTS, ENGINE, "PEM"))
    gone = files.absent(files.haproxy(TEMPLATES, {config.CONFIG: ""}, {}))
    removed = {file["path"] for file in gone["files"]}
    only = tuple(directory["path"] for directory in gone["directories"] if directory.get("only"))
    assert all(file["path"] in removed or file["path"].startswith(only) for file in there["files"])
    # Engines keep theirs there: it goes only where it is empty.
    assert {"path": "/var/lib/vllm"} in gone["directories"]


@pytest.mark.parametrize("path", ["/etc/ssl/private/fleet.pem", "/srv/100%/a.pem"])
def test_a_certificate_that_somebody_else_renews_is_watched_where_it_lies(path: str) -> None:
    asked = files.renewal(path, TEMPLATES)
    texts = {Path(file["path"]).name: file["content"] for file in asked["files"]}
    assert f"PathChanged={path.replace('%', '%%')}\n" in texts["haproxy-vllm-certificate.path"]
    assert "try-reload-or-restart haproxy-vllm.service" in texts["haproxy-vllm-certificate.service"]
    gone = files.absent(files.merged(files.keepalived(), files.renewal()))
    assert {file["path"] for file in asked["files"]} <= {file["path"] for file in gone["files"]}


@pytest.mark.parametrize(
    ("addresses", "settings", "binds"),
    [
        (["10.0.0.5", "10.0.0.6"], {}, "bind *:8000"),
        (["fd00::5", "fd00::6"], {}, "bind [::]:8000 v4v6"),
        (["10.0.0.5", "10.0.0.6"], {"floating_address": "fd00::9/64"}, "bind [::]:8000 v4v6"),
        (["fd00::5", "fd00::6"], {"address": "fd00::5"}, "bind [fd00::5]:8000"),
    ],
)
def test_the_door_is_open_on_the_families_at_which_it_is_reached(
    addresses: list[str], settings: dict[str, Any], binds: str
) -> None:
    planned = replace(plan(model(), port=8000, **settings), addresses=tuple(addresses))
    text = rendered(planned)[config.CONFIG]
    assert binds in [" ".join(line.split()) for line in text.splitlines()] or f"{binds} " in text
    assert ("v4v6" in text) == ("v4v6" in binds)
