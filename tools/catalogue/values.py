"""What a parser's conversion function accepts, found out by giving it words: this outlasts the renaming of functions."""

from __future__ import annotations

import dataclasses
import enum
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from ansible_collections.baremetal.vllm.tools.catalogue.inert import is_stand_in

COMPUTED = object()
_FAILED = object()


class Kind(NamedTuple):
    """The type of a word, by its name in `plugin_utils/options/model.py`; `config` is the dataclass it becomes."""

    name: str
    nullable: bool = False
    config: type | None = None


def _give(convert: Callable[[str], Any], word: str) -> Any:
    try:
        return convert(word)
    # Conversion functions fail in their own ways: argparse, pydantic, json, int().
    except Exception:
        return _FAILED


def kind_of(convert: Callable[[str], Any] | None) -> Kind:
    """The kind of words that `convert` reads; None stands for no conversion, as in argparse."""
    if convert is None:
        return Kind("str")
    nullable = _give(convert, "None") is None
    config = _config_of(convert)
    return Kind("config", nullable, config) if config else Kind(_scalar_of(convert), nullable)


def _scalar_of(convert: Callable[[str], Any]) -> str:
    plain, mapping = _give(convert, "x"), _give(convert, '{"x": 1}')
    if mapping == {"x": 1}:
        if plain == "x":
            return "json-or-str"
        return "kvs" if _give(convert, "x=1") == {"x": 1} else "json"
    if _give(convert, "1.5k") == 1500:
        return "size-or-auto" if _give(convert, "auto") == -1 else "size"
    if plain is _FAILED:
        if _give(convert, "1.5") == 1.5:
            return "float"
        if _give(convert, "12") == 12:
            return "int"
        if _give(convert, "true") is True:
            return "bool"
    if plain is True:
        return "bool"
    if isinstance(_give(convert, "1,2"), (list, tuple)):
        return "csv"
    return "folded" if _give(convert, "X-x") == "x_x" else "str"


def _config_of(convert: Callable[[str], Any]) -> type | None:
    made = _give(convert, "{}")
    if is_config(type(made)):
        return type(made)
    # One with keys that must be there cannot be made from nothing: look what the function was made with.
    bound = getattr(convert, "__self__", None)
    cells = [
        cell.cell_contents for cell in getattr(convert, "__closure__", None) or () if cell.cell_contents is not convert
    ]
    for held in (bound, *(getattr(convert, "__defaults__", None) or ()), *cells):
        if isinstance(held, type) and is_config(held):
            return held
        if callable(held) and not isinstance(held, type):
            inner = _config_of(held)
            if inner:
                return inner
    return None


def is_config(kind: Any) -> bool:
    """Whether this is a class with described fields: a dataclass, or a model of pydantic."""
    if not isinstance(kind, type) or is_stand_in(kind):
        return False
    return dataclasses.is_dataclass(kind) or hasattr(kind, "model_fields")


def plain(value: Any) -> Any:
    """A default as JSON can carry it, or COMPUTED."""
    if value is None or (isinstance(value, (bool, int, str)) and not isinstance(value, enum.Enum)):
        return value
    if isinstance(value, float):
        return value if value - value == 0 else COMPUTED
    if isinstance(value, enum.Enum):
        return plain(value.value) if isinstance(value.value, (int, str)) else value.name
    if is_stand_in(value):
        return COMPUTED
    if is_config(type(value)):
        # Its fields' own defaults.
        return {}
    if isinstance(value, Mapping):
        items = {key: plain(item) for key, item in value.items()}
        return COMPUTED if COMPUTED in items.values() or not all(isinstance(key, str) for key in items) else items
    if isinstance(value, (list, tuple, set, frozenset)):
        members = [plain(item) for item in (sorted(value) if isinstance(value, (set, frozenset)) else value)]
        return COMPUTED if any(item is COMPUTED for item in members) else members
    return COMPUTED
