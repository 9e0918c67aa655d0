"""JSON values of options, written as text or as YAML."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from ansible_collections.baremetal.vllm.plugins.module_utils.text.safe_values import Wrong, wrong_data


def read_json(value: Any, shape: str = "dictionary") -> Any:
    """Data from JSON text, or from YAML as it stands; Wrong where it is no JSON. `shape`: what it should be in YAML."""
    if not isinstance(value, str):
        return wrong_data(value) or value
    try:
        data = json.loads(value, parse_constant=_no_constant, object_pairs_hook=_once)
    except json.JSONDecodeError as error:
        found = f"{error.msg[:1].lower()}{error.msg[1:]} at character {error.pos + 1}"
        return Wrong(f"is not JSON: {found}", f"Correct it, or write it as a YAML {shape}")
    except (ValueError, RecursionError) as error:
        return Wrong(f"is not JSON: {str(error)[:60]}", f"Correct it, or write it as a YAML {shape}")
    return wrong_data(data) or data


def as_mapping(value: Any) -> Mapping[str, object]:
    """The keys of a JSON option whether it was written as text or as YAML; none where it holds none."""
    data = read_json(value)
    return data if isinstance(data, Mapping) else {}


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is no number in JSON")


def _once(pairs: list[tuple[str, Any]]) -> dict[str, object]:
    read = dict(pairs)
    if len(read) < len(pairs):
        keys = [key for key, __ in pairs]
        raise ValueError(f"the key {next(key for key in keys if keys.count(key) > 1)!r} stands in it twice")
    return read
