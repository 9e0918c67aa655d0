"""RETURN describes what a module returns, key by key: read from the sources, for most of it is seen on a real host alone."""

from __future__ import annotations

import ast
import functools
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

PLUGINS = Path(__file__).resolve().parents[3] / "plugins"
NAME = "ansible_collections.baremetal.vllm."
MODULES = sorted(path.stem for path in (PLUGINS / "modules").glob("*.py"))
# Ansible's own, which every module may return.
COMMON = {"changed", "failed", "msg", "diff", "skipped", "warnings", "rc"}
# What the host tells the action plugin of the same name, which hands none of it on.
INNER = {
    "acceptance": {"sight", "run", "busy", "facts", "dcgm"},
    "driver": {"lines", "texts", "seconds"},
    "model_service": {"progress", "restored"},
    "model_weights": {"engine", "needed", "states", "status", "token_changed", "uploads", "wrong"},
    "warm_cache": {"facts", "kept", "placed", "refused"},
}


def documented(module: str) -> set[str]:
    tree = ast.parse((PLUGINS / "modules" / f"{module}.py").read_text(encoding="utf-8"))
    texts = [
        node.value.value
        for node in tree.body
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant) and _name(node.targets[0]) == "RETURN"
    ]
    return set(yaml.safe_load(str(texts[0])) or {}) if texts else set()


def sources(module: str) -> list[Path]:
    """The module, its action plugin, and the files of that one's steps."""
    steps = sorted((PLUGINS / "plugin_utils" / "actions").glob(f"{module}_*.py"))
    return [
        path for path in (PLUGINS / "modules" / f"{module}.py", PLUGINS / "action" / f"{module}.py") if path.is_file()
    ] + steps


def _name(node: ast.expr | None) -> str:
    return node.id if isinstance(node, ast.Name) else ""


def _of_a_task(function: ast.FunctionDef) -> bool:
    """Whether what a function returns is the result of a task: its type says so, or Ansible's `AnsibleModule` among its arguments."""
    takes = [_name(argument.annotation) for argument in function.args.args]
    return _name(function.returns) == "Result" or (function.returns is not None and "AnsibleModule" in takes)


def _written(function: ast.FunctionDef) -> Iterator[str]:
    """Keys of dictionaries that a function returns, as they stand in it or in its variable `result` or `answer`."""
    for node in ast.walk(function):
        if isinstance(node, ast.Return):
            yield from _keys(node.value)
        elif isinstance(node, (ast.Assign, ast.AnnAssign)):
            target = node.targets[0] if isinstance(node, ast.Assign) else node.target
            if _name(target) in ("result", "answer"):
                yield from _keys(node.value)
            elif isinstance(target, ast.Subscript) and _name(target.value) in ("result", "answer"):
                yield from _texts(target.slice)


def _keys(node: ast.expr | None) -> Iterator[str]:
    if isinstance(node, ast.Dict):
        for key in node.keys:
            yield from _texts(key)


def _texts(node: ast.expr | None) -> Iterator[str]:
    if isinstance(node, ast.Constant):
        yield str(node.value)


def returned(source: str) -> set[str]:
    """Keys that a module or an action returns, as far as its own text tells: what it takes from elsewhere (`**found`) is not seen."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef) and _of_a_task(node):
            found.update(_written(node))
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "exit_json":
            found.update(keyword.arg for keyword in node.keywords if keyword.arg)
    return found


@functools.cache
def _words(path: Path) -> tuple[set[str], set[Path]]:
    """The names and short texts in a file, and the files of ours that it imports."""
    words: set[str] = set()
    files: set[Path] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            words.add(node.value)
        elif isinstance(node, ast.keyword) and node.arg:
            words.add(node.arg)
        elif isinstance(node, ast.AnnAssign):
            words.add(_name(node.target))
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith(NAME):
            parts = str(node.module).removeprefix(NAME + "plugins").strip(".").split(".")
            below = PLUGINS.joinpath(*parts)
            files |= {below.with_suffix(".py"), *(below / f"{alias.name}.py" for alias in node.names)}
    return words, {file for file in files if file.is_file()}


def said(module: str) -> set[str]:
    """All words in the sources of a module and what they import; its documentation is one long text, and tells none."""
    found: set[str] = set()
    seen: set[Path] = set()
    todo = sources(module)
    while todo:
        if (path := todo.pop()) not in seen:
            seen.add(path)
            words, files = _words(path)
            found |= words
            todo += files
    return found


@pytest.mark.parametrize("module", MODULES)
def test_what_a_module_returns_is_documented(module: str) -> None:
    found = set().union(*(returned(path.read_text(encoding="utf-8")) for path in sources(module)))
    assert found - documented(module) - COMMON - INNER.get(module, set()) == set()


@pytest.mark.parametrize("module", MODULES)
def test_what_is_documented_is_written_somewhere(module: str) -> None:
    assert documented(module) - said(module) == set()


def test_inner_keys_are_returned_and_not_documented() -> None:
    for module, keys in INNER.items():
        found = set().union(*(returned(path.read_text(encoding="utf-8")) for path in sources(module)))
        assert keys <= found
        assert not keys & documented(module)


def test_keys_are_found_where_a_result_is_made() -> None:
    source = """
def look(module: AnsibleModule) -> dict[str, object]:
    result: dict[str, object] = {"a": 1}
    result["b"] = {"inner": 1}
    return result
def act(self) -> Result:
    return {"c": 1, **more}
def helper() -> dict[str, object]:
    return {"not_returned": 1}
def main():
    module.exit_json(changed=False, d=1, **more)
"""
    assert returned(source) == {"a", "b", "c", "changed", "d"}
