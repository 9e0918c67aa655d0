"""Single values of the gateways' variables: each read, or told what it should be and left at its default."""

from __future__ import annotations

import ipaddress
import re
from typing import Any

from ansible_collections.baremetal.vllm.plugins.module_utils.text.problems import Problems
from ansible_collections.baremetal.vllm.plugins.plugin_utils.inventory.plain import whole
from ansible_collections.baremetal.vllm.plugins.plugin_utils.planned.gateway import ALL

_INTERFACE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,14}")
_LABEL = r"[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
# RFC 1123, section 2.1.
_NAME = re.compile(rf"(?=.{{1,253}}$){_LABEL}(\.{_LABEL})*")
_TRUE, _FALSE = ("true", "yes", "on", "1"), ("false", "no", "off", "0")


def dns_name(name: str, value: Any, problems: Problems) -> str:
    """A DNS name, or "" for None, for "" and for what is none: that is added to `problems` under `name`."""
    if value in (None, "") or (isinstance(value, str) and _NAME.fullmatch(value)):
        return value or ""
    problems.add(
        name, f"{value!r} is not a DNS name", "Write the name that clients know: llm.example.org, without https://"
    )
    return ""


def interface(value: Any, problems: Problems) -> str:
    """A network interface, or "" for the one that leads to the other gateways, and for what is none (a problem)."""
    if value in (None, "") or (isinstance(value, str) and _INTERFACE.fullmatch(value)):
        return value or ""
    problems.add(
        "gateway_floating_interface",
        f"{value!r} is not the name of a network interface",
        "Write one such as eth0, or leave it out for the one that leads to the other gateways",
    )
    return ""


def address(name: str, value: Any, default: str, problems: Problems) -> str:
    """An IP address in its shortest form; `default` for None, for "" and for what is none (a problem)."""
    if value in (None, ""):
        return default
    if value == ALL and default == ALL:
        return ALL
    try:
        if not isinstance(value, str):
            raise ValueError
        return str(ipaddress.ip_address(value))
    except ValueError:
        problems.add(
            name, f"{value!r} is not an IP address", f"Write one such as 10.0.0.5, or leave it out ({default})"
        )
        return default


def port(name: str, value: Any, default: int, problems: Problems) -> int:
    """A port from 1 to 65535; `default` for None and for what is none (a problem)."""
    return number(name, value, 1, 65535, default, "a port", problems)


def number(name: str, value: Any, low: int, high: int, default: int, what: str, problems: Problems) -> int:
    """A whole number from `low` to `high`; `default` for None and for any other value (a problem). `what` names it."""
    if value is None:
        return default
    read = whole(value)
    if read is None or not low <= read <= high:
        problems.add(
            name, f"{value!r} is not a number from {low} to {high}", f"Write {what}, or leave it out ({default})"
        )
        return default
    return read


def switch(name: str, value: Any, problems: Problems) -> bool:
    """True or False by any of YAML's words; False for None and for any other value (a problem)."""
    word = "false" if value is None else str(value).lower()
    if word not in _TRUE + _FALSE:
        problems.add(name, f"{value!r} is neither true nor false", "Write true or false")
    return word in _TRUE
