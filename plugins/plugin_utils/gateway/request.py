"""What the inventory asks of the fleet's gateways, read and judged before any host is touched."""

from __future__ import annotations

import ipaddress
import re

from ansible_collections.baremetal.vllm.plugins.module_utils.text.problems import Problems, did_you_mean
from ansible_collections.baremetal.vllm.plugins.module_utils.text.values import Values
from ansible_collections.baremetal.vllm.plugins.plugin_utils.gateway import values
from ansible_collections.baremetal.vllm.plugins.plugin_utils.gateway.certificate import judge_pem
from ansible_collections.baremetal.vllm.plugins.plugin_utils.gateway.keys import read_keys
from ansible_collections.baremetal.vllm.plugins.plugin_utils.planned.gateway import ALL, Settings

# By variable: lowest, highest, default, and what it counts.
_NUMBERS = {
    "gateway_body_limit_mib": (1, 256, 32, "MiB of one request's body"),
    "gateway_timeout": (10, 86400, 600, "seconds that an engine may be silent"),
    "gateway_body_timeout": (1, 3600, 60, "seconds within which a request's body must arrive"),
    "gateway_max_connections": (100, 200000, 4000, "connections of clients at a time"),
    "gateway_floating_router_id": (1, 255, 51, "the virtual router, the same on no other pair of this network"),
}
# Written for every gateway; each host's own are told apart by the plan.
KEYS = (
    *("gateway_name", "gateway_address", "gateway_port", "gateway_keys", "gateway_open", *_NUMBERS),
    *("gateway_tls_certificate", "gateway_tls_key", "gateway_tls_path"),
    *("gateway_metrics_address", "gateway_metrics_port"),
    *("gateway_floating_address", "gateway_floating_interface"),
)
# Those that may differ between the gateways of one fleet.
HOST_KEYS = ("gateway_floating_interface", "gateway_metrics_address")
ROLE_KEYS = ("gateway_state", "gateway_host_firewall", "gateway_selinux")


def read_gateway(declared: Values, problems: Problems) -> Settings | None:
    """The settings in a gateway's variables (its `gateway_*`); None where something is wrong, all of it told."""
    wrong = Problems()
    for name in declared:
        if name.startswith("gateway_") and name not in KEYS + ROLE_KEYS:
            wrong.add(name, "is not a variable of the gateway", did_you_mean(name, KEYS))
    opened = values.switch("gateway_open", declared.get("gateway_open"), wrong)
    _judge_keys(declared, opened, wrong)
    certificate, key, path = _tls(declared, wrong)
    tls = bool(certificate or path)
    if not tls and not wrong.problems:
        wrong.warn(
            "gateway_tls_certificate",
            "is not set, so clients' keys and texts cross the network in the clear",
            "Name a certificate, or leave it so where the network is trusted",
        )
    numbers = {name[8:]: values.number(name, declared.get(name), *rule, wrong) for name, rule in _NUMBERS.items()}
    settings = Settings(
        name=values.dns_name("gateway_name", declared.get("gateway_name"), wrong),
        address=values.address("gateway_address", declared.get("gateway_address"), ALL, wrong),
        port=values.port("gateway_port", declared.get("gateway_port"), 443 if tls else 80, wrong),
        tls=tls,
        tls_certificate=certificate,
        tls_key=key,
        tls_path=path,
        open=opened,
        metrics_address=values.address(
            "gateway_metrics_address", declared.get("gateway_metrics_address"), "127.0.0.1", wrong
        ),
        metrics_port=values.port("gateway_metrics_port", declared.get("gateway_metrics_port"), 8405, wrong),
        floating_address=_floating(declared, wrong),
        floating_interface=values.interface(declared.get("gateway_floating_interface"), wrong),
        **numbers,
    )
    if settings.port == settings.metrics_port:
        wrong.add(
            "gateway_metrics_port",
            f"{settings.port} is also gateway_port",
            "Give the metrics a port of their own",
        )
    if settings.floating_address and settings.address != ALL:
        wrong.add(
            "gateway_address",
            "names one address, and a gateway can listen on gateway_floating_address only while it holds it",
            "Leave gateway_address out",
        )
    _hand_over(wrong, problems)
    return None if wrong.problems else settings


def _hand_over(wrong: Problems, problems: Problems) -> None:
    for problem in wrong.problems:
        problems.add(problem.key, problem.reason, problem.remedy)
    for problem in wrong.warned:
        problems.warn(problem.key, problem.reason, problem.remedy)


def _judge_keys(declared: Values, opened: bool, problems: Problems) -> None:
    given = declared.get("gateway_keys")
    if given in (None, {}, "", []):
        if not opened:
            problems.add(
                "gateway_keys",
                "is missing, so nobody could use the gateway",
                "Write one key per client, from a vault (gateway_keys: {team-a: sk-…}), or gateway_open: true where "
                "everybody who reaches the gateway may use every model",
            )
        return
    if opened:
        problems.add(
            "gateway_open",
            "stands beside gateway_keys: keys would not be asked for",
            "Keep one of the two",
        )
    read_keys(given, problems)


def _tls(declared: Values, problems: Problems) -> tuple[str, str, str]:
    """(certificate, key, path on the host), "" for what is not given."""
    found = {}
    for name in ("gateway_tls_certificate", "gateway_tls_key", "gateway_tls_path"):
        value = declared.get(name)
        found[name] = str(value or "")
        if value and (not isinstance(value, str) or not value.startswith("/") or not value.isprintable()):
            place = "the gateway hosts" if name == "gateway_tls_path" else "the control node"
            text = "PEM text" if "-----BEGIN" in str(value) else repr(value)
            problems.add(name, f"{text} is not an absolute path", f"Write the path of a PEM file of {place}")
            found[name] = ""
    certificate, key, path = (found[f"gateway_tls_{part}"] for part in ("certificate", "key", "path"))
    if path and (certificate or key):
        problems.add(
            "gateway_tls_path",
            "stands beside gateway_tls_certificate or gateway_tls_key",
            "Keep either the files of the control node or the one of the gateway hosts",
        )
    elif key and not certificate:
        problems.add("gateway_tls_key", "is the key of a certificate that is not named", "Set gateway_tls_certificate")
    elif certificate:
        judge_pem(certificate, key, problems)
    if re.search(r"\s", path):
        problems.add("gateway_tls_path", f"{path!r} has white space in it", "Name a path without any")
    return certificate, key, path


def _floating(declared: Values, problems: Problems) -> str:
    value = declared.get("gateway_floating_address")
    if not value:
        for name in ("gateway_floating_interface", "gateway_floating_router_id"):
            if declared.get(name) is not None:
                problems.add(name, "means nothing without gateway_floating_address", "Set it, or leave both out")
        return ""
    try:
        if not isinstance(value, str) or "/" not in value:
            raise ValueError
        address = ipaddress.ip_interface(value)
        if address.is_loopback or address.is_multicast or address.is_unspecified:
            raise ValueError
    except ValueError:
        problems.add(
            "gateway_floating_address",
            f"{value!r} is not an address with the length of its network",
            "Write a free address of the gateways' network: 10.0.0.100/24",
        )
        return ""
    return str(value)
