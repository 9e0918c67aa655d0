"""Type hints of vLLM's dataclasses, read as what a JSON value for the field must be."""

from __future__ import annotations

import enum
import types
import typing
from typing import Any

from ansible_collections.baremetal.vllm.tools.catalogue.inert import is_stand_in
from ansible_collections.baremetal.vllm.tools.catalogue.values import is_config
from pydantic.fields import FieldInfo

_BOUNDS = ("ge", "gt", "le", "lt")
_LISTS = (list, set, frozenset, tuple)


def members(hint: Any) -> list[Any]:
    """A hint without `Annotated` and unions, as the list of what it allows. SkipValidation allows anything."""
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if origin is typing.Annotated:
        unchecked = any(type(part).__name__ == "SkipValidation" for part in args[1:])
        return [Any] if unchecked else members(args[0])
    if origin in (typing.Union, types.UnionType):
        return [member for arg in args for member in members(arg)]
    if isinstance(hint, typing.TypeVar) or is_stand_in(hint) or isinstance(hint, str):
        return [Any]
    return [hint]


def shape(hint: Any) -> dict[str, Any]:
    """`type`, and where they apply `nullable`, `many`, `choices` and `class` (of a nested dataclass), of a type hint."""
    allowed = members(hint)
    spec: dict[str, Any] = {"nullable": True} if type(None) in allowed else {}
    allowed = [member for member in allowed if member is not type(None)]
    lists = [member for member in allowed if typing.get_origin(member) in _LISTS or member in _LISTS]
    if lists and len(allowed) > len(lists):
        # One value or a list of them.
        return {**spec, "type": "any"}
    if lists:
        inner = typing.get_args(lists[0])
        item = shape(inner[0]) if inner else {"type": "any"}
        item.pop("nullable", None)
        return {**spec, **item, "many": True} if "many" not in item else {**spec, "type": "any", "many": True}
    nested = [member for member in allowed if is_config(member)]
    if nested:
        return {**spec, "type": "config", "class": nested[0]} if len(allowed) == 1 else {**spec, "type": "any"}
    literals = [member for member in allowed if typing.get_origin(member) is typing.Literal]
    values = list(dict.fromkeys(item for literal in literals for item in typing.get_args(literal)))
    if None in values:
        spec["nullable"] = True
        values.remove(None)
    if literals and len(literals) == len(allowed):
        return {**spec, "type": common({type(item) for item in values}), "choices": sorted(values, key=str)}
    open_to = {member for member in allowed if member not in literals}
    return {**spec, "type": common(open_to | {type(item) for item in values})}


def common(kinds: set[Any]) -> str:
    if len(kinds) == 1:
        kind = next(iter(kinds))
        if kind in (str, int, float, bool):
            return str(kind.__name__)
        if kind is dict or typing.get_origin(kind) is dict or getattr(kind, "__total__", None) is not None:
            return "dict"
        if isinstance(kind, type) and issubclass(kind, enum.Enum):
            return "enum"
    return "float" if kinds == {int, float} else "any"


def bounds(kind: type, name: str) -> dict[str, float]:
    """The bounds that pydantic checks for a field; empty where the class is none of pydantic's."""
    infos = getattr(kind, "__pydantic_fields__", {})
    info = infos.get(name)
    if info is None:
        return {}
    limits = {
        bound: value
        for part in (*info.metadata, *_metadata(info.annotation))
        for bound in _BOUNDS
        if (value := getattr(part, bound, None)) is not None
    }
    return {bound: limits[bound] for bound in _BOUNDS if bound in limits}


def _metadata(hint: Any) -> list[Any]:
    """Metadata of `Annotated` members of a union: `Annotated[int, Ge(0)] | None`."""
    origin = typing.get_origin(hint)
    if origin is typing.Annotated:
        inner, *metadata = typing.get_args(hint)
        expanded = [item for part in metadata for item in (part.metadata if isinstance(part, FieldInfo) else [part])]
        return [*expanded, *_metadata(inner)]
    if origin in (typing.Union, types.UnionType):
        return [part for member in typing.get_args(hint) for part in _metadata(member)]
    return []
