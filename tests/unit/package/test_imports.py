"""Who imports whom below plugins/module_utils: the circles there are today, lazy imports counted; none may be added, one that is cut goes from here."""

from __future__ import annotations

import ast
import functools
from collections.abc import Iterator, Mapping
from pathlib import Path

ROOMS = Path(__file__).resolve().parents[3] / "plugins" / "module_utils"
NAME = "ansible_collections.baremetal.vllm.plugins.module_utils"
# Files that import each other, directly or over others.
FILES_IN_CIRCLES = [
    ["migration.fates", "migration.follow", "migration.rules", "migration.sentence"],
    ["shell.builtins", "shell.loops", "shell.run"],
]
# Rooms that import each other directly; the first of a pair is the one whose import runs back.
ROOMS_BACKWARD = {
    ("engine", "service"),
    ("fit", "plan"),
    ("flags", "migration"),
    ("gpu", "driver"),
    ("gpu", "plan"),
}


def imported(source: str) -> Iterator[str]:
    """The modules of ours that a source imports, wherever in it; of `from room import file` the file."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith(NAME):
            base = (node.module or "").removeprefix(NAME).lstrip(".")
            yield from (f"{base}.{alias.name}".lstrip(".") for alias in node.names)
            yield base
        elif isinstance(node, ast.Import):
            yield from (
                alias.name.removeprefix(f"{NAME}.") for alias in node.names if alias.name.startswith(f"{NAME}.")
            )


@functools.cache
def graph() -> dict[str, set[str]]:
    """By file (`plan.menu`) the files that it imports."""
    sources = {
        ".".join(path.relative_to(ROOMS).with_suffix("").parts): path.read_text(encoding="utf-8")
        for path in ROOMS.rglob("*.py")
    }
    return {
        name: {other for other in imported(source) if other in sources} - {name} for name, source in sources.items()
    }


def circles(arrows: Mapping[str, set[str]]) -> list[list[str]]:
    """Groups in which each reaches each other; sorted."""

    def reached(start: str) -> set[str]:
        found: set[str] = set()
        todo = [start]
        while todo:
            todo += (new := arrows.get(todo.pop(), set()) - found)
            found |= new
        return found

    all_of = {name: reached(name) for name in arrows}
    groups = {
        frozenset(other for other in all_of[name] if name in all_of[other]) for name in arrows if name in all_of[name]
    }
    return sorted(sorted(group) for group in groups)


def test_no_further_files_import_each_other_in_a_circle() -> None:
    assert circles(graph()) == FILES_IN_CIRCLES


def test_no_further_room_is_imported_by_one_that_it_imports() -> None:
    arrows = {(name.partition(".")[0], other.partition(".")[0]) for name, others in graph().items() for other in others}
    both = {(one, two) for one, two in arrows if one < two and (two, one) in arrows}
    assert both == {tuple(sorted(pair)) for pair in ROOMS_BACKWARD}


def test_circles_are_found_and_lines_are_none() -> None:
    assert circles({"a": {"b"}, "b": {"c"}, "c": {"b"}, "d": {"a"}}) == [["b", "c"]]
    assert circles({"a": {"b"}, "b": {"c"}, "c": set()}) == []


def test_lazy_and_relative_looking_imports_count() -> None:
    source = f"def f():\n    from {NAME}.plan import menu\n    import {NAME}.fit.find\n"
    assert {"plan.menu", "fit.find"} <= set(imported(source))
