"""The files of a gateway, from the plan: Python decides every value, the templates print them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from urllib.parse import quote

from ansible_collections.baremetal.vllm.plugins.module_utils.endpoints.kinds import KINDS
from ansible_collections.baremetal.vllm.plugins.module_utils.text.address import IPV6_ANY, is_ipv6, with_port
from ansible_collections.baremetal.vllm.plugins.module_utils.units.planned import MARK
from ansible_collections.baremetal.vllm.plugins.plugin_utils.gateway import errors
from ansible_collections.baremetal.vllm.plugins.plugin_utils.gateway.keys import GatewayClient, digest
from ansible_collections.baremetal.vllm.plugins.plugin_utils.planned.gateway import ALL, GatewayPlan, Route, Settings
from ansible_collections.baremetal.vllm.plugins.plugin_utils.templates import environment

CONFIG = "/etc/haproxy/vllm.cfg"
DIRECTORY = "/etc/haproxy/vllm"
CERTIFICATE = f"{DIRECTORY}/tls.pem"
# Headers of a client that go on: those of the message, and those that an engine needs. A Content-Encoding is refused later.
_HEADERS = (
    *("host", "content-length", "transfer-encoding", "expect", "content-encoding", "content-type"),
    *("accept", "user-agent", "traceparent", "tracestate"),
)
# One line of JSON per request. What a client wrote stands in it only through HAProxy's json converter.
_LOG = {
    "client": "%ci:%cp",
    "key": "%[var(txn.key)]",
    "id": "%[var(txn.request_id)]",
    "method": "%[method,json(utf8s)]",
    "path": "%[var(txn.path),bytes(0,200),json(utf8s)]",
    "model": "%[var(txn.model),json(utf8s)]",
    "backend": "%b",
    "server": "%s",
    # Of a large body, which is sent on from another frontend.
    "behind": "%[var(txn.server)]",
    "status": "%ST",
    "refusal": "%[var(txn.refusal)]",
    "ended": "%ts",
    "retries": "%rc",
    "bytes": "%B",
    "ms": {"request": "%TR", "queue": "%Tw", "connect": "%Tc", "first_byte": "%Tr", "total": "%Ta"},
    "connections": "%fc",
}


def open_paths(kinds: Sequence[str]) -> dict[str, str]:
    """The paths at which requests may arrive, and how each names its model: `json`, `form`, or `list` for none."""
    rows = [KINDS[kind] for kind in kinds]
    paths = {path: "form" if row.form else "json" for row in rows for path in row.open_paths}
    return {"/v1/models": "list", **dict(sorted(paths.items()))}


def public_files(templates: Path, plan: GatewayPlan, clients: Sequence[GatewayClient]) -> dict[str, str]:
    """The files that hold no secret, by path."""
    settings, models = plan.settings, plan.models
    names = {name: model.name for model in models for name in model.names}
    return {
        **_configs(templates, settings, models, len(clients), _bind(settings, plan.addresses)),
        f"{DIRECTORY}/paths.map": _map(open_paths([model.kind for model in models])),
        f"{DIRECTORY}/models.map": _map({quote(name, safe=""): f"model.{root}" for name, root in names.items()}),
        f"{DIRECTORY}/cards.map": _map(
            {f"/v1/models/{path}": json.dumps(card) for name, card in _cards(models).items() for path in _spelled(name)}
        ),
        f"{DIRECTORY}/models.json": model_list(models),
        f"{DIRECTORY}/per-minute.map": _map({c.name: c.requests_per_minute for c in clients if c.requests_per_minute}),
        f"{DIRECTORY}/concurrent.map": _map({c.name: c.concurrent for c in clients if c.concurrent}),
        f"{DIRECTORY}/allowed.map": _map(_allowed(models, clients)),
        f"{DIRECTORY}/route.lua": (templates / "etc/haproxy/vllm/route.lua").read_text(),
    }


def model_list(models: Sequence[Route]) -> str:
    """What `GET /v1/models` answers."""
    return json.dumps({"object": "list", "data": list(_cards(models).values())}) + "\n"


def _allowed(models: Sequence[Route], clients: Sequence[GatewayClient]) -> dict[str, str]:
    """Which names the clients may ask for that may not ask for all: a model by any of its own names, an adapter by its own."""
    spelled: dict[str, list[str]] = {}
    for model in models:
        own = [name for name in model.names if name not in model.adapters]
        spelled |= {**dict.fromkeys(own, own), **{name: [name] for name in model.adapters}}
    allowed: dict[str, str] = {}
    for client in clients:
        if client.models is not None:
            names = [name for asked in client.models for name in spelled.get(asked, ())]
            allowed |= {client.name: "some", **{f"{client.name}/{quote(name, safe='')}": "yes" for name in names}}
    return allowed


def secret_files(clients: Sequence[GatewayClient], engine_key: str, certificate: str) -> dict[str, str]:
    """The files that root alone may read: digests of clients' keys by name, the engines' key, the certificate with its key."""
    files = {
        f"{DIRECTORY}/keys.map": _map({digest(key): client.name for client in clients for key in client.keys}),
        f"{DIRECTORY}/engine.map": _map({"engine": engine_key}),
    }
    return {**files, CERTIFICATE: certificate} if certificate else files


def _configs(templates: Path, settings: Settings, models: Sequence[Route], key_count: int, bind: str) -> dict[str, str]:
    values: dict[str, object] = {
        "mark": MARK,
        "settings": settings,
        "body_limit": settings.body_limit_mib * 2**20,
        "bind": bind,
        "metrics_bind": with_port(settings.metrics_address, settings.metrics_port),
        "log_format": json.dumps(_LOG, separators=(",", ":")),
        "headers": "|".join(_HEADERS),
        "key_count": key_count,
        "answers": {name: _returned(answer) for name, answer in errors.ANSWERS.items()},
        "refused": {code: _returned(answer) for code, answer in errors.REFUSALS.items()},
        "statuses": [_returned(answer) for answer in errors.STATUSES.values()],
        # Where the door hangs up on the reader, nobody is there for the model.
        "reader_statuses": [
            _returned(answer) for answer in {**errors.STATUSES, 502: replace(errors.STATUSES[503], status=502)}.values()
        ],
        "models": [
            {
                "name": model.name,
                "servers": [
                    {"name": replica.host, "address": with_port(replica.address, replica.port)}
                    for replica in model.replicas
                ],
            }
            for model in models
        ],
    }
    loaded = environment(templates)
    names = {CONFIG: "etc/haproxy/vllm.cfg.j2", f"{DIRECTORY}/bodies.cfg": "etc/haproxy/vllm/bodies.cfg.j2"}
    return {path: loaded.get_template(name).render(values) for path, name in names.items()}


def _bind(settings: Settings, addresses: Sequence[str]) -> str:
    """What HAProxy listens on. Its `*` is every IPv4 address and no other (configuration manual, "bind"): where a gateway, or the
    address that goes between them, is of IPv6, it is both families that are meant."""
    address = with_port(settings.address, settings.port)
    reached = [*addresses, settings.floating_address.partition("/")[0]]
    if settings.address == ALL and any(map(is_ipv6, reached)):
        address = f"{with_port(IPV6_ANY, settings.port)} v4v6"
    return f"{address} ssl crt {settings.tls_path or CERTIFICATE} alpn http/1.1" if settings.tls else address


def _returned(answer: errors.Answer) -> str:
    """What follows `http-request return` or `http-error`."""
    how = "lf-string" if answer.formatted else "string"
    headers = "".join(f" hdr {name} '{value}'" for name, value in answer.headers)
    return f"status {answer.status} content-type application/json {how} '{answer.text}'{headers}"


def _map(entries: Mapping[str, object]) -> str:
    return f"{MARK}\n" + "".join(f"{key} {value}\n" for key, value in entries.items())


def _cards(models: Sequence[Route]) -> dict[str, dict[str, object]]:
    """By name the models as OpenAI's API lists them; `root` is the planned model behind an alias or an adapter."""
    told = {"object": "model", "created": 0, "owned_by": "vllm"}
    return {name: {"id": name, **told, "root": model.name} for model in models for name in model.names}


def _spelled(name: str) -> list[str]:
    """A name as clients write it into a path: percent-encoded whole, with its slashes, and as it is."""
    spellings = dict.fromkeys([quote(name, safe=""), quote(name), name])
    return [text for text in spellings if text.isascii() and not any(char.isspace() for char in text)]


def keepalived(templates: Path, plan: GatewayPlan, host: str, interface: str) -> str:
    """keepalived's configuration on one gateway; the first of the plan takes the address where none holds it."""
    settings = plan.settings
    place = plan.hosts.index(host)
    values = {
        "mark": MARK,
        "host": host,
        "check_address": settings.metrics_address,
        "check_port": settings.metrics_port,
        "interface": interface,
        "router_id": settings.floating_router_id,
        "priority": 200 - place,
        "own": plan.addresses[place],
        "peers": [address for name, address in zip(plan.hosts, plan.addresses) if name != host],
        "floating": settings.floating_address,
    }
    return environment(templates).get_template("etc/keepalived/vllm.conf.j2").render(values)
