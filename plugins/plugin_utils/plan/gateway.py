"""The fleet's one address: which gateways there are, which replicas answer to which name, who may reach the engines."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ansible_collections.baremetal.vllm.plugins.module_utils.text.address import (
    IPV4_ANY,
    IPV6_ANY,
    LOOPBACK,
    bare,
    is_ip,
    is_ipv6,
    is_loopback,
    with_port,
)
from ansible_collections.baremetal.vllm.plugins.module_utils.text.problems import HOSTS, Problems
from ansible_collections.baremetal.vllm.plugins.module_utils.text.values import Values
from ansible_collections.baremetal.vllm.plugins.plugin_utils.gateway import judge
from ansible_collections.baremetal.vllm.plugins.plugin_utils.gateway.firewall import endpoint_rules
from ansible_collections.baremetal.vllm.plugins.plugin_utils.gateway.keys import read_keys
from ansible_collections.baremetal.vllm.plugins.plugin_utils.gateway.request import HOST_KEYS, read_gateway
from ansible_collections.baremetal.vllm.plugins.plugin_utils.plan.proxy import check_proxy
from ansible_collections.baremetal.vllm.plugins.plugin_utils.planned.fleet import Firewall
from ansible_collections.baremetal.vllm.plugins.plugin_utils.planned.gateway import (
    GatewayPlan,
    Replica,
    Route,
    Settings,
)
from ansible_collections.baremetal.vllm.plugins.plugin_utils.planned.service import Service

# The variables of a gateway host that the plan reads, beside all that begin with `gateway_`.
GATEWAY_KEYS = ("vllm_endpoint_address", "ansible_host", "vllm_proxy", "vllm_no_proxy")
GATEWAY_PREFIX = "gateway_"


def address_of(name: str, declared: Values) -> str:
    """Where other hosts of the fleet reach a host: `vllm_endpoint_address`, else where Ansible does."""
    return bare(str(declared.get("vllm_endpoint_address") or declared.get("ansible_host") or name))


def listens_on(name: str, declared: Values, *, keyed: bool) -> str:
    """What the engines of a host listen on: its `vllm_address`, else every address where a key guards them, loopback where none
    does. A host that others reach by an IPv6 address listens on both families; by a name, on IPv4."""
    written = declared.get("vllm_address")
    if written:
        return bare(str(written))
    if not keyed:
        return LOOPBACK
    return IPV6_ANY if is_ipv6(address_of(name, declared)) else IPV4_ANY


def judge_listening(name: str, declared: Values, problems: Problems) -> None:
    """An address to listen on that is of the other family than the one at which others reach the host: nobody would."""
    written, reached_at = bare(str(declared.get("vllm_address") or "")), address_of(name, declared)
    if not written or written == IPV6_ANY or is_loopback(written) or not (is_ip(written) and is_ip(reached_at)):
        return
    if is_ipv6(written) != is_ipv6(reached_at):
        problems.add(
            f"{HOSTS}.vllm_address",
            f"engines would listen on {written} alone, and others reach the host at {reached_at}",
            f"Leave vllm_address out, write {IPV6_ANY!r} for both families, or write vllm_endpoint_address",
            name,
        )


def plan_gateway(
    gateways: Mapping[str, Values],
    hosts: Mapping[str, Values],
    services: Mapping[str, Sequence[Service]],
    *,
    keyed: bool,
    problems: Problems,
) -> GatewayPlan | None:
    """What every gateway shall route; None where the inventory has no gateway.

    `gateways` and `hosts`: the variables of each host; `services`: the planned services of each engine host.
    """
    # One that is taken off its host is none of the fleet's.
    gateways = {name: declared for name, declared in gateways.items() if declared.get("gateway_state") != "absent"}
    for name, declared in hosts.items():
        sources: Any = declared.get("vllm_endpoint_sources") or ()
        for source in sources:
            _judge_source("vllm_endpoint_sources", str(source), name, problems)
    if not gateways:
        return None
    first, *others = gateways.items()
    settings = read_gateway(first[1], problems)
    for name, declared in others:
        _same(first, (name, declared), problems)
    for name, declared in gateways.items():
        _judge_source("vllm_endpoint_address", address_of(name, declared), name, problems)
        check_proxy(declared, problems, name)
    if not keyed:
        problems.add(
            "vllm_api_key",
            "is not set, and the engines behind a gateway listen on the network",
            "Set vllm_api_key from a vault: the gateway alone uses it; clients have keys of their own in gateway_keys",
        )
    for name, declared in hosts.items():
        address = listens_on(name, declared, keyed=keyed)
        # What listens on loopback without a key is told above.
        if keyed and is_loopback(address) and not set(hosts) <= set(gateways):
            problems.add(
                f"{HOSTS}.vllm_address",
                f"{address} is loopback: the gateways could not reach the engines",
                "Leave vllm_address out; engines are closed to everybody but the gateways",
                name,
            )
    for host in gateways:
        for service in services.get(host, ()):
            if settings is not None and service.port == settings.port:
                problems.add(
                    f"vllm_models.{service.name}.port",
                    f"{service.port} is also the port of the gateway on {HOSTS}",
                    "Give the model another `port`, or set gateway_port",
                    host,
                )
    models = _models(hosts, services)
    addresses = {name: address_of(name, declared) for name, declared in gateways.items()}
    judge.judge_names(models, problems)
    if settings is not None:
        judge.judge_floating(settings.floating_address, addresses, problems)
        clients = () if settings.open else read_keys(first[1].get("gateway_keys"), Problems())
        # Whether a client was given the engines' own key is seen where that key is at hand.
        judge.judge_clients(clients, [name for model in models for name in model.names], "", problems)
    # Without settings there is a problem, and so no plan.
    return GatewayPlan(tuple(gateways), tuple(addresses.values()), settings or Settings(), tuple(models))


def url(gateway: GatewayPlan) -> str:
    """Where clients find the fleet: by its name, else at the floating address, else at the first gateway's own."""
    settings = gateway.settings
    scheme, usual = ("https", 443) if settings.tls else ("http", 80)
    host = settings.name or settings.floating_address.partition("/")[0] or gateway.addresses[0]
    whole = with_port(host, settings.port)
    return f"{scheme}://{whole.removesuffix(f':{usual}')}"


def reached(gateway: GatewayPlan | None, service: Service, address: str) -> tuple[str, bool]:
    """Where clients ask for a service, and whether they need a key: at the gateway, or on its host at `address`."""
    if gateway is not None:
        return url(gateway), not gateway.settings.open
    return f"http://{with_port(address, service.port)}", service.prove.key


def _models(hosts: Mapping[str, Mapping[str, object]], services: Mapping[str, Sequence[Service]]) -> list[Route]:
    """Every model and its replicas, in the plan's order."""
    first: dict[str, Service] = {}
    replicas: dict[str, list[Replica]] = {}
    for host, planned in services.items():
        for service in planned:
            first.setdefault(service.name, service)
            replica = Replica(host, address_of(host, hosts[host]), service.port, service.unit)
            replicas.setdefault(service.name, []).append(replica)
    return [
        Route(name, s.kind, (*s.served_names, *s.prove.adapters), s.prove.adapters, tuple(replicas[name]))
        for name, s in first.items()
    ]


def _same(first: tuple[str, Mapping[str, object]], other: tuple[str, Mapping[str, object]], problems: Problems) -> None:
    """Two gateways behind one address must answer alike."""
    for key in sorted(set(first[1]) | set(other[1])):
        shared = key.startswith(GATEWAY_PREFIX) and key not in HOST_KEYS
        if shared and first[1].get(key) != other[1].get(key):
            problems.add(
                f"{HOSTS}.{key}",
                f"differs from that of {first[0]}: clients would meet two different gateways at one address",
                "Set it for the whole group gateways",
                other[0],
            )


def _judge_source(key: str, source: str, host: str, problems: Problems) -> None:
    """What is to be let through to the engines must be an address; the hosts' firewall resolves no names."""
    try:
        endpoint_rules(Firewall((1,), sources=(source,)))
    except ValueError:
        problems.add(
            f"{HOSTS}.{key}",
            f"{source!r} is no address that the engine hosts' firewall could let through",
            "Write an IP address: vllm_endpoint_address: 10.0.0.5 on the gateway, or 10.0.0.0/24 in vllm_endpoint_sources",
            host,
        )
