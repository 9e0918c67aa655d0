"""Values as the words of a `vllm serve` command line: what is written in the inventory is what the process receives.

vLLM's parser takes each value from one word, or several words for options with a list; it is described by the
catalogue's `arity` and `type` (vllm/engine/arg_utils.py and vllm/entrypoints/openai/cli_args.py, 0.8.5 to 0.33.0).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from ansible_collections.baremetal.vllm.plugins.plugin_utils.options.model import Option, Release

# What is known of options even where the release is not: one JSON list in one word, and one word per occurrence.
_JSON_LISTS = {"allowed-origins", "allowed-methods", "allowed-headers"}
_REPEATED = {"middleware"}


def words(option: str, value: Any, release: Release | None) -> list[str]:
    """The words for one option, by its canonical name; [] where nothing is to be written.

    Raises ValueError or TypeError for values that no JSON can carry.

    >>> words("max-model-len", "32k", None)
    ['--max-model-len', '32k']
    """
    spec = release.options.get(option) if release else None
    if value is None:
        return []
    return _unchecked(option, value) if spec is None else _words(spec, value)


def _words(spec: Option, value: Any) -> list[str]:
    flag = f"--{spec.name}"
    if spec.arity == "flag":
        return [flag] if value else _negative(spec)
    if spec.arity == "optional":
        if value is True and spec.type != "bool":
            return [flag]
        return _one(flag, json.dumps(value) if isinstance(value, bool) else word(value))
    if spec.arity == "list":
        return [flag, *(word(item) for item in _items(value))]
    if spec.arity == "repeated":
        return [part for item in _items(value) for part in _one(flag, word(item))]
    if spec.type == "csv" and isinstance(value, (list, tuple)):
        return _one(flag, ",".join(word(item) for item in value))
    return _one(flag, word(value))


def _unchecked(option: str, value: Any) -> list[str]:
    """For options that the catalogue does not know: true gives `--x`, false `--no-x`, a mapping one JSON text."""
    flag = f"--{option}"
    if isinstance(value, bool):
        return [flag if value else f"--no-{option}"]
    if isinstance(value, (list, tuple)) and option not in _JSON_LISTS:
        if option in _REPEATED:
            return [part for item in value for part in _one(flag, word(item))]
        return [flag, *(word(item) for item in value)] if value else []
    return _one(flag, word(value))


def _negative(spec: Option) -> list[str]:
    """The word that switches a flag off. Options without one are off unless they are given."""
    plain = f"no-{spec.name}"
    if plain in spec.negatives or not spec.negatives:
        return [f"--{plain}"] if spec.negatives else []
    return [f"--{spec.negatives[0]}"]


def _one(flag: str, text: str) -> list[str]:
    # A word that begins with a dash would be taken for another option.
    return [f"{flag}={text}"] if text.startswith("-") else [flag, text]


def _items(value: Any) -> Iterable[Any]:
    return value if isinstance(value, (list, tuple)) else [value]


def word(value: Any) -> str:
    """One value as text: strings as they stand, whole data as JSON, numbers so that they read back as the same number."""
    if isinstance(value, str):
        return str(value)
    if isinstance(value, (bool, Mapping, list, tuple)) or value is None:
        return json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return repr(value) if isinstance(value, float) else str(value)
