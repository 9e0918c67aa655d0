"""What only the whole fleet shows to be wrong with its gateways."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Mapping, Sequence

from ansible_collections.baremetal.vllm.plugins.module_utils.text.problems import Problems, did_you_mean
from ansible_collections.baremetal.vllm.plugins.plugin_utils.gateway.config import model_list
from ansible_collections.baremetal.vllm.plugins.plugin_utils.gateway.keys import GatewayClient
from ansible_collections.baremetal.vllm.plugins.plugin_utils.planned.gateway import Route

# A file that HAProxy answers with fits into its buffer (vllm.cfg.j2, tune.bufsize) beside the headers of the answer.
LIST_BYTES = 60_000
# HAProxy's names of servers: configuration manual, chapter 4.
_SERVER = re.compile(r"[A-Za-z0-9_.:-]{1,120}")


def judge_names(models: Sequence[Route], problems: Problems) -> None:
    """Names that two models share would be routed to one of them."""
    size = len(model_list(models))
    if size > LIST_BYTES:
        problems.add(
            "vllm_models",
            f"has so many names (models, aliases, adapters) that their list has {size:,} bytes, and the gateway answers with "
            f"{LIST_BYTES:,} at most",
            "Plan fewer aliases and adapters, or divide the fleet between two inventories with a gateway each",
        )
    owner: dict[str, str] = {}
    for model in models:
        for name in dict.fromkeys(model.names):
            other = owner.setdefault(name, model.name)
            if other != model.name:
                problems.add(
                    f"vllm_models.{model.name}",
                    f"answers to {name!r}, and so does {other}: behind one address a name means one model",
                    "Take the alias or adapter out of one of them, or rename it",
                )
            if len(name.encode()) > 256 or not name.isprintable():
                problems.add(
                    f"vllm_models.{model.name}",
                    f"answers to {name!r}, a name that the gateway does not route",
                    "Use names of at most 256 bytes without control characters",
                )
        for host in sorted({replica.host for replica in model.replicas}):
            if not _SERVER.fullmatch(host):
                problems.add(
                    host,
                    "is a name of a host that HAProxy cannot take for a server",
                    "Name hosts with letters, digits, '.', '_', ':' and '-'",
                )


def judge_clients(clients: Iterable[GatewayClient], names: Iterable[str], engine_key: str, problems: Problems) -> None:
    """Allowed models that nobody serves, and the engines' own key given to a client."""
    known = set(names)
    for client in clients:
        for model in client.models or ():
            if model not in known:
                problems.add(
                    f"gateway_keys.{client.name}.models",
                    f"{model!r} is not a model of the fleet",
                    did_you_mean(model, known) if known else "Plan it in vllm_models, or take it out",
                )
        for number, key in enumerate(client.keys, 1):
            if key == engine_key:
                problems.add(
                    f"gateway_keys.{client.name}, key {number}",
                    "is vllm_api_key, which opens the engines themselves",
                    "Give the client a key of its own",
                )


def judge_engine_key(engine_key: str, problems: Problems) -> None:
    """The engines' key as a header carries it."""
    if not re.fullmatch(r"[\x21-\x7e]+", engine_key):
        problems.add(
            "vllm_api_key",
            "is empty, or has characters that no header carries",
            "Use visible ASCII characters without spaces",
        )


def judge_floating(floating: str, addresses: Mapping[str, str], problems: Problems) -> None:
    """`addresses`: of each gateway host, by its name; keepalived speaks from one to the others."""
    if not floating:
        return
    version = ipaddress.ip_interface(floating).version
    if len(addresses) < 2:
        problems.add(
            "gateway_floating_address",
            "needs two gateways or more to go between",
            "Add a host to the group gateways, or leave it out",
        )
    for host, address in addresses.items():
        try:
            right = ipaddress.ip_address(address).version == version
        except ValueError:
            right = False
        if not right:
            problems.add(
                f"{host}.vllm_endpoint_address",
                f"{address!r} is not an IPv{version} address, which the floating one needs of each gateway",
                f"Write the IPv{version} address at which the other gateways reach this host",
            )
