"""What an engine needs beyond its own host, and what keeps all the rest of it on loopback.

An engine's processes meet over sockets of their own, without a password. Read from the sources of vLLM 0.8.5 to 0.33.0,
PyTorch 2.9 and NCCL 2.27:

- gloo (ranks on the CPU, one device for each process group) listens on the address of the host's name unless
  GLOO_SOCKET_IFNAME names an interface (torch: ProcessGroupGloo.cpp, createDefaultDevice);
- NCCL and RCCL take the first interface that is not loopback for their bootstrap unless NCCL_SOCKET_IFNAME names one;
  with a leading `=` the name is taken whole (NCCL's documentation of environment variables);
- vLLM binds what is left, message queues and the rendezvous of one process, to VLLM_HOST_IP, else to the address of the
  default route (vllm/utils/network_utils.py: get_ip; vllm/utils/__init__.py before 0.11.0).
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ansible_collections.baremetal.vllm.plugins.module_utils.text.address import is_loopback
from ansible_collections.baremetal.vllm.plugins.module_utils.text.problems import HOSTS, Problems
from ansible_collections.baremetal.vllm.plugins.module_utils.text.values import Values
from ansible_collections.baremetal.vllm.plugins.plugin_utils.gateway.firewall import networks
from ansible_collections.baremetal.vllm.plugins.plugin_utils.inventory.plain import whole
from ansible_collections.baremetal.vllm.plugins.plugin_utils.options.jsontext import as_mapping
from ansible_collections.baremetal.vllm.plugins.plugin_utils.plan.menu import Entry
from ansible_collections.baremetal.vllm.plugins.plugin_utils.planned.fleet import Firewall
from ansible_collections.baremetal.vllm.plugins.plugin_utils.planned.gateway import GatewayPlan
from ansible_collections.baremetal.vllm.plugins.plugin_utils.planned.service import Service

DESTINATIONS = "vllm_engine_destinations"
ANY = "any"
LOOPBACK = {"GLOO_SOCKET_IFNAME": "lo", "NCCL_SOCKET_IFNAME": "=lo", "VLLM_HOST_IP": "127.0.0.1"}
# Connectors that keep to the host: they move blocks to its memory or its files (vllm/distributed/kv_transfer/
# kv_connector/factory.py and ec_transfer/ec_connector/factory.py of 0.33.0).
_LOCAL_CONNECTORS = {
    *("OffloadingConnector", "SimpleCPUOffloadConnector", "HiSparseConnector", "DecodeBenchConnector"),
    *("ExampleConnector", "ExampleHiddenStatesConnector", "SharedStorageConnector"),
    *("ECExampleConnector", "ECSharedStorageConnector"),
}
_EVENTS = "kv-events-config"
# Options that are written only where ranks or peers are elsewhere.
_ELSEWHERE = (
    *("master-addr", "node-rank", "headless", "data-parallel-address", "data-parallel-start-rank"),
    *("data-parallel-rank", "data-parallel-external-lb", "data-parallel-hybrid-lb", "weight-transfer-config"),
)
_URL = re.compile(r"\b([a-z][a-z0-9+.-]*)://(?:[^/@\s]*@)?(\[[0-9A-Fa-f:.]+\]|[^\s/:,\"']+)")
# Options whose URLs an engine connects to; those of allowed-origins, say, it only compares.
_CONNECTING = (
    *("otlp-traces-endpoint", "tool-server", "kv-transfer-config", "ec-transfer-config"),
    *("model-loader-extra-config", "kv-events-config"),
)
_NO_HOST = ("file", "unix", "ipc", "inproc")
# What a unit may write to; everything else is read-only to it (ProtectSystem=strict).
_WRITABLE = ("/var/cache/vllm", "/tmp", "/var/tmp", "/dev/shm")  # noqa: S108 (private ones of the unit)
# What a unit does not see of its host, with the directive that hides it.
_HIDDEN = {
    **dict.fromkeys(("/home", "/root", "/run/user"), "ProtectHome=yes"),
    **dict.fromkeys(("/tmp", "/var/tmp"), "PrivateTmp=yes"),  # noqa: S108 (named, not used)
    "/dev/shm": "TemporaryFileSystem=/dev/shm",  # noqa: S108 (named, not used)
}
_PROFILES = ("torch_profiler_dir", "proton_profiler_dir")


def spans(args: Values) -> str:
    """The option that makes an engine exchange data with other hosts; "" for an engine that keeps to its own.

    `args`: options by canonical name, as `Options.read` has them.
    """
    for option, key in (("kv-transfer-config", "kv_connector"), ("ec-transfer-config", "ec_connector")):
        named = as_mapping(args.get(option)).get(key)
        if named is not None and named not in _LOCAL_CONNECTORS:
            return option
    for option in ("distributed-executor-backend", "data-parallel-backend"):
        if args.get(option) == "ray":
            return option
    if (whole(args.get("nnodes")) or 1) > 1:
        return "nnodes"
    local, size = whole(args.get("data-parallel-size-local")), whole(args.get("data-parallel-size")) or 1
    if local is not None and local < size:
        return "data-parallel-size-local"
    named = (option for option in _ELSEWHERE if _elsewhere(option, args.get(option)))
    return next(named, "") or (_EVENTS if _publishes(args) else "")


def moves_tensors(args: Values) -> bool:
    """Whether GPUs of an engine exchange data with other hosts' (over RDMA, over NVLink between hosts); published events of a
    KV cache are small, and take TCP."""
    return spans(args) not in ("", _EVENTS)


def _elsewhere(option: str, value: Any) -> bool:
    """Whether a value is written that says that something is elsewhere: neither an address of the host itself nor vLLM's own
    0. Only of data-parallel-rank 0 is no default: it is the first of several engines."""
    if value is None or value is False or value == "" or is_loopback(str(value)):
        return False
    return whole(value) != 0 or option == "data-parallel-rank"


def _publishes(args: Values) -> bool:
    events = as_mapping(args.get(_EVENTS))
    return events.get("enable_kv_cache_events") is True and events.get("publisher") != "null"


def loopback(args: Values) -> dict[str, str]:
    """The environment that keeps the inner sockets of an engine on loopback; none where other hosts must reach them."""
    return {} if spans(args) else dict(LOOPBACK)


def read_destinations(declared: Values, problems: Problems, host: str) -> list[str] | str | None:
    """`vllm_engine_destinations` of a host: addresses and networks, "any", or None where nothing was written."""
    given = declared.get(DESTINATIONS)
    if given is None or given == ANY:
        return given
    key, remedy = f"{HOSTS}.{DESTINATIONS}", f"Write a list of addresses and networks, or {ANY}"
    if not isinstance(given, (list, tuple)):
        problems.add(key, f"{given!r} is not a list", f"{remedy}: {DESTINATIONS}: [10.0.0.0/24]", host)
        return None
    wrong: list[str] = []
    for item in given:
        if not networks([item] if item != ANY else [], wrong) and item != ANY:
            problems.add(
                key,
                f"{item!r} is no address that the host's firewall could let engines connect to",
                f"{remedy}; nftables resolves no names",
                host,
            )
        elif item == ANY:
            problems.add(key, f"{ANY!r} stands in a list", f"Write {DESTINATIONS}: {ANY}", host)
    return [str(item) for item in given]


def advise(host: str, entry: Entry, args: Values, destinations: Sequence[str] | str | None, problems: Problems) -> None:
    """Tell where an entry asks for what its unit's sandbox or its host's firewall would refuse."""
    at, option = f"vllm_models.{entry.name}", spans(args)
    _advise_profiles(at, args, entry.env, problems)
    _advise_hidden(at, entry, problems)
    if option:
        if destinations is None:
            problems.warn(
                f"{at}.args.{option}",
                f"its engine exchanges data with other hosts, so on {HOSTS} every port of every engine stays open to "
                "whoever reaches the host",
                f"Name its peers: {DESTINATIONS}: [10.0.0.0/24] closes these ports to all others",
                host,
            )
        return
    for name, kept in LOOPBACK.items():
        value = entry.env.get(name)
        if value is not None and not _is_loopback(name, str(value)):
            problems.warn(
                f"{at}.env.{name}",
                f"{value!r} takes the engine's own sockets off loopback, and no option of it needs another host",
                f"Leave it out: the plan writes {kept}. The host's firewall keeps these ports closed",
            )
    if destinations == ANY:
        return
    remedy = f"Name it in {DESTINATIONS} (addresses and networks, or {ANY})"
    for where, url, target in _urls(args, entry.env):
        if not _covered(target, destinations or ()):
            problems.warn(
                f"{at}.{where}", f"{url} is not on {HOSTS}, and its engines connect to no other host", remedy, host
            )
    if entry.kind == "vision" and destinations is None:
        problems.warn(
            at,
            f"images that clients give as a URL cannot be fetched on {HOSTS}: its engines connect to no other host",
            f"{remedy}, or write {DESTINATIONS}: [] where clients send the images themselves (data:)",
            host,
        )


def firewall(
    gateway: GatewayPlan | None,
    declared: Values,
    services: Sequence[Service],
    destinations: Sequence[str] | str | None,
) -> Firewall | None:
    """What the host's firewall closes; None on a host without engines.

    The endpoints' ports are open to the gateways and to `vllm_endpoint_sources`, to everybody (`sources` None) where there
    is neither. Every other port of an engine is closed, and what it may connect to is `destinations`.
    """
    if not services:
        return None
    given: Any = declared.get("vllm_endpoint_sources") or ()
    named = [*(gateway.addresses if gateway is not None else ()), *map(str, given)]
    sources = tuple(dict.fromkeys(named)) if gateway is not None or named else None
    peers = speaks(services)
    if destinations is None:
        destinations = ANY if peers else ()
    return Firewall(
        ports=tuple(sorted(service.port for service in services)),
        sources=sources,
        destinations=None if destinations == ANY else tuple(destinations),
        peers=peers,
        # Without a gateway, clients reach the engines themselves.
        served=() if gateway is not None else tuple(s.port for s in services if not is_loopback(s.address)),
    )


def packages(services: Sequence[Service]) -> list[str]:
    """System packages that options of these services call for, by the name that they have in every distribution.

    `numa-bind` starts an engine's processes with the program numactl, and ends without it (vllm/utils/numa_utils.py,
    _get_numactl_executable, from 0.21.0 on).
    """
    return ["numactl"] if any("--numa-bind" in service.argv for service in services) else []


def speaks(services: Sequence[Service]) -> bool:
    """Whether an engine among these exchanges data with other hosts: the kernel knows engines by their user alone."""
    return any(service.prove.outside for service in services)


def _advise_profiles(at: str, args: Values, env: Values, problems: Problems) -> None:
    config = as_mapping(args.get("profiler-config"))
    named = {f"args.profiler-config.{key}": config.get(key) for key in _PROFILES}
    named["env.VLLM_TORCH_PROFILER_DIR"] = env.get("VLLM_TORCH_PROFILER_DIR")
    for where, path in named.items():
        if isinstance(path, str) and path.startswith("/") and not _writable(path):
            problems.warn(
                f"{at}.{where}",
                f"{path} is read-only to the engine",
                f"Write a directory below {_WRITABLE[0]}, or open {path} in a drop-in (ReadWritePaths=)",
            )


def _advise_hidden(at: str, entry: Entry, problems: Problems) -> None:
    named = {f"{at}.model": entry.source}
    named.update({f"{at}.adapters.{name}.model": source for name, source in entry.adapters.items()})
    for where, source in named.items():
        directive = next((by for root, by in _HIDDEN.items() if _below(source.model, root)), None)
        if directive and source.origin == "host":
            problems.warn(
                where,
                f"{source.model} is hidden from the engine ({directive})",
                "Move it to /srv or below /var/lib, or open it in a drop-in of the unit (BindReadOnlyPaths=)",
            )


def _writable(path: str) -> bool:
    return any(_below(path, root) for root in _WRITABLE)


def _below(path: str, root: str) -> bool:
    return path == root or path.startswith(f"{root}/")


def _is_loopback(name: str, value: str) -> bool:
    if name == "VLLM_HOST_IP":
        return is_loopback(value)
    return value.lstrip("=") == "lo"


def _urls(args: Values, env: Values) -> Iterator[tuple[str, str, str]]:
    """Place, text and host of every URL that leads off the host."""
    for group, values in (("args", {name: args[name] for name in _CONNECTING if name in args}), ("env", env)):
        for name, value in values.items():
            for text in _texts(value):
                for scheme, target in _URL.findall(text):
                    if scheme not in _NO_HOST and not is_loopback(target):
                        yield f"{group}.{name}", f"{scheme}://{target}", target


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from _texts(item)
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from _texts(item)


def _covered(target: str, destinations: Sequence[str]) -> bool:
    """Whether a host may be connected to; of one given by name the plan takes the operator's word."""
    try:
        address = ipaddress.ip_address(target.strip("[]"))
    except ValueError:
        return bool(destinations)
    return any(address in network for network in networks(destinations, []))
