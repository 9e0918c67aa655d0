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
_PLAIN = (str, int, float, bool, type(None))


def build(form: type[T], data: Any) -> T:
    """The dataclass `form` from `asdict` of one that went through JSON: lists become tuples, dictionaries dataclasses.

    Keys that `form` does not know are left out, and absent ones take their defaults, so that a host that runs another
    release of this collection is still understood. Control node only: it evaluates annotations that need Python 3.10.
    """
    # mypy takes a class of an unknown type for unhashable.
    known: Any = form
    hints = _hints(known)
    return form(**{name: _value(hints[name], data[key]) for name, key, __ in _fields(known) if key in data})


def json_form(value: Any) -> Any:
    """What `build` reads: dictionaries, lists and plain values. Optional fields go while they are empty."""
    if isinstance(value, _PLAIN):
        return value
    if is_dataclass(value):
        kind: Any = type(value)
        given = ((key, getattr(value, name), optional) for name, key, optional in _fields(kind))
        return {key: json_form(item) for key, item, optional in given if item or not optional}
    if isinstance(value, Mapping):
        return {key: json_form(item) for key, item in value.items()}
    return [json_form(item) for item in value] if isinstance(value, (list, tuple)) else value


@cache
def _fields(form: Any) -> tuple[tuple[str, str, bool], ...]:
    """Name, name in JSON, and whether it is optional."""
    return tuple((f.name, f.metadata.get(KEY, f.name), f.metadata.get(OPTIONAL, False)) for f in fields(form))


@cache
def _hints(form: Any) -> dict[str, Any]:
    return get_type_hints(form)


@cache
def _shape(hint: Any) -> tuple[Any, tuple[Any, ...]]:
    return get_origin(hint), get_args(hint)


def _value(hint: Any, value: Any) -> Any:
    if value is None or hint in _PLAIN:
        return value
    origin, arguments = _shape(hint)
    if origin in (Union, types.UnionType):
        return _value(next(argument for argument in arguments if argument is not type(None)), value)
    if origin is tuple:
        if arguments[-1] is Ellipsis:
            return tuple(value) if arguments[0] in _PLAIN else tuple(_value(arguments[0], item) for item in value)
        return tuple(_value(each, item) for each, item in zip(arguments, value))
    if origin in (dict, Mapping):
        return {key: _value(arguments[1], item) for key, item in value.items()}
    return build(hint, value) if isinstance(hint, type) and is_dataclass(hint) else value
