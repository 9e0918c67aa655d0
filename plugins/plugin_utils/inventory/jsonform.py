"""Frozen dataclasses and their JSON form, on the control node: the plan, and what a host's modules return."""

from __future__ import annotations

import types
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from functools import cache
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

T = TypeVar("T")
# Of a field's metadata: its name in JSON where that is no name in Python, and whether it is left out while it is empty.
KEY, OPTIONAL = "key", "optional"


def build(form: type[T], data: Any) -> T:
    """The dataclass `form` from `asdict` of one that went through JSON: lists become tuples, dictionaries dataclasses.

    Keys that `form` does not know are left out, and absent ones take their defaults, so that a host that runs another
    release of this collection is still understood. Control node only: it evaluates annotations that need Python 3.10.
    """
    hints = _hints(form)  # type: ignore[arg-type]  # mypy takes a class of an unknown type for unhashable
    keys = {field.name: field.metadata.get(KEY, field.name) for field in fields(form)}  # type: ignore[arg-type]
    return form(**{name: _value(hints[name], data[key]) for name, key in keys.items() if key in data})


def json_form(value: Any) -> Any:
    """What `build` reads: dictionaries, lists and plain values. Optional fields go while they are empty."""
    if is_dataclass(value):
        given = {field.metadata.get(KEY, field.name): (getattr(value, field.name), field) for field in fields(value)}
        return {key: json_form(item) for key, (item, of) in given.items() if item or not of.metadata.get(OPTIONAL)}
    if isinstance(value, Mapping):
        return {key: json_form(item) for key, item in value.items()}
    return [json_form(item) for item in value] if isinstance(value, (list, tuple)) else value


@cache
def _hints(form: type) -> dict[str, object]:
    return get_type_hints(form)


def _value(hint: Any, value: Any) -> Any:
    origin, arguments = get_origin(hint), get_args(hint)
    if value is None:
        return None
    if origin in (Union, types.UnionType):
        return _value(next(argument for argument in arguments if argument is not type(None)), value)
    if origin is tuple:
        inner = arguments[:1] * len(value) if arguments[-1] is Ellipsis else arguments
        return tuple(_value(each, item) for each, item in zip(inner, value))
    if origin in (dict, Mapping):
        return {key: _value(arguments[1], item) for key, item in value.items()}
    return build(hint, value) if isinstance(hint, type) and is_dataclass(hint) else value
