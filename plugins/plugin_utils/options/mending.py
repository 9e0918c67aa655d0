"""Numbers and truth values written as text within a JSON option, as vLLM's dataclasses read them.

They are pydantic's, which is lax: the parser of 0.11.0 makes 1000 and False of `{"window_size": "1000",
"log_balancedness": "False"}`. A model entry says them as what they are.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible_collections.baremetal.vllm.plugins.module_utils.text.names import normal
from ansible_collections.baremetal.vllm.plugins.module_utils.text.safe_values import Wrong
from ansible_collections.baremetal.vllm.plugins.module_utils.text.values import Values
from ansible_collections.baremetal.vllm.plugins.plugin_utils.options import load
from ansible_collections.baremetal.vllm.plugins.plugin_utils.options.known import Path, data, find
from ansible_collections.baremetal.vllm.plugins.plugin_utils.options.model import Config, Field, Release
from ansible_collections.baremetal.vllm.plugins.plugin_utils.options.scalars import read_scalar

# What pydantic takes for a truth value, in lower case, beside true and false themselves.
_TRUTH = {
    **dict.fromkeys(("true", "1", "yes", "on", "t", "y"), True),
    **dict.fromkeys(("false", "0", "no", "off", "f", "n"), False),
}


def mended(path: Path, value: Any, release: Release) -> Any:
    """The value of an option, or of a key of one, that `release` reads from what is written."""
    spec = find(release, path[0])
    config = _named(spec.config if spec else None, release)
    for key in path[1:-1]:
        field = _field(config, key) if config else None
        config = _named(field.config if field else None, release)
    if config is None:
        return value
    if len(path) > 1:
        return _item(_field(config, path[-1]), value, release)
    inside = data(value)
    if not isinstance(inside, Mapping):
        return value
    found = _mapping(config, inside, release)
    # JSON text stays text where nothing in it is to be mended. 1 and true are equal, their spellings are not.
    return value if repr(found) == repr(dict(inside)) else found


def mended_args(args: Values, release: Release) -> dict[str, object]:
    """The same for every option, under the operator's own spellings."""
    return {raw: mended(tuple(normal(raw).split(".")), value, release) for raw, value in args.items()}


def _named(config: str | None, release: Release) -> Config | None:
    return release.configs.get(config) if config else None


def _field(config: Config, key: str) -> Field | None:
    """A key's field; of what type it is, the newest release says where this one skips the validation.

    So it is with num_speculative_tokens from 0.9.1 to 0.11.0, which are a number all the same (vllm/config.py,
    SkipValidation[int]).
    """
    field = config.fields.get(key)
    if field is None or field.type != "any":
        return field
    newest = load.release(load.releases()[-1])
    later = newest.configs.get(config.name) if newest else None
    return later.fields.get(key, field) if later else field


def _mapping(config: Config, value: Mapping[str, object], release: Release) -> dict[str, object]:
    return {key: _item(_field(config, key), item, release) for key, item in value.items()}


def _item(field: Field | None, item: Any, release: Release) -> Any:
    if field is None:
        return item
    inner = _named(field.config, release)
    if inner is not None and isinstance(item, Mapping):
        return _mapping(inner, item, release)
    if field.choices is not None:
        # The number that a text is one of: it, too, is read from words (`--compilation-config.mode 3`).
        numbers = [choice for choice in field.choices if not isinstance(choice, str)]
        return next((number for number in numbers if isinstance(item, str) and str(number) == item), item)
    if field.many:
        return item
    if field.type == "bool" and isinstance(item, (str, int)):
        return _TRUTH.get(str(item).lower(), item)
    if field.type in ("int", "float") and isinstance(item, str):
        number = read_scalar(field.type, item, release.version, word=True)
        return item if isinstance(number, Wrong) else number
    return item
