"""What the options of a model lay over its config.json."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from ansible_collections.baremetal.vllm.plugins.module_utils.text.names import normal
from ansible_collections.baremetal.vllm.plugins.module_utils.text.safe_values import Wrong
from ansible_collections.baremetal.vllm.plugins.module_utils.text.values import Values
from ansible_collections.baremetal.vllm.plugins.plugin_utils.options.jsontext import read_json

# Options of their own up to 0.11.0, laid over the config as hf-overrides are (ModelConfig.__post_init__, vllm/config/model.py).
_KEYS = {"rope-scaling": "rope_scaling", "rope-theta": "rope_theta"}


def overrides_of(args: Values) -> Any:
    """`hf-overrides`, whole or by dotted keys, with `rope-scaling` and `rope-theta` over it; None where there is none of them.

    Options may be spelled as the operator wrote them; a value that cannot be read stays as it is.
    """
    whole: Any = None
    laid: dict[str, object] = {}
    for raw, value in args.items():
        option, __, path = normal(str(raw)).partition(".")
        # An empty rope-scaling is as good as none to vLLM.
        if (
            value is None
            or (option in _KEYS and value in ({}, "{}"))
            or (option not in _KEYS and option != "hf-overrides")
        ):
            continue
        if option in _KEYS:
            _lay(laid, [_KEYS[option], *filter(None, path.split("."))], value)
        elif path:
            _lay(laid, path.split("."), value)
        else:
            whole = value
    if not laid:
        return whole
    given = read_json(whole) if isinstance(whole, str) else whole
    return {**given, **laid} if isinstance(given, Mapping) else laid


def canonical(overrides: Any) -> str:
    """Overrides as one text, however they were written; "" where there are none."""
    if isinstance(overrides, str):
        try:
            overrides = json.loads(overrides)
        except (ValueError, RecursionError):
            return f"not JSON: {overrides}"
    try:
        return json.dumps(overrides, sort_keys=True) if overrides else ""
    except (TypeError, ValueError, RecursionError):
        return repr(overrides)


def _lay(tree: dict[str, object], keys: list[str], value: Any) -> None:
    data = read_json(value) if isinstance(value, str) and value.lstrip()[:1] == "{" else value
    for key in keys[:-1]:
        inner = tree.setdefault(key, {})
        if not isinstance(inner, dict):
            # Given twice: the check of the options says so.
            return
        tree = inner
    tree[keys[-1]] = value if isinstance(data, Wrong) else data
