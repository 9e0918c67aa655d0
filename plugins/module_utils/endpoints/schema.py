"""A validator for the part of JSON Schema that the checks use."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Callable

Schema = Mapping[str, Any]

_TYPES: dict[str, Callable[[Any], bool]] = {
    "object": lambda value: isinstance(value, dict),
    "array": lambda value: isinstance(value, list),
    "string": lambda value: isinstance(value, str),
    "boolean": lambda value: isinstance(value, bool),
    "null": lambda value: value is None,
    "number": lambda value: isinstance(value, (int, float)) and not isinstance(value, bool),
    # JSON has one kind of number: 2.0 is an integer to a schema.
    "integer": lambda value: (
        not isinstance(value, bool) and (isinstance(value, int) or (isinstance(value, float) and value.is_integer()))
    ),
}
_KEYWORDS = {
    "type", "enum", "properties", "required", "additionalProperties", "items",
    "minItems", "maxItems", "minLength", "maxLength", "minimum", "maximum",
}  # fmt: skip


def violations(value: Any, schema: Schema, where: str = "$") -> list[str]:
    """Every way in which `value` breaks `schema`, each with its place; empty when it fits.

    Raises:
        ValueError: for a schema with a keyword that this validator does not know, rather than passing it unchecked.
    """
    unknown = sorted(set(schema) - _KEYWORDS)
    if unknown:
        raise ValueError(f"JSON Schema keywords not supported here: {', '.join(unknown)}")
    kind = schema.get("type")
    if kind is not None and not _TYPES[kind](value):
        return [f"{where} is {_shown(value)}, not of type {kind}"]
    found = []
    if "enum" in schema and not any(_same(value, choice) for choice in schema["enum"]):
        found.append(f"{where} is {_shown(value)}, not one of {_shown(schema['enum'])}")
    if isinstance(value, dict):
        found += _object(value, schema, where)
    elif isinstance(value, list):
        found += _bounds(len(value), schema, "minItems", "maxItems", f"{where} has {len(value)} items")
        for number, item in enumerate(value):
            found += violations(item, schema.get("items", {}), f"{where}[{number}]")
    elif isinstance(value, str):
        found += _bounds(len(value), schema, "minLength", "maxLength", f"{where} has {len(value)} characters")
    elif isinstance(value, (int, float)) and not isinstance(value, bool):
        found += _bounds(value, schema, "minimum", "maximum", f"{where} is {value}")
    return found


def _object(value: Mapping[str, object], schema: Schema, where: str) -> list[str]:
    properties = schema.get("properties", {})
    found = [f"{where}.{name} is missing" for name in schema.get("required", ()) if name not in value]
    for name, item in value.items():
        rule = properties.get(name, schema.get("additionalProperties", True))
        if rule is False:
            found.append(f"{where}.{name} is not allowed")
        elif rule is not True:
            found += violations(item, rule, f"{where}.{name}")
    return found


def _bounds(size: float, schema: Schema, least: str, most: str, told: str) -> list[str]:
    found = []
    if least in schema and size < schema[least]:
        found.append(
            f"{told}, fewer than {least} {schema[least]}" if least != "minimum" else f"{told}, below {schema[least]}"
        )
    if most in schema and size > schema[most]:
        found.append(
            f"{told}, more than {most} {schema[most]}" if most != "maximum" else f"{told}, above {schema[most]}"
        )
    return found


def _same(one: Any, other: Any) -> bool:
    """Equal as JSON: in Python alone True equals 1."""
    return one == other and isinstance(one, bool) == isinstance(other, bool)


def _shown(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)
