"""What plug-ins add to vLLM, as the inventory declares it: `vllm_extra_options`, `vllm_extra_choices`, `vllm_extra_env`."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypedDict, cast

from ansible_collections.baremetal.vllm.plugins.module_utils.text.names import is_name, normal
from ansible_collections.baremetal.vllm.plugins.module_utils.text.problems import Problems, did_you_mean
from ansible_collections.baremetal.vllm.plugins.module_utils.text.safe_values import shown
from ansible_collections.baremetal.vllm.plugins.plugin_utils.options.model import Option

_TYPES = ("str", "int", "float", "bool", "size", "json")
_KEYS = ("type", "choices", "list")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


class PluginOption(TypedDict, total=False):
    """What the operator says of an option of a plug-in: its `type`, its `choices`, and whether it takes a `list` of them."""

    type: str
    choices: Sequence[Any]
    list: bool


@dataclass(frozen=True)
class Extras:
    """Options, choices and variables of plug-ins.

    `options`: name to `{"type": "int", "choices": [1, 2], "list": True}`, where {} takes any value; `choices`: option
    to further values; `environment`: names of variables.
    """

    options: Mapping[str, PluginOption] = field(default_factory=dict)
    choices: Mapping[str, tuple[Any, ...]] = field(default_factory=dict)
    environment: tuple[str, ...] = ()


NO_EXTRAS = Extras()


def read_extras(options: Any, choices: Any, environment: Any, problems: Problems) -> Extras:
    """The three variables of the inventory, each None where it is not set; whatever is wrong with them becomes a problem."""
    return Extras(
        options=_read_options(options, problems),
        choices=_read_choices(choices, problems),
        environment=_read_environment(environment, problems),
    )


def declared(name: str, spec: PluginOption) -> Option | None:
    """The option that a declaration describes; None where anything goes."""
    if not spec:
        return None
    kind = spec.get("type", "str")
    arity = "list" if spec.get("list") else "flag" if kind == "bool" else "value"
    choices = tuple(spec["choices"]) if "choices" in spec else None
    return Option(name, arity=arity, type=kind, choices=choices, negatives=(f"no-{name}",) if arity == "flag" else ())


def _read_options(value: Any, problems: Problems) -> dict[str, PluginOption]:
    at = "vllm_extra_options"
    read: dict[str, PluginOption] = {}
    for name, spec in _pairs(at, value, "`my-option: {type: int}`", problems):
        spec = {} if spec is None else spec
        if not isinstance(spec, Mapping):
            problems.add(
                f"{at}.{name}", f"{shown(spec)} is not a dictionary", "Write `{type: int}`, or {} for any value"
            )
        elif _is_spec(f"{at}.{name}", spec, problems):
            read[normal(name)] = cast(PluginOption, dict(spec))
    return read


def _is_spec(at: str, spec: Mapping[Any, Any], problems: Problems) -> bool:
    unknown = [str(key) for key in spec if key not in _KEYS]
    for key in unknown:
        problems.add(f"{at}.{key}", "is not a known key", did_you_mean(key, _KEYS))
    kind, choices = spec.get("type", "str"), spec.get("choices", [])
    known, listed = kind in _TYPES, isinstance(choices, (list, tuple))
    if not known:
        problems.add(f"{at}.type", f"{shown(kind)} is not a type", did_you_mean(str(kind), _TYPES))
    if not listed:
        problems.add(f"{at}.choices", f"{shown(choices)} is not a list", "Write a list of values")
    if not isinstance(spec.get("list", False), bool):
        problems.add(f"{at}.list", f"{shown(spec['list'])} is not true or false", "Write true or false")
        return False
    return known and listed and not unknown


def _read_choices(value: Any, problems: Problems) -> dict[str, tuple[Any, ...]]:
    at, read = "vllm_extra_choices", {}
    for name, choices in _pairs(at, value, "`tool-call-parser: [my_parser]`", problems):
        if isinstance(choices, (list, tuple)) and all(isinstance(choice, (str, int)) for choice in choices):
            read[normal(name)] = tuple(choices)
        else:
            problems.add(f"{at}.{name}", f"{shown(choices)} is not a list of names", "Write a list: [my_parser]")
    return read


def _read_environment(value: Any, problems: Problems) -> tuple[str, ...]:
    if value is None:
        return ()
    if isinstance(value, (list, tuple)) and all(isinstance(v, str) and _VARIABLE.fullmatch(v) for v in value):
        return tuple(str(name) for name in value)
    problems.add(
        "vllm_extra_env", f"{shown(value)} is not a list of names of variables", "Write a list: [VLLM_MY_PLUGIN]"
    )
    return ()


def _pairs(at: str, value: Any, example: str, problems: Problems) -> list[tuple[str, Any]]:
    if value is None:
        return []
    if not isinstance(value, Mapping):
        problems.add(at, f"{shown(value)} is not a dictionary", f"Write {example} pairs below it")
        return []
    for name in value:
        if not isinstance(name, str) or not is_name(normal(name)) or "." in name:
            problems.add(f"{at}.{name}", "is not the name of a long option", f"Write {example}")
    return [(name, item) for name, item in value.items() if isinstance(name, str) and is_name(normal(name))]
