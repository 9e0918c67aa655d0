"""One number, text or truth value, as the parser of vLLM reads it from a word, or its dataclasses from JSON."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from ansible_collections.baremetal.vllm.plugins.module_utils.text.names import nearest
from ansible_collections.baremetal.vllm.plugins.module_utils.text.safe_values import Wrong, shown
from ansible_collections.baremetal.vllm.plugins.plugin_utils.options.sizes import size

_WHOLE = re.compile(r"[+-]?[0-9]{1,20}")
_NUMBER = re.compile(r"[+-]?([0-9]{1,30}(\.[0-9]{0,30})?|\.[0-9]{1,30})([eE][+-]?[0-9]{1,3})?")
_TRUE, _FALSE = ("true", "yes", "on", "1"), ("false", "no", "off", "0")
# What a value has to be, and how to say so.
WANTED = {
    "str": ("text", "Write text, in quotes where YAML would read something else"),
    "int": ("a whole number", "Write a whole number"),
    "float": ("a number", "Write a number"),
    "bool": ("true or false", "Write true or false"),
    "size": ("a size", "Write a whole number, or one with k, m, g (of 1,000) or K, M, G (of 1,024): 4096, 32k, 25.6k"),
    "size-or-auto": (
        "a size",
        "Write a whole number, one with k, m, g (of 1,000) or K, M, G (of 1,024), or auto: 4096, 32k, auto",
    ),
}
# Texts that vLLM compares without regard to how they are written.
FOLDED: dict[str, Callable[[str], str]] = {
    "caseless": str.lower,
    "folded": lambda text: text.lower().replace("-", "_"),
}
# What other programs call the types of numbers.
_CALLED = {"bf16": "bfloat16", "fp16": "float16", "fp32": "float32"}
_BOUNDS = {"gt": "above", "ge": "at least", "lt": "below", "le": "at most"}


def read_scalar(kind: str, value: Any, release: str, *, word: bool) -> Any:
    """The value that vLLM takes from what is written, or Wrong.

    With `word`, the value stands on a command line, where a number may be written as text; in JSON it may not.
    """
    read = _READERS[kind](value, release, word)
    return _misfit(kind, value, release) if read is None else read


def _misfit(kind: str, value: Any, release: str) -> Wrong:
    wanted, remedy = WANTED[kind]
    if value is None:
        remedy = "Leave it out"
    elif kind == "bool":
        remedy = _truth(value) or remedy
    elif kind == "str" and not isinstance(value, (Mapping, list, tuple)):
        remedy = "Write it in quotes: YAML reads it as something else than text"
    elif kind in ("int", "float") and isinstance(value, str):
        number = size(value, release)
        remedy = remedy if number is None else f"Write {number}"
    elif kind.startswith("size") and isinstance(value, str) and size(value.lower(), release) is not None:
        remedy = f"Write {value.lower()}, or a whole number before the {value[-1:]}"
    elif kind != "float" and isinstance(value, float) and math.isfinite(value) and value.is_integer():
        remedy = f"Write {int(value)}"
    return Wrong(f"{shown(value)} is not {wanted} for vLLM {release}", remedy)


def _truth(value: Any) -> str | None:
    text = str(value).lower() if isinstance(value, str) or value in (0, 1) else ""
    if text in _TRUE or text in _FALSE:
        return f"Write {'true' if text in _TRUE else 'false'}" + (", without quotes" if isinstance(value, str) else "")
    return None


def _int(value: Any, release: str, word: bool) -> int | None:
    if isinstance(value, str):
        return int(value) if word and _WHOLE.fullmatch(value) and abs(int(value)) < 2**64 else None
    return int(value) if isinstance(value, int) and not isinstance(value, bool) and abs(value) < 2**64 else None


def _float(value: Any, release: str, word: bool) -> float | None:
    if isinstance(value, str):
        read = float(value) if word and _NUMBER.fullmatch(value) else math.nan
    elif isinstance(value, float):
        read = value
    else:
        whole = _int(value, release, word)
        read = math.nan if whole is None else float(whole)
    return read if math.isfinite(read) else None


def _str(value: Any, release: str, word: bool) -> str | None:
    return str(value) if isinstance(value, str) else None


def _bool(value: Any, release: str, word: bool) -> bool | None:
    return value if isinstance(value, bool) else None


def _size_or_auto(value: Any, release: str, word: bool) -> int | None:
    if (isinstance(value, str) and value.strip().lower() in ("auto", "-1")) or (value == -1 and isinstance(value, int)):
        return -1
    return size(value, release)


_READERS = {
    "str": _str,
    "int": _int,
    "float": _float,
    "bool": _bool,
    "size": lambda value, release, word: size(value, release),
    "size-or-auto": _size_or_auto,
}


def wrong_choice(value: Any, choices: Iterable[Any], release: str, kind: str = "str") -> Wrong | None:
    """Whether a value is none of a closed set. 1, 1.0 and true are three different things here."""
    known, fold = tuple(choices), FOLDED.get(kind, str)
    if any(_is_same(value, choice, fold) for choice in known):
        return None
    number = next(
        (one for one in known if isinstance(value, str) and not isinstance(one, str) and str(one) == value), None
    )
    remedy = closest(value, known) if number is None else f"Write {number}, without quotes"
    return Wrong(f"{shown(value)} is not a choice of vLLM {release}", remedy)


def _is_same(value: Any, choice: Any, fold: Callable[[str], str]) -> bool:
    if isinstance(value, str) and isinstance(choice, str):
        return fold(value) == fold(choice)
    return bool(value == choice and type(value) is type(choice))


def closest(value: Any, known: Iterable[Any]) -> str:
    """`Did you mean "x"` for the nearest of the known values, else all of them."""
    names = tuple(str(name) for name in _in_order(known))
    called = _CALLED.get(value.lower()) if isinstance(value, str) else None
    near = called if called in names else nearest(value, names) if isinstance(value, str) else None
    return f'Did you mean "{near}"' if near else f"Known are: {', '.join(names)}"


def _in_order(values: Iterable[Any]) -> list[Any]:
    """Numbers by size, names by letter."""
    return sorted(values, key=lambda value: (str(type(value)), value) if isinstance(value, (int, str)) else ("", 0))


def wrong_bounds(number: Any, bounds: Mapping[str, float], release: str, written: Any) -> Wrong | None:
    """Whether a number lies outside of what vLLM checks once it has started."""
    if not bounds or isinstance(number, (bool, str)):
        return None
    inside = (
        number >= bounds.get("ge", -math.inf)
        and number > bounds.get("gt", -math.inf)
        and number <= bounds.get("le", math.inf)
        and number < bounds.get("lt", math.inf)
    )
    if inside:
        return None
    limits = " and ".join(f"{_BOUNDS[name]} {bounds[name]:g}" for name in _BOUNDS if name in bounds)
    return Wrong(f"{shown(written)} is out of bounds for vLLM {release}", f"Write a number that is {limits}")
