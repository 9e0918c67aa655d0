"""Which rule of a fate fits a value on its way to a release, and what it makes of the value."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from ansible_collections.baremetal.vllm.plugins.plugin_utils.options.fates import Fate, FateRule
from ansible_collections.baremetal.vllm.plugins.plugin_utils.options.known import Path, data
from ansible_collections.baremetal.vllm.plugins.plugin_utils.options.spans import within

_PAIR = re.compile(r"\s*([^=,\s]+)\s*=\s*([0-9]+)\s*")


class Unmade(Exception):
    """A value that a rule cannot be applied to."""


def fitting(fate: Fate, value: Any, to: str, came_from: str | None) -> tuple[Fate, FateRule] | None:
    """The first rule that fits, with the fate it belongs to: that of the value before that of its option."""
    of_value = None if isinstance(value, (Mapping, list, tuple)) else fate.values.get(value)
    for own in (of_value, fate):
        for rule in own.becomes if own is not None else ():
            if within(to, rule.into) and _from(came_from, rule) and _holds(rule.when, value):
                return own or fate, rule
    return None


def _from(came_from: str | None, rule: FateRule) -> bool:
    return came_from is None or within(came_from, rule.origin)


def _holds(when: tuple[Any, ...] | str | None, value: Any) -> bool:
    if when is None:
        return True
    if isinstance(when, tuple):
        # True is no 1 here, as it is none in YAML.
        return any(value == known and isinstance(value, bool) == isinstance(known, bool) for known in when)
    return _FORMS[when](data(value))


def _is_number(value: Any) -> bool:
    return not isinstance(value, bool) and (isinstance(value, int) or (isinstance(value, str) and value.isdigit()))


_FORMS: dict[str, Callable[[Any], bool]] = {
    "mapping": lambda value: isinstance(value, Mapping),
    "text": lambda value: isinstance(value, str),
    "number": _is_number,
    "one": lambda value: not isinstance(value, (list, tuple)) or len(value) == 1,
    "many": lambda value: isinstance(value, (list, tuple)) and len(value) > 1,
}


def made(rule: FateRule, value: Any) -> list[tuple[Path, Any]]:
    """Path and value of everything that the rule writes. Raises Unmade where the value does not let it."""
    return [(tuple(path.split(".")), _made(new, value)) for path, new in rule.write.items()]


def _made(new: Any, value: Any) -> Any:
    if not isinstance(new, str) or not new.startswith("="):
        return new
    if new == "=":
        return data(value)
    if new not in _MAKERS:
        raise Unmade(f"{new} is no way to make a value")
    return _MAKERS[new](data(value))


def _first(value: Any) -> Any:
    return value[0] if isinstance(value, (list, tuple)) else value


def _number(value: Any) -> Any:
    """Numbers as text are what environments and short options hold."""
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return value
    if isinstance(value, str) and re.fullmatch(r"-?[0-9]+(\.[0-9]+)?", value):
        return float(value) if "." in value else int(value)
    raise Unmade(f"{value!r} is no number")


def _inverse(value: Any) -> float:
    number = _number(value)
    if number == 0:
        raise Unmade("nothing can be divided by 0")
    return float(1 / number)


def pairs(value: Any) -> dict[str, int]:
    """`image=16,video=2`, as vLLM read it up to 0.9.2 (nullable_kvs in vllm/engine/arg_utils.py).

    Raises Unmade: where an item is no name=number.
    """
    found = [_PAIR.fullmatch(item) for item in str(value).split(",")]
    if not all(found):
        raise Unmade(f"{value!r} has items that are no name=number")
    return {pair[1].lower(): int(pair[2]) for pair in found if pair}


def _switch(value: Any) -> bool:
    """A variable that is 0 or 1, or said in words."""
    text = str(value).strip().lower()
    if text not in ("0", "1", "true", "false", "yes", "no", "on", "off"):
        raise Unmade(f"{value!r} is neither 1 nor 0")
    return text in ("1", "true", "yes", "on")


_MAKERS = {
    "=first": _first,
    "=number": _number,
    "=inverse": _inverse,
    "=pairs": pairs,
    "=switch": _switch,
}
