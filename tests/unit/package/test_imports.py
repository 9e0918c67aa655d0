"""Who imports whom below plugins/: the wall between hosts and control node, no circles, no arrow upwards; lazy imports count."""

from __future__ import annotations

import ast
import functools
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

PLUGINS = Path(__file__).resolve().parents[3] / "plugins"
NAME = "ansible_collections.baremetal.vllm.plugins"
# The floors of each side, from the ground up: a room imports rooms of floors below its own, and whole floors know nothing of
# each other. What is new gets a place here, and the lowest that will do.
HOST = (
    {"text"},
    {"host"},
    {"engine", "weights", "endpoints"},
    {"units", "fanout", "warm"},
    {"gpus", "gateway"},
    {"drivers.nvidia"},
    {"drivers.acceptance", "drivers.amd"},
    {"look"},
)
CONTROL = (
    {"task"},
    {"places", "templates", "weights", "report", "shell"},
    {"options", "inventory"},
    {"planned"},
    {"fit", "gateway", "difference", "warm", "bundle", "fanout"},
    {"gpus"},
    {"drivers.nvidia", "drivers.acceptance"},
    {"drivers.amd"},
    {"engine"},
    {"plan"},
    {"migration", "fleet"},
    {"recipes", "bundle.writing"},
    {"actions"},
)
# What every module finds on a host beside the standard library; ansible-core brings it along.
_BROUGHT = "ansible.module_utils"
# These run in an engine's own Python, which has what vLLM requires.
_OF_ENGINES = {"weights.hub_fetch": "huggingface_hub"}


def imported(source: str) -> Iterator[str]:
    """What a source imports, wherever in it: names with dots, of `from room import file` the file and the room."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
            yield node.module or ""
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)


@functools.cache
def sources(folder: str) -> dict[str, str]:
    """By name (`units.render`) the sources below a folder of plugins/."""
    paths = [path for path in (PLUGINS / folder).rglob("*.py") if path.name != "__init__.py"]
    return {
        ".".join(path.relative_to(PLUGINS / folder).with_suffix("").parts): path.read_text(encoding="utf-8")
        for path in paths
    }


@functools.cache
def graph(folder: str) -> dict[str, set[str]]:
    """By file the files of the same folder that it imports."""
    prefix, found = f"{NAME}.{folder}.", sources(folder)
    return {
        name: {other.removeprefix(prefix) for other in imported(source) if other.removeprefix(prefix) in found} - {name}
        for name, source in found.items()
    }


def room(name: str) -> str:
    return name.rpartition(".")[0] or name


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


def upwards(arrows: Mapping[str, set[str]], floors: tuple[set[str], ...]) -> list[str]:
    """Imports from a room of the same floor or of one above."""
    floor = {name: number for number, names in enumerate(floors) for name in names}
    return sorted(
        f"{name} → {other}"
        for name, others in arrows.items()
        for other in others
        if room(name) != room(other) and floor[room(name)] <= floor[room(other)]
    )


def test_no_files_import_each_other_in_a_circle() -> None:
    assert circles(graph("module_utils")) == []
    assert circles(graph("plugin_utils")) == []


def test_nothing_is_imported_from_a_room_above() -> None:
    assert upwards(graph("module_utils"), HOST) == []
    assert upwards(graph("plugin_utils"), CONTROL) == []


def test_every_room_has_a_floor_and_every_floor_has_rooms() -> None:
    for folder, floors in (("module_utils", HOST), ("plugin_utils", CONTROL)):
        assert {room(name) for name in sources(folder)} == set().union(*floors)


def test_the_readme_names_every_room() -> None:
    told = (PLUGINS.parent / "README.md").read_text(encoding="utf-8").partition("## The code")[2].partition("\n## ")[0]
    sides = dict(zip(("module_utils", "plugin_utils"), told.split("`plugins/plugin_utils` stays")))
    for folder, side in sides.items():
        rooms = {room(name) for name in sources(folder) if "." in name}
        named = {part for name in rooms for part in name.split(".")}
        assert [name for name in sorted(named) if f"`{name}`" not in side] == [], folder


def test_what_runs_on_hosts_needs_nothing_but_the_standard_library() -> None:
    allowed = (_BROUGHT, f"{NAME}.module_utils")
    for folder in ("module_utils", "modules"):
        for name, source in sources(folder).items():
            library = {*sys.stdlib_module_names, "__future__", _OF_ENGINES.get(name)}
            for other in imported(source):
                assert other.partition(".")[0] in library or other.startswith(allowed), f"{folder}/{name}: {other}"


def test_what_only_the_control_node_needs_lies_behind_the_wall() -> None:
    """A file of module_utils that no module reaches would be shipped to nobody."""
    prefix, arrows = f"{NAME}.module_utils.", graph("module_utils")
    reached: set[str] = set()
    todo = [other.removeprefix(prefix) for source in sources("modules").values() for other in imported(source)]
    while todo:
        if (name := todo.pop()) in arrows and name not in reached:
            reached.add(name)
            todo += arrows[name]
    assert sorted(set(arrows) - reached) == []


def test_circles_and_arrows_upwards_are_found_and_lines_are_none() -> None:
    assert circles({"a": {"b"}, "b": {"c"}, "c": {"b"}, "d": {"a"}}) == [["b", "c"]]
    assert circles({"a": {"b"}, "b": {"c"}, "c": set()}) == []
    arrows = {"low.a": {"low.b"}, "high.a": {"low.a"}, "low.b": {"high.a"}, "side.a": {"low.a"}}
    assert upwards(arrows, ({"low", "side"}, {"high"})) == ["low.b → high.a", "side.a → low.a"]


def test_lazy_imports_count() -> None:
    source = f"def f():\n    from {NAME}.plan import menu\n    import {NAME}.fit.find\n"
    assert {f"{NAME}.plan.menu", f"{NAME}.fit.find"} <= set(imported(source))
