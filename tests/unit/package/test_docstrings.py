"""What is public below plugins/ says in a docstring what comes in and out."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

PLUGINS = Path(__file__).resolve().parents[3] / "plugins"
# Ansible calls these by name and says what it hands over; the rest stands in the plugin's own DOCUMENTATION.
_OF_ANSIBLE = {"main", "ActionModule", "ActionModule.run", "FilterModule", "FilterModule.filters"}
_Definition = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)


def public(
    body: list[ast.stmt], prefix: str = ""
) -> Iterator[tuple[str, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef]]:
    """Functions and classes that others may use, by name, and the methods of these classes (`Plan.of`), also those of another
    library's class that are overridden here. What a function defines for itself is not among them."""
    for node in body:
        if isinstance(node, _Definition) and not node.name.startswith("_"):
            yield prefix + node.name, node
            if isinstance(node, ast.ClassDef):
                yield from public(node.body, f"{prefix}{node.name}.")


def silent(source: str, exempt: set[str]) -> list[str]:
    """Public definitions without a docstring, in their order."""
    found = public(ast.parse(source).body)
    return [name for name, node in found if name not in exempt and not ast.get_docstring(node)]


def test_every_public_definition_has_a_docstring() -> None:
    lacking = []
    for path in sorted(PLUGINS.rglob("*.py")):
        place = path.relative_to(PLUGINS)
        exempt = set() if place.parts[0] in ("module_utils", "plugin_utils") else _OF_ANSIBLE
        lacking += [f"{place}: {name}" for name in silent(path.read_text(encoding="utf-8"), exempt)]
    assert lacking == []


def test_what_is_public_is_found_and_what_is_not_is_passed_over() -> None:
    source = '''
class Plan:
    """Told."""
    @property
    def hosts(self): ...
    def _own(self): ...
    def of(self):
        """Told."""
        def inner(): ...
class _Hidden:
    def method(self): ...
async def fetch(): ...
def _own(): ...
def main(): ...
'''
    assert silent(source, set()) == ["Plan.hosts", "fetch", "main"]
    assert silent(source, _OF_ANSIBLE) == ["Plan.hosts", "fetch"]
