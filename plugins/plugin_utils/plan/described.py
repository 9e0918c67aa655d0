"""Every variable of this collection as JSON Schema, from the argument specifications that say what it is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import TypedDict

from ansible_collections.baremetal.vllm.plugins.plugin_utils.options.schema import TEMPLATE
from ansible_collections.baremetal.vllm.plugins.plugin_utils.places import ROOT, read_yaml

# Those of no single role, in the same form.
SITE = ROOT / "data" / "site_variables.yml"
# What Ansible converts is right as well: a number where a text is asked for, a word where a list is (ansible-core,
# lib/ansible/module_utils/common/validation.py).
_TEXT: dict[str, object] = {"type": ["string", "number"]}
_TYPES: dict[str, dict[str, object]] = {
    "str": _TEXT,
    "path": {"type": "string"},
    "int": {"anyOf": [{"type": "integer"}, {"type": "string", "pattern": "^-?[0-9]+$"}]},
    "float": {"anyOf": [{"type": "number"}, {"type": "string", "pattern": "^-?[0-9]+(\\.[0-9]+)?$"}]},
    "bool": {"type": "boolean"},
    "dict": {"type": "object"},
    "raw": {},
}


class OptionSpec(TypedDict, total=False):
    """One option of an argument specification (meta/argument_specs.yml of a role)."""

    type: str
    elements: str
    required: bool
    description: str | Sequence[str]
    default: object
    choices: Sequence[object]
    options: Mapping[str, OptionSpec]


@lru_cache(maxsize=1)
def described() -> dict[str, dict[str, object]]:
    """The schema of each variable by its name, with its description and default."""
    return {name: variable(option) for name, option in _options().items()}


def variable(option: OptionSpec) -> dict[str, object]:
    """One option of an argument specification. A template is right for every type."""
    shape = _shape(option)
    found: dict[str, object] = {"anyOf": [shape, TEMPLATE]} if shape else {}
    text = option.get("description", "")
    found["description"] = text if isinstance(text, str) else " ".join(text)
    if "default" in option:
        found["default"] = option["default"]
    return found


def prefixes() -> tuple[str, ...]:
    """What the names of variables begin with that can be nobody else's: a role's name, as Ansible's own rule has it, and that
    of the one playbook without a role whose variables have a name of their own."""
    return ("wheelhouse_", *sorted(f"{path.name}_" for path in (ROOT / "roles").iterdir() if path.is_dir()))


def _options() -> dict[str, OptionSpec]:
    found: dict[str, OptionSpec] = {}
    for path in sorted((ROOT / "roles").glob("*/meta/argument_specs.yml")):
        for entry in read_yaml(path)["argument_specs"].values():
            found.update(entry.get("options", {}))
    return {**found, **read_yaml(SITE)}


def _shape(option: OptionSpec) -> dict[str, object]:
    kind = option.get("type", "str")
    if kind == "list":
        elements = _shape({**option, "type": option.get("elements", "raw")})
        return {"anyOf": [{"type": "array", "items": elements}, _TEXT]}
    if "choices" in option:
        return {"enum": list(option["choices"])}
    if kind == "dict" and "options" in option:
        inner = option["options"]
        return {
            "type": "object",
            "properties": {name: variable(part) for name, part in inner.items()},
            "required": [name for name, part in inner.items() if part.get("required")],
            "additionalProperties": False,
        }
    return _TYPES[kind]
