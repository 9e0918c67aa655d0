"""Clients' keys: `gateway_keys` read and judged, and what of them lies on a gateway (digests, never a key)."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from ansible_collections.baremetal.vllm.plugins.module_utils.text.problems import Problems, did_you_mean
from ansible_collections.baremetal.vllm.plugins.plugin_utils.inventory.plain import whole

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,63}")
# What `Authorization: Bearer` carries unaltered: RFC 6750's b64token and every other visible character of ASCII.
_KEY = re.compile(r"[\x21-\x7e]+")
SHORTEST, LONGEST = 16, 512
_LIMITS = {"requests_per_minute": 1_000_000, "concurrent": 100_000}
_FIELDS = ("keys", "key", *_LIMITS, "models")


@dataclass(frozen=True)
class GatewayClient:
    """One name of `gateway_keys`. `keys` are secret; limits are 0 for none; `models` None for all of the fleet's."""

    name: str
    keys: tuple[str, ...]
    requests_per_minute: int = 0
    concurrent: int = 0
    models: tuple[str, ...] | None = None


def read_keys(given: Any, problems: Problems) -> tuple[GatewayClient, ...]:
    """Every client that could be read. No message repeats a key, nor anything that may be one."""
    if not isinstance(given, Mapping):
        problems.add(
            "gateway_keys",
            "is not a dictionary with names as keys",
            "Write gateway_keys: {team-a: sk-…}, or {team-a: {keys: [sk-…], requests_per_minute: 600}}",
        )
        return ()
    clients = [_client(name, raw, problems) for name, raw in given.items()]
    found = tuple(client for client in clients if client is not None)
    _refuse_shared(found, problems)
    return found


def _client(name: Any, raw: Any, problems: Problems) -> GatewayClient | None:
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        # Written the wrong way round, this would be a key.
        problems.add(
            "gateway_keys",
            "has a name that cannot be one (not shown: it may be a key)",
            "Name each client with letters, digits, '.', '_', '@' and '-', at most 64, in front of its key",
        )
        return None
    at = f"gateway_keys.{name}"
    fields = raw if isinstance(raw, Mapping) else {"keys": raw if isinstance(raw, (list, tuple)) else [raw]}
    for field in fields:
        if field not in _FIELDS:
            shown = field if isinstance(field, str) and len(field) < SHORTEST else "a field"
            problems.add(f"{at}.{shown}", "is not known", did_you_mean(str(shown), _FIELDS))
    if ("key" in fields) == ("keys" in fields):
        problems.add(at, "needs one of `key` and `keys`", "Write keys: [the key, and the next one while clients move]")
        return None
    listed = fields.get("keys", [fields.get("key")])
    if not isinstance(listed, (list, tuple)) or not listed:
        problems.add(f"{at}.keys", "is not a list of keys", "Write keys: [sk-…]")
        return None
    for number, key in enumerate(listed, 1):
        _judge_key(f"{at}, key {number}", key, problems)
    limits = {field: _limit(f"{at}.{field}", fields.get(field), most, problems) for field, most in _LIMITS.items()}
    keys = tuple(key for key in listed if isinstance(key, str))
    return GatewayClient(name, keys, models=_models(f"{at}.models", fields.get("models"), problems), **limits)


def _judge_key(at: str, key: Any, problems: Problems) -> None:
    if not isinstance(key, str):
        problems.add(at, "is not text", "Quote it: YAML reads digits as a number")
    elif not _KEY.fullmatch(key):
        problems.add(at, "has characters that no header carries", "Use visible ASCII characters without spaces")
    elif not SHORTEST <= len(key) <= LONGEST:
        problems.add(
            at,
            f"has {len(key)} characters, {SHORTEST} to {LONGEST} are taken",
            "Make one with: openssl rand -hex 24",
        )


def _limit(at: str, value: Any, most: int, problems: Problems) -> int:
    if value is None:
        return 0
    number = whole(value)
    if number is None or not 1 <= number <= most:
        problems.add(at, f"{value!r} is not a number from 1 to {most}", "Write a number, or leave it out for no limit")
        return 0
    return number


def _models(at: str, value: Any, problems: Problems) -> tuple[str, ...] | None:
    if value is None:
        return None
    if isinstance(value, (list, tuple)) and value and all(isinstance(item, str) and item for item in value):
        return tuple(value)
    problems.add(at, f"{value!r} is not a list of models", "Write names of vllm_models, or leave it out for all models")
    return None


def _refuse_shared(clients: Iterable[GatewayClient], problems: Problems) -> None:
    owner: dict[str, str] = {}
    for client in clients:
        for number, key in enumerate(client.keys, 1):
            other = owner.setdefault(key, f"gateway_keys.{client.name}, key {number}")
            if other != f"gateway_keys.{client.name}, key {number}":
                problems.add(
                    f"gateway_keys.{client.name}, key {number}",
                    f"is the same as {other}",
                    "Give each client keys of its own, each once",
                )


def digest(key: str) -> str:
    """SHA-256 as HAProxy's `sha2(256),hex` writes it."""
    return hashlib.sha256(key.encode()).hexdigest().upper()
