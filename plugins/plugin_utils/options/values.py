"""Whether the value of one option is one that `vllm serve` of exactly this release reads as it is meant."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ansible_collections.baremetal.vllm.plugins.module_utils.text.problems import Problems
from ansible_collections.baremetal.vllm.plugins.module_utils.text.safe_values import (
    Wrong,
    shown,
    wrong_data,
    wrong_word,
)
from ansible_collections.baremetal.vllm.plugins.plugin_utils.options.advice import on_value
from ansible_collections.baremetal.vllm.plugins.plugin_utils.options.configs import check_config
from ansible_collections.baremetal.vllm.plugins.plugin_utils.options.jsontext import as_mapping, read_json
from ansible_collections.baremetal.vllm.plugins.plugin_utils.options.model import Option, Release
from ansible_collections.baremetal.vllm.plugins.plugin_utils.options.scalars import (
    FOLDED,
    closest,
    read_scalar,
    wrong_bounds,
    wrong_choice,
)
from ansible_collections.baremetal.vllm.plugins.plugin_utils.options.shapes import SHAPED, is_list, wrong_shape
from ansible_collections.baremetal.vllm.plugins.plugin_utils.options.words import word, words

# Types whose values are JSON.
_JSON = ("json", "config")
# What vLLM's `optional_type` takes for None (vllm/engine/arg_utils.py).
_NOTHING = ("", "None")
_DASHED = Wrong("has an item that begins with a dash, which would be read as an option", "Write it another way")
_ENDS = Wrong("is the word that ends all options", "Write another value")


def check_value(
    at: str, spec: Option, value: Any, further: Iterable[Any], release: Release, problems: Problems
) -> bool:
    """Whether `value` fits `spec`; `further` are choices that plug-ins add. Everything that does not becomes a problem."""
    data = value
    if spec.nullable and isinstance(value, str) and value in _NOTHING:
        problems.add(at, f"{shown(value)} is read as nothing at all by vLLM {release.version}", "Leave the option out")
        return False
    if spec.type in _JSON or (spec.type in ("json-or-str", "kvs") and not isinstance(value, str)):
        data = read_json(value, "list" if is_list(spec) else "dictionary")
        if isinstance(data, Wrong):
            problems.add(at, *data)
            return False
    wrong = _wrong_value(spec, data, tuple(further), release.version)
    if wrong is not None:
        problems.add(at, wrong.reason, on_value(spec.name, value, release.version) or wrong.remedy)
        return False
    config = release.configs.get(spec.config or "")
    if config is None:
        return True
    if isinstance(data, Mapping):
        return check_config(at, spec.name, config, data, release, problems)
    # Adapters: those that are written as `name=path` have no keys.
    items = [(i, as_mapping(item)) for i, item in enumerate(data if isinstance(data, (list, tuple)) else [data])]
    good = [check_config(f"{at}[{i}]", spec.name, config, item, release, problems) for i, item in items if item]
    return all(good)


def _wrong_value(spec: Option, value: Any, further: tuple[Any, ...], release: str) -> Wrong | None:
    if spec.arity in ("list", "repeated"):
        return _wrong_list(spec, value, further, release)
    if spec.arity == "flag":
        return _wrong_flag(spec, value, release)
    if spec.arity == "optional" and isinstance(value, bool):
        if value or spec.type == "bool":
            return None
        return Wrong(f"false cannot be said to vLLM {release}", "Leave the option out")
    return _wrong_one(spec, value, further, release)


def _wrong_flag(spec: Option, value: Any, release: str) -> Wrong | None:
    if value is False and not spec.negatives and spec.default is True:
        return Wrong(f"vLLM {release} has no way to switch it off", "Leave the option out")
    read = read_scalar("bool", value, release, word=True)
    return read if isinstance(read, Wrong) else None


def _wrong_list(spec: Option, value: Any, further: tuple[Any, ...], release: str) -> Wrong | None:
    if isinstance(value, Mapping) and spec.type != "lora":
        return Wrong(f"a dictionary is not a list for vLLM {release}", "Write a list: [a, b]")
    if not isinstance(value, (list, tuple)):
        if isinstance(value, str) and len(value.split()) > 1:
            return Wrong("is one text with blanks, where vLLM takes several values", "Write a list: [a, b]")
        value = [value]
    if not value:
        return Wrong(f"an empty list is no value for vLLM {release}", "Leave the option out")
    for item in value:
        wrong = _wrong_one(spec, item, further, release)
        if wrong is not None:
            return wrong
        if spec.arity == "list" and word(item).startswith("-"):
            return _DASHED
    return None


def _wrong_one(spec: Option, value: Any, further: tuple[Any, ...], release: str) -> Wrong | None:
    """One word's worth of value."""
    if isinstance(value, (Mapping, list, tuple)) or spec.type in SHAPED:
        return wrong_shape(spec, value, release)
    kind = "str" if spec.type in FOLDED else spec.type
    # Text to the parser, that vLLM makes a number of: its default is one.
    if kind == "str" and _is_whole(spec.default) and _is_whole(value):
        kind = "int"
    read = read_scalar(kind, value, release, word=True)
    if isinstance(read, Wrong):
        return read
    if value in further or (spec.choices is None and spec.suggestions is None):
        return wrong_bounds(read, spec.bounds, release, value)
    if spec.choices is not None:
        return wrong_choice(read, spec.choices, release, spec.type)
    return _wrong_suggestion(spec, read, release)


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _wrong_suggestion(spec: Option, value: Any, release: str) -> Wrong | None:
    known = spec.suggestions or ()
    fold = FOLDED.get(spec.type, str)
    if fold(str(value)) in {fold(name) for name in known}:
        return None
    plugin = f"a name that a plug-in adds belongs into `vllm_extra_choices.{spec.name}`"
    return Wrong(f"{shown(value)} is not known to vLLM {release}", f"{closest(value, known)}; {plugin}")


def check_words(at: str, option: str, value: Any, release: Release | None, problems: Problems) -> bool:
    """Whether the value can stand on a command line and in a unit file at all, whatever the option."""
    if isinstance(value, (bool, int)) and abs(value) < 2**64:
        return True
    wrong = _ENDS if value == "--" else None if isinstance(value, str) else wrong_data(value)
    if wrong is None:
        wrong = next((found for found in map(wrong_word, words(option, value, release)) if found), None)
    # Where the release is known, this was found with the option's own kind of list.
    if wrong is None and release is None and isinstance(value, (list, tuple)):
        wrong = _DASHED if any(word(item).startswith("-") for item in value) else None
    if wrong is not None:
        problems.add(at, *wrong)
    return wrong is None
