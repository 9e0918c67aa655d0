"""The environment variables of a release, read from vllm/envs.py without running it."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Any

_TYPES = {"str", "int", "float", "bool"}


def read_environment(source: Path) -> dict[str, dict[str, Any]]:
    """Specs of all variables by name, in the shape of `data/catalogue.json`.

    The names are the keys of the dictionary `environment_variables`, which is what vLLM reads: a few belong to other
    programs (`CUDA_HOME`, `LOCAL_RANK`). Types and defaults come from the annotated assignments that describe the module to
    type checkers, choices from those or from calls of `env_with_choices` and its siblings in the dictionary.
    """
    tree = ast.parse((source / "vllm" / "envs.py").read_text(encoding="utf-8"))
    annotated = {
        node.target.id: node
        for node in ast.walk(tree)
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name)
    }
    readers = annotated["environment_variables"].value
    if not isinstance(readers, ast.Dict):
        raise LookupError("vllm/envs.py has no dictionary `environment_variables`")
    specs: dict[str, dict[str, Any]] = {}
    for key, reader in zip(readers.keys, readers.values):
        if isinstance(key, ast.Constant) and isinstance(key.value, str):
            described = annotated.get(key.value)
            spec = _described(described) if described else {"type": "any", "computed": True}
            if spec.get("type") == "bool":
                spec["type"] = _switch(key.value, reader)
            specs[key.value] = {**spec, **_choices(reader)}
    return specs


def _switch(name: str, reader: ast.expr) -> str:
    """What switches a variable on: "truth", the word `true` alone; "switch", `1` and `true`; "bool", a number.

    Words count only where the variable itself is compared with them in small letters: a few names stand for another one.
    """
    constants = {part.value for part in ast.walk(reader) if isinstance(part, ast.Constant)}
    names = {part.id for part in ast.walk(reader) if isinstance(part, ast.Name)}
    folded = any(isinstance(part, ast.Attribute) and part.attr == "lower" for part in ast.walk(reader))
    if "true" not in constants or name not in constants or not folded or "int" in names:
        return "bool"
    return "switch" if "1" in constants else "truth"


def _described(node: ast.AnnAssign) -> dict[str, Any]:
    spec: dict[str, Any] = {}
    names = [part.id for part in ast.walk(node.annotation) if isinstance(part, ast.Name)]
    kinds = [name for name in names if name in _TYPES]
    literals = _literals(node.annotation)
    if literals:
        spec["choices"] = literals
    elif len(kinds) == 1 and not {"list", "set", "dict", "Callable"} & {name.lower() for name in names}:
        spec["type"] = kinds[0]
    else:
        spec["type"] = "any"
    try:
        default = ast.literal_eval(node.value) if node.value else None
    except ValueError:
        spec["computed"] = True
    else:
        if isinstance(default, (str, int, float, bool)):
            spec["default"] = default
        elif default is not None:
            spec["computed"] = True
    return spec


def _literals(annotation: ast.expr) -> list[str]:
    """The words of the annotation's `Literal[...]`, [] where it has none."""
    for part in ast.walk(annotation):
        if isinstance(part, ast.Subscript) and isinstance(part.value, ast.Name) and part.value.id == "Literal":
            return [str(item.value) for item in ast.walk(part.slice) if isinstance(item, ast.Constant)]
    return []


def _choices(reader: ast.expr) -> dict[str, Any]:
    """`choices` and `type` from a call such as `env_with_choices(NAME, DEFAULT, [WORD, ...], case_sensitive=False)`."""
    for call in ast.walk(reader):
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id.endswith("with_choices"):
            words = next((part.elts for part in call.args[2:] if isinstance(part, (ast.List, ast.Tuple))), [])
            said = {part.arg: part.value for part in call.keywords}
            strict = said.get("case_sensitive", ast.Constant(True))
            loose = isinstance(strict, ast.Constant) and not strict.value
            several = call.func.id != "env_with_choices"
            if words:
                choices = [word.value for word in words if isinstance(word, ast.Constant)]
                return {"choices": choices, "type": "csv" if several else "caseless" if loose else "str"}
    return {}
