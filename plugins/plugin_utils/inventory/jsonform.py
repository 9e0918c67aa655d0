"""Frozen dataclasses back from their JSON form: what a host's modules return, on the control node."""

from __future__ import annotations

import types
from dataclasses import fields, is_dataclass
from functools import cache
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

T = TypeVar("T")


def build(form: type[T], data: Any) -> T:
    """The dataclass `form` from `asdict` of one that went through JSON: lists become tuples, dictionaries dataclasses.

    Keys that `form` does not know are left out, and absent ones take their defaults, so that a host that runs another
    release of this collection is still understood. Control node only: it evaluates annotations that need Python 3.10.
    """
    hints = _hints(form)  # type: ignore[arg-type]  # mypy takes a class of an unknown type for unhashable
    given = {field.name: data[field.name] for field in fields(form) if field.name in data}  # type: ignore[arg-type]
    return form(**{name: _value(hints[name], value) for name, value in given.items()})


@cache
def _hints(form: type) -> dict[str, Any]:
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
    if origin is dict:
        return {key: _value(arguments[1], item) for key, item in value.items()}
    return build(hint, value) if isinstance(hint, type) and is_dataclass(hint) else value
