"""A word of a command line as the value that a person would write in YAML."""

from __future__ import annotations

import json
import re
from typing import Any

from ansible_collections.baremetal.vllm.plugins.plugin_utils.options.model import Option
from ansible_collections.baremetal.vllm.plugins.plugin_utils.options.rules import Unmade, pairs


def typed(text: str, spec: Option) -> Any:
    """What a person would write in YAML for this word."""
    kind = spec.type
    if kind in ("json", "config", "lora") or (kind in ("json-or-str", "kvs") and text.strip()[:1] == "{"):
        return _json(text)
    if kind in ("int", "size", "size-or-auto") and re.fullmatch(r"[+-]?[0-9]+", text):
        return int(text)
    if kind == "float" and re.fullmatch(r"[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]+)?", text):
        return float(text) if re.search(r"[.eE]", text) else int(text)
    if kind == "bool" and text.lower() in ("true", "false"):
        return text.lower() == "true"
    if kind == "csv":
        return [int(part) if part.isdigit() else part for part in text.split(",")]
    if kind == "kvs":
        try:
            return pairs(text)
        except Unmade:
            return text
    return text


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text
