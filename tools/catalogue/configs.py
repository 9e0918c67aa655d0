"""The dataclasses behind options: their keys, types, bounds and what becomes of a key they do not have."""

from __future__ import annotations

import dataclasses
import enum
import json
import sys
import types
import typing
from collections.abc import Callable, Iterator
from typing import Any

from pydantic import PrivateAttr, TypeAdapter, ValidationError
from pydantic.fields import FieldInfo

from ansible_collections.baremetal.vllm.tools.catalogue.deprecation import deprecation
from ansible_collections.baremetal.vllm.tools.catalogue.standins import is_stand_in, missing
from ansible_collections.baremetal.vllm.tools.catalogue.values import COMPUTED, is_config, plain

_BOUNDS = ("ge", "gt", "le", "lt")
_UNKNOWN_KEY = "no_such_key"
_LISTS = (list, set, frozenset, tuple)


def describe(
    kind: type, read: Callable[[str], Any] | None, found: dict[str, dict[str, Any]], doubts: list[str]
) -> None:
    """Add the dataclass and those nested in it to `found`, as `{"extra": …, "fields": {name: spec}}` by class name; what
    stand-ins hide is added to `doubts`.

    `read` is the function that turns an option's JSON text into this dataclass; None where pydantic does.
    """
    if kind.__name__ in found:
        return
    entry: dict[str, Any] = {"extra": extra(kind, read), "fields": {}}
    found[kind.__name__] = entry
    texts = _texts(kind)
    for name, hint, default in fields(kind):
        doubts += [f"{kind.__name__}.{name} is typed by {part}, which could not be imported" for part in missing(hint)]
        spec = shape(hint)
        nested = spec.pop("class", None)
        if nested is not None:
            spec["config"] = nested.__name__
            describe(nested, None, found, doubts)
        if not spec.get("nullable") and _accepts(kind, name, None):
            spec["nullable"] = True
        _probe_choices(kind, name, hint, spec)
        limits = bounds(kind, name)
        if limits:
            spec["bounds"] = limits
        value = plain(default)
        if default is dataclasses.MISSING:
            spec["required"] = True
        elif value is COMPUTED:
            spec["computed"] = True
        elif value is not None:
            spec["default"] = value
        deprecated = deprecation(name, texts.get(name, ""))
        if deprecated:
            spec["deprecated"] = deprecated
        entry["fields"][name] = spec


def _texts(kind: type) -> dict[str, str]:
    """The texts that stand below the fields in vLLM's source, read by vLLM's own function for them."""
    for module in ("vllm.config.utils", "vllm.config"):
        read = getattr(sys.modules.get(module), "get_attr_docs", None)
        if read is not None:
            try:
                return dict(read(kind))
            except Exception:
                # A class of pydantic's or one whose source cannot be found.
                return {}
    return {}


def fields(kind: type) -> Iterator[tuple[str, Any, Any]]:
    """(name, type hint, default or MISSING) of every key that a user may give."""
    try:
        hints = typing.get_type_hints(kind, include_extras=True)
    except Exception:
        # A hint that names what only type checkers import: the unresolved ones count as `any`.
        hints = {}
    if not dataclasses.is_dataclass(kind):
        for name, info in kind.model_fields.items():  # type: ignore[attr-defined]
            if info.default is PrivateAttr:
                continue
            yield name, hints.get(name, info.annotation), _default(info)
        return
    for field in dataclasses.fields(kind):
        info = field.default
        if not field.init or (isinstance(info, FieldInfo) and info.init is False):
            continue
        if isinstance(info, FieldInfo):
            default = _default(info)
        elif field.default_factory is not dataclasses.MISSING:
            default = _made(field.default_factory)
        else:
            default = info
        yield field.name, hints.get(field.name, field.type), default


def hint_of(kind: type, name: str) -> Any:
    """The type hint of one field; None where there is none."""
    return next((found for field, found, _ in fields(kind) if field == name), None)


def _default(info: FieldInfo) -> Any:
    if info.default_factory is not None:
        return _made(info.default_factory)
    return dataclasses.MISSING if info.is_required() else info.default


def _made(factory: Any) -> Any:
    try:
        return factory()
    except Exception:
        return COMPUTED


def extra(kind: type, read: Callable[[str], Any] | None) -> str:
    """What becomes of an unknown key: "refused", "ignored" or "allowed"."""
    keys = {name: "x" for name, _, default in fields(kind) if default is dataclasses.MISSING}
    try:
        (read or TypeAdapter(kind).validate_json)(json.dumps(keys))
    except Exception:
        # Keys that must be there have types of their own, and are not worth guessing: no class of vLLM up to 0.33.0 that
        # has some and is read by pydantic takes unknown ones.
        return "refused"
    try:
        made = (read or TypeAdapter(kind).validate_json)(json.dumps({**keys, _UNKNOWN_KEY: 1}))
    except Exception:
        return "refused"
    return "allowed" if hasattr(made, _UNKNOWN_KEY) else "ignored"


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
        return {**spec, "type": _common({type(item) for item in values}), "choices": sorted(values, key=str)}
    open_to = {member for member in allowed if member not in literals}
    return {**spec, "type": _common(open_to | {type(item) for item in values})}


def _common(kinds: set[Any]) -> str:
    if len(kinds) == 1:
        kind = next(iter(kinds))
        if kind in (str, int, float, bool):
            return str(kind.__name__)
        if kind is dict or typing.get_origin(kind) is dict or getattr(kind, "__total__", None) is not None:
            return "dict"
        if isinstance(kind, type) and issubclass(kind, enum.Enum):
            return "enum"
    return "float" if kinds == {int, float} else "any"


def _accepts(kind: type, name: str, value: Any) -> bool:
    """Whether the class takes this value for this key, as far as the key's own checks go."""
    try:
        TypeAdapter(kind).validate_python({name: value})
    except ValidationError as error:
        return not any(part["loc"] and part["loc"][0] == name for part in error.errors())
    except Exception:
        # Checks over several keys, run with stand-ins: they say nothing about this key.
        return False
    return True


def _probe_choices(kind: type, name: str, hint: Any, spec: dict[str, Any]) -> None:
    """Enums are accepted by value, by name or both, and closed sets in any case or not: ask."""
    many = spec.get("many", False)

    def accepts(value: Any) -> bool:
        return _accepts(kind, name, [value] if many else value)

    if spec["type"] == "enum":
        kinds = [part for member in members(hint) for part in (typing.get_args(member) or (member,))]
        enums = [part for part in kinds if isinstance(part, type) and issubclass(part, enum.Enum)]
        words = [word for part in enums for item in part for word in (item.value, item.name)]
        accepted = [word for word in dict.fromkeys(words) if isinstance(word, (str, int)) and accepts(word)]
        spec["type"] = _common({type(word) for word in accepted}) if accepted else "any"
        if accepted:
            spec["choices"] = sorted(accepted, key=lambda word: (isinstance(word, str), word))
    texts = [choice for choice in spec.get("choices", ()) if isinstance(choice, str)]
    if texts and all(accepts(text.upper()) and accepts(text.lower()) for text in texts):
        spec["type"] = "folded" if all(accepts(text.replace("_", "-")) for text in texts) else "caseless"
        # Of spellings that mean the same, one is enough.
        fold = {text.lower(): text for text in reversed(texts)}
        spec["choices"] = [
            choice for choice in spec["choices"] if choice in fold.values() or not isinstance(choice, str)
        ]
