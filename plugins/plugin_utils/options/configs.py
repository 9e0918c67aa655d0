"""JSON values: read from text or YAML, and their keys checked against the dataclass that vLLM makes of them.

vLLM takes one JSON text per option (vllm/engine/arg_utils.py, `get_kwargs`). Up to 0.15 it passes over unknown keys of
some of them without a word; here they are always refused, for what was written would have no effect.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible_collections.baremetal.vllm.plugins.module_utils.text.names import nearest, numbers
from ansible_collections.baremetal.vllm.plugins.module_utils.text.problems import Problems
from ansible_collections.baremetal.vllm.plugins.module_utils.text.safe_values import Wrong, shown
from ansible_collections.baremetal.vllm.plugins.plugin_utils.options.advice import on_option
from ansible_collections.baremetal.vllm.plugins.plugin_utils.options.model import Config, Field, Release
from ansible_collections.baremetal.vllm.plugins.plugin_utils.options.scalars import (
    WANTED,
    closest,
    read_scalar,
    wrong_bounds,
    wrong_choice,
)

# Dataclasses that vLLM also makes from a name (vllm/config/quantization.py: QuantizationConfigArgs._coerce_spec).
_NAMED = ("QuantSpec", "QuantKey")
# Dataclasses whose lists may be one text with commas (vllm/config/kernel.py: a validator "before", 0.20.0 to 0.33.0).
_COMMAS = ("IrOpPriorityConfig",)
# From here on vLLM's dataclasses are pydantic's, which read numbers and truth values from text; before, text stays text.
_LAX = "0.9.1"


def check_config(at: str, name: str, config: Config, value: Any, release: Release, problems: Problems) -> bool:
    """Whether every key of `value`, a mapping, is one that vLLM reads, with a value that it takes.

    `at` is the place as the operator wrote it, `name` the same by canonical names ("compilation-config.pass_config").
    """
    missing = [key for key, field in config.fields.items() if field.required and key not in value]
    for key in missing:
        problems.add(f"{at}.{key}", f"is missing, and vLLM {release.version} needs it", f"Write a value for `{key}`")
    good = not missing
    for key, item in value.items():
        item = item.replace(" ", "").split(",") if config.name in _COMMAS and isinstance(item, str) else item
        field = config.fields.get(key)
        if field is not None:
            good &= _check_field(f"{at}.{key}", f"{name}.{key}", field, item, release, problems)
            good &= _is_registered(f"{at}.{key}", field, value, release, problems)
        elif config.extra != "allowed":
            remedy = on_option(f"{name}.{key.replace('-', '_')}", item, release.version) or _instead(key, config)
            problems.add(f"{at}.{key}", f"is not a key that vLLM {release.version} knows here", remedy)
            good = False
    return good


def _is_registered(at: str, field: Field, beside: Mapping[str, object], release: Release, problems: Problems) -> bool:
    """Whether a name stands in vLLM's registry, or a module that brings it is named beside it.

    Source: vllm/distributed/kv_transfer/kv_connector/factory.py (get_connector_class), the same for ec_connector.
    """
    value, module = beside[field.name], f"{field.name}_module_path"
    if not field.suggestions or not isinstance(value, str) or value in field.suggestions or beside.get(module):
        return True
    brought = f"; one of your own needs `{module}` beside it" if release.version != "0.8.5" else ""
    problems.add(
        at, f"{shown(value)} is not known to vLLM {release.version}", f"{closest(value, field.suggestions)}{brought}"
    )
    return False


def _instead(key: str, config: Config) -> str:
    near = nearest(key.replace("-", "_"), tuple(sorted(config.fields)))
    return f'Did you mean "{near}"' if near else f"Known are: {', '.join(sorted(config.fields))}"


def _check_field(at: str, name: str, field: Field, value: Any, release: Release, problems: Problems) -> bool:
    if field.deprecated:
        problems.warn(at, *deprecated(field.deprecated, release))
    if value is None:
        if not field.nullable and field.type != "any":
            problems.add(at, f"null is not a value for vLLM {release.version}", "Leave the key out")
        return field.nullable or field.type == "any"
    if not field.many:
        return _check_item(at, name, field, value, release, problems)
    if not isinstance(value, (list, tuple)):
        problems.add(at, f"{shown(value)} is not a list for vLLM {release.version}", "Write a list")
        return False
    good = [_check_item(f"{at}[{i}]", name, field, item, release, problems) for i, item in enumerate(value)]
    return all(good)


def deprecated(fact: str, release: Release) -> Wrong:
    """The warning for an option, or a key of one, that vLLM itself warns of. `fact` is the catalogue's."""
    return Wrong(f"is deprecated in vLLM {release.version} ({fact})", "`migrate.yml` says what takes its place")


def _check_item(at: str, name: str, field: Field, value: Any, release: Release, problems: Problems) -> bool:
    if field.type in ("config", "dict"):
        if isinstance(value, str) and field.config in _NAMED:
            return True
        if not isinstance(value, Mapping):
            problems.add(
                at, f"{shown(value)} is not a dictionary for vLLM {release.version}", "Write `key: value` pairs"
            )
            return False
        config = release.configs.get(field.config or "")
        return config is None or check_config(at, name, config, value, release, problems)
    wrong = _wrong_item(field, value, release.version)
    if wrong is None:
        return True
    read = _read_from_text(field, value, release.version)
    if read is None:
        problems.add(at, *wrong)
        return False
    written = shown(read)
    problems.warn(at, f"is text, and vLLM {release.version} reads it as {written}", f"Write {written}, without quotes")
    return True


def _read_from_text(field: Field, value: Any, release: str) -> bool | int | float | None:
    """The number or truth value that pydantic makes of a text, None where it makes none (its "lax mode")."""
    if not isinstance(value, str) or field.choices is not None or numbers(release) < numbers(_LAX):
        return None
    if field.type == "bool":
        return {"true": True, "false": False}.get(value.lower())
    read = read_scalar(field.type, value, release, word=True) if field.type in ("int", "float") else None
    number = isinstance(read, (int, float)) and wrong_bounds(read, field.bounds, release, value) is None
    return read if number else None


def _wrong_item(field: Field, value: Any, release: str) -> Wrong | None:
    if field.choices is not None:
        # Types first, where there is one: "3" for a choice among numbers is a matter of quotes.
        read = read_scalar(field.type, value, release, word=False) if field.type in WANTED else value
        return read if isinstance(read, Wrong) else wrong_choice(read, field.choices, release, field.type)
    if field.type not in WANTED:
        return None
    read = read_scalar(field.type, value, release, word=False)
    return read if isinstance(read, Wrong) else wrong_bounds(read, field.bounds, release, value)
