"""`args` and `env` of one vLLM release as JSON Schema (draft-07, which YAML language servers read), for editors.

It completes names and values and marks the plain mistakes while one types; the plan stays the judge: sizes, options
that need each other and everything that depends on a host are beyond a schema.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible_collections.baremetal.vllm.plugins.plugin_utils.options.model import (
    UNKNOWN,
    Config,
    Field,
    Option,
    Release,
)

# A value that Ansible computes is text to an editor, whatever it becomes.
TEMPLATE: dict[str, object] = {"type": "string", "pattern": "\\{\\{"}
_NUMBERS: dict[str, list[dict[str, object]]] = {
    "int": [{"type": "integer"}],
    "float": [{"type": "number"}],
    "bool": [{"type": "boolean"}],
    "size": [{"type": "integer"}, {"type": "string", "pattern": "^[0-9]+(\\.[0-9]+)?[kKmMgGtT]?$"}],
    "size-or-auto": [{"type": "integer"}, {"type": "string", "pattern": "^(auto|-1|[0-9]+(\\.[0-9]+)?[kKmMgGtT]?)$"}],
    "str": [{"type": "string"}],
}
_BOUNDS = {"ge": "minimum", "gt": "exclusiveMinimum", "le": "maximum", "lt": "exclusiveMaximum"}


def arguments(release: Release, hidden: Mapping[str, str]) -> dict[str, object]:
    """The schema of `args`: every option with its values. `hidden` are options that the plan writes itself.

    Spellings with `_` and dotted keys are let through unseen: the plan reads them, an editor need not offer them.
    """
    options = {name: _option(option) for name, option in release.options.items() if name not in hidden}
    return {
        "type": ["object", "null"],
        "properties": options,
        "patternProperties": {"[_.]": {}},
        "additionalProperties": False,
    }


def environment(release: Release) -> dict[str, object]:
    """The schema of `env`: the release's own variables by name, any other name beside them."""
    names: dict[str, object] = {}
    for variable in release.environment.values():
        names[variable.name] = {"enum": [*variable.choices]} if variable.choices else {}
    return {"type": ["object", "null"], "properties": names}


def definitions(release: Release) -> dict[str, object]:
    """The dataclasses behind JSON-valued options, by name."""
    return {name: _config(config) for name, config in release.configs.items()}


def _option(option: Option) -> dict[str, object]:
    schema = _value(option.type, option.choices, option.suggestions, option.bounds, option.config)
    if option.arity == "flag":
        schema = {"type": "boolean"}
    elif option.arity in ("list", "repeated") or option.type == "csv":
        schema = {"anyOf": [{"type": "array", "items": schema}, schema]}
    described: dict[str, object] = {"anyOf": [schema, TEMPLATE, {"type": "null"}]}
    if option.default is not UNKNOWN and option.default is not None:
        described["default"] = option.default
    if option.deprecated:
        described["deprecated"] = True
        described["deprecationMessage"] = option.deprecated
    return described


def _config(config: Config) -> dict[str, object]:
    schema: dict[str, object] = {
        "type": "object",
        "properties": {name: _field(field) for name, field in config.fields.items()},
    }
    if config.extra == "refused":
        schema["additionalProperties"] = False
    return schema


def _field(field: Field) -> dict[str, object]:
    schema = _value(field.type, field.choices, None, field.bounds, field.config)
    if field.many:
        schema = {"type": "array", "items": schema}
    return {"anyOf": [schema, TEMPLATE, {"type": "null"}]}


def _value(
    kind: str,
    choices: tuple[Any, ...] | None,
    suggestions: tuple[str, ...] | None,
    bounds: Mapping[str, float],
    config: str | None,
) -> dict[str, object]:
    if choices:
        return {"enum": [*choices]}
    if suggestions:
        return {"anyOf": [{"enum": [*suggestions]}, {"type": "string"}]}
    if config:
        # Text is allowed too: JSON as people copy it from a command line.
        return {"anyOf": [{"$ref": f"#/definitions/{config}"}, {"type": "string"}]}
    forms = _NUMBERS.get(kind)
    if forms is None:
        return {}
    limited = {_BOUNDS[name]: limit for name, limit in bounds.items()}
    forms = [{**form, **limited} if form["type"] in ("integer", "number") else form for form in forms]
    return forms[0] if len(forms) == 1 else {"anyOf": forms}
