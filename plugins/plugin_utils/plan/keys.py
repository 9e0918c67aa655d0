"""Keys that keep nobody out: the examples' placeholders, one that is too short, one that YAML has made a number of.

No message repeats a key.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from ansible_collections.baremetal.vllm.plugins.module_utils.text.problems import Problems
from ansible_collections.baremetal.vllm.plugins.module_utils.text.values import Values
from ansible_collections.baremetal.vllm.plugins.plugin_utils.gateway.keys import SHORTEST, read_keys

# What keys begin with that stand where a key is to be written, in these inventories and in others; letters only.
_PLACEHOLDERS = ("replaceme", "changeme", "yourkey", "yourapikey")
# Nothing can be deployed to these names and addresses: RFC 2606 (of its section 2 what never resolves), RFC 5737, RFC 3849.
_NAMES = re.compile(r"(.*\.)?(example\.(com|net|org)|example|invalid)\.?", re.IGNORECASE)
_NETWORKS = tuple(
    map(ipaddress.ip_network, ("192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24", "2001:db8::/32")),
)
_NEW = "Make one with: openssl rand -hex 24"


def check_keys(
    api_key: Any,
    hosts: Mapping[str, Mapping[str, object]],
    gateways: Mapping[str, Mapping[str, object]],
    problems: Problems,
) -> None:
    """Judge the engines' key (`vllm_api_key` as written, None for none) and the clients' keys of `gateways`.

    A placeholder is public. It is refused where it would be deployed, which is wherever one host is real; an inventory of
    nothing but documentation's host names (the one that it comes from) is planned with a warning.
    """
    published = list(_placeholders(api_key, gateways))
    if published:
        told = (
            problems.add if any(_real(name, of) for name, of in (*hosts.items(), *gateways.items())) else problems.warn
        )
        for key in published:
            told(
                key,
                "is an example's placeholder, which everybody can read",
                f"Put a key of your own into a vault. {_NEW}",
            )
    if api_key is None or "vllm_api_key" in published:
        return
    if not isinstance(api_key, str):
        problems.add(
            "vllm_api_key", "is not text", "Quote it: YAML reads digits as a number, and some words as yes or no"
        )
    elif api_key and (api_key != api_key.strip() or not api_key.isprintable()):
        problems.add(
            "vllm_api_key",
            "begins or ends with a blank or a line break, or has a control character, and no client could send it",
            "Let ansible-vault ask for it (echo adds a line break): ansible-vault encrypt_string --prompt --name vllm_api_key",
        )
    elif len(api_key) == 1:
        problems.add("vllm_api_key", "has one character, and keeps nobody out", _NEW)
    elif 0 < len(api_key) < SHORTEST:
        problems.warn("vllm_api_key", f"has {len(api_key)} characters, and can be guessed", _NEW)


def is_placeholder(key: Any) -> bool:
    """Whether a text only marks the place of a key.

    >>> is_placeholder("replace-me-team-a"), is_placeholder("sk-0123456789abcdef")
    (True, False)
    """
    return isinstance(key, str) and re.sub(r"[^a-z]", "", key.lower()).startswith(_PLACEHOLDERS)


def _placeholders(api_key: Any, gateways: Mapping[str, Mapping[str, object]]) -> Iterator[str]:
    """The places of the inventory where one stands."""
    if is_placeholder(api_key):
        yield "vllm_api_key"
    seen: Iterable[Any] = (declared.get("gateway_keys") for declared in gateways.values())
    # That all gateways have the same keys is the gateways' own check.
    given = next((keys for keys in seen if isinstance(keys, Mapping)), {})
    for client in read_keys(given, Problems()):
        for number, key in enumerate(client.keys, 1):
            if is_placeholder(key):
                yield f"gateway_keys.{client.name}, key {number}"


def _real(name: str, declared: Values) -> bool:
    """Whether Ansible could reach a host."""
    reached = str(declared.get("ansible_host") or name)
    try:
        address = ipaddress.ip_address(reached)
    except ValueError:
        return not _NAMES.fullmatch(reached)
    return not any(address.version == network.version and address in network for network in _NETWORKS)
