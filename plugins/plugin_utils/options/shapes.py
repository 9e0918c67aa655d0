"""Values of more than one number or text: JSON, adapters, pairs and lists in one word."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from ansible_collections.baremetal.vllm.plugins.module_utils.text.safe_values import Wrong, shown, wrong_data
from ansible_collections.baremetal.vllm.plugins.plugin_utils.options.jsontext import read_json
from ansible_collections.baremetal.vllm.plugins.plugin_utils.options.model import Option

_PAIR = re.compile(r"[^=,\s]+=[0-9]+(,[^=,\s]+=[0-9]+)*")


def wrong_shape(spec: Option, value: Any, release: str) -> Wrong | None:
    """Why `value` is none that `spec` takes. For types in SHAPED, and for dictionaries and lists given to any other."""
    return SHAPED.get(spec.type, _no_data)(spec, value, release)


def _no_data(spec: Option, value: Any, release: str) -> Wrong:
    return Wrong(f"{shown(value)} is not one value for vLLM {release}", "Write one value")


def is_list(spec: Option) -> bool:
    """Whether a JSON option holds a list: those that do have one as their default."""
    return isinstance(spec.default, (list, tuple))


def _wrong_json(spec: Option, value: Any, release: str) -> Wrong | None:
    if isinstance(value, (list, tuple) if is_list(spec) else Mapping):
        return None
    name, example = ("list", "[a, b]") if is_list(spec) else ("dictionary", "{key: value}")
    return Wrong(f"{shown(value)} is not a {name} for vLLM {release}", f"Write a {name}: {example}")


def _wrong_json_or_text(spec: Option, value: Any, release: str) -> Wrong | None:
    if isinstance(value, str) and value.lstrip().startswith("{"):
        value = read_json(value)
    if isinstance(value, Wrong):
        return value
    if isinstance(value, (str, Mapping)):
        return None
    return Wrong(f"{shown(value)} is neither a dictionary nor text for vLLM {release}", "Write a dictionary or text")


def _wrong_pairs(spec: Option, value: Any, release: str) -> Wrong | None:
    if isinstance(value, str) and _PAIR.fullmatch(value):
        return None
    data = read_json(value) if isinstance(value, str) and value.lstrip().startswith("{") else value
    return data if isinstance(data, Wrong) else _wrong_json(spec, data, release)


def _wrong_adapter(spec: Option, value: Any, release: str) -> Wrong | None:
    """LoRAParserAction: `name=path` without a comma, else a JSON object (vllm/entrypoints/openai/cli_args.py)."""
    example = "Write `name=/path`, or `{name: NAME, path: /path}`"
    if isinstance(value, Mapping) and spec.type == "lora":
        missing = [key for key in ("name", "path") if not isinstance(value.get(key), str)]
        return (
            Wrong(f"an adapter has no {missing[0]} as vLLM {release} wants one", example)
            if missing
            else wrong_data(value)
        )
    if isinstance(value, str):
        name, sign, path = value.partition("=")
        if name and sign and path and not value.lstrip().startswith("{") and "," not in value:
            return None
        if value.lstrip().startswith("{") and spec.type == "lora":
            data = read_json(value)
            return data if isinstance(data, Wrong) else _wrong_adapter(spec, data, release)
    return Wrong(f"{shown(value)} is not an adapter for vLLM {release}", example)


def _wrong_csv(spec: Option, value: Any, release: str) -> Wrong | None:
    items = value if isinstance(value, (list, tuple)) else [value]
    if items and all(isinstance(i, (str, int)) and not isinstance(i, bool) and str(i) for i in items):
        return None
    return Wrong(f"{shown(value)} is not a list of names or numbers for vLLM {release}", "Write a list: [0, 1]")


SHAPED = {
    "json": _wrong_json,
    "config": _wrong_json,
    "json-or-str": _wrong_json_or_text,
    "kvs": _wrong_pairs,
    "lora": _wrong_adapter,
    "name=path": _wrong_adapter,
    "csv": _wrong_csv,
}
