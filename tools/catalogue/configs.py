"""The dataclasses behind options: their keys, types, bounds and what becomes of a key they do not have."""

from __future__ import annotations

import dataclasses
import enum
import json
import sys
import typing
from collections.abc import Callable, Iterator
from typing import Any

from ansible_collections.baremetal.vllm.tools.catalogue import hints
from ansible_collections.baremetal.vllm.tools.catalogue.deprecation import deprecation
from ansible_collections.baremetal.vllm.tools.catalogue.standins import missing
from ansible_collections.baremetal.vllm.tools.catalogue.values import COMPUTED, plain
from pydantic import PrivateAttr, TypeAdapter, ValidationError
from pydantic.fields import FieldInfo

_UNKNOWN_KEY = "no_such_key"
# Words that an enum's own check may take beside its members, for null or for a choice made later.
_WORDS_BESIDE = ("auto", "none", "default")


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
        spec = typed(kind, name, hint)
        nested = spec.pop("class", None)
        if nested is not None:
            spec["config"] = nested.__name__
            describe(nested, None, found, doubts)
        limits = hints.bounds(kind, name)
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


def typed(kind: type, name: str, hint: Any) -> dict[str, Any]:
    """What a field's value must be, as `hints.shape` has it, with what the class really takes of null and of a closed set."""
    spec = hints.shape(hint)
    if not spec.get("nullable") and _accepts(kind, name, None):
        spec["nullable"] = True
    _probe_choices(kind, name, hint, spec)
    return spec


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
        resolved = typing.get_type_hints(kind, include_extras=True)
    except Exception:
        # A hint that names what only type checkers import: the unresolved ones count as `any`.
        resolved = {}
    if not dataclasses.is_dataclass(kind):
        for name, info in kind.model_fields.items():  # type: ignore[attr-defined]
            if info.default is PrivateAttr:
                continue
            yield name, resolved.get(name, info.annotation), _default(info)
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
        yield field.name, resolved.get(field.name, field.type), default


def hint_of(kind: type, name: str) -> Any:
    """The type hint of one field; None where there is none."""
    return next((found for field, found, __ in fields(kind) if field == name), None)


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
    keys = {name: "x" for name, __, default in fields(kind) if default is dataclasses.MISSING}
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
        kinds = [part for member in hints.members(hint) for part in (typing.get_args(member) or (member,))]
        enums = [part for part in kinds if isinstance(part, type) and issubclass(part, enum.Enum)]
        words = [word for part in enums for item in part for word in (item.value, item.name)]
        accepted = [word for word in dict.fromkeys(words) if isinstance(word, (str, int)) and accepts(word)]
        spec["type"] = hints.common({type(word) for word in accepted}) if accepted else "any"
        if accepted:
            accepted += [
                word for word in _WORDS_BESIDE if word not in map(str.lower, map(str, accepted)) and accepts(word)
            ]
            spec["choices"] = sorted(accepted, key=lambda word: (isinstance(word, str), word))
    texts = [choice for choice in spec.get("choices", ()) if isinstance(choice, str)]
    cased = [text for text in texts if text.upper() != text.lower()]
    if cased and all(accepts(text.upper()) and accepts(text.lower()) for text in cased):
        dashed = [text.replace("_", "-") for text in texts if "_" in text]
        spec["type"] = "folded" if dashed and all(map(accepts, dashed)) else "caseless"
        # Of spellings that mean the same, one is enough.
        kept = {text.lower(): text for text in reversed(texts)}.values()
        spec["choices"] = [choice for choice in spec["choices"] if choice in kept or not isinstance(choice, str)]
