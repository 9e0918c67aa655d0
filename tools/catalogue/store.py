"""`data/catalogue.json`: every fact once, with the releases in which it holds.

The file is `{"releases", "options", "configs", "environment"}`. A thing (an option, a key of a dataclass, a variable) is a
list of its states, one per line, each with `in`: spans of releases such as `0.8.5..0.9.2 0.11.0..`, ends included, where
an open end reaches the newest release. So a new release changes only the lines of what changed in it. What equals the
default of the dataclasses in `plugin_utils/options/model.py` is left out; `"computed": true` stands for UNKNOWN.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from packaging.version import Version

FILE = Path(__file__).resolve().parents[2] / "data" / "catalogue.json"
# What one release brings: its facts, and the specs of its options, configs and variables by name.
Facts = Mapping[str, Any]


def read(path: Path = FILE) -> dict[str, dict[str, Any]]:
    """Facts by release, as `write` took them; {} where there is no file yet."""
    if not path.exists():
        return {}
    held = json.loads(path.read_text(encoding="utf-8"))
    order = list(held["releases"])
    facts: dict[str, dict[str, Any]] = {
        version: {"wheel": wheel, "options": {}, "configs": {}, "environment": {}}
        for version, wheel in held["releases"].items()
    }
    for section in ("options", "environment"):
        for name, states in held[section].items():
            for version, spec in _expand(states, order):
                facts[version][section][name] = spec
    for name, config in held["configs"].items():
        for version, spec in _expand(config["is"], order):
            facts[version]["configs"][name] = {**spec, "fields": {}}
        for field, states in config["fields"].items():
            for version, spec in _expand(states, order):
                facts[version]["configs"][name]["fields"][field] = spec
    return facts


def write(facts: Mapping[str, Facts], path: Path = FILE) -> None:
    """Write the facts of all releases, oldest first, each thing in alphabetical order."""
    order = sorted(facts, key=Version)
    lines = ["{", '"releases": {']
    lines += _joined([f" {json.dumps(version)}: {_line(facts[version]['wheel'])}" for version in order])
    for section in ("options", "environment"):
        lines += ["},", f'"{section}": {{']
        lines += _things({version: facts[version][section] for version in order}, order, " ")
    lines += ["},", '"configs": {']
    names = sorted({name for version in order for name in facts[version]["configs"]})
    for name in names:
        held = {version: facts[version]["configs"].get(name) for version in order}
        heads = {version: {"is": {"extra": spec["extra"]}} for version, spec in held.items() if spec}
        lines += [f" {json.dumps(name)}: {{", *_things(heads, order, "  ")]
        lines[-1] += ","
        lines += ['  "fields": {', *_things({v: spec["fields"] for v, spec in held.items() if spec}, order, "   ")]
        lines.append("  }}" + ("" if name == names[-1] else ","))
    path.write_text("\n".join([*lines, "}", "}"]) + "\n", encoding="utf-8")


def _things(held: Mapping[str, Mapping[str, Any]], order: Sequence[str], indent: str) -> list[str]:
    blocks = []
    for name in sorted({name for things in held.values() for name in things}):
        states: dict[str, list[str]] = {}
        for version in order:
            if name in held.get(version, {}):
                states.setdefault(_line(held[version][name]), []).append(version)
        rows = [
            f'{indent} {{"in":"{_spans(versions, order)}"{"," if spec != "{}" else ""}{spec[1:]}'
            for spec, versions in states.items()
        ]
        blocks.append(f"{indent}{json.dumps(name)}: [\n" + ",\n".join(rows) + "]")
    return _joined(blocks)


def _joined(blocks: list[str]) -> list[str]:
    return [block + ("," if number < len(blocks) - 1 else "") for number, block in enumerate(blocks)]


def _line(spec: Mapping[str, Any]) -> str:
    return json.dumps(spec, ensure_ascii=False, separators=(",", ":"), sort_keys=True)


def _spans(versions: Sequence[str], order: Sequence[str]) -> str:
    numbers = [order.index(version) for version in versions]
    spans: list[list[int]] = []
    for number in numbers:
        if spans and spans[-1][1] == number - 1:
            spans[-1][1] = number
        else:
            spans.append([number, number])
    return " ".join(
        f"{order[first]}.."
        if last == len(order) - 1
        else order[first]
        if first == last
        else f"{order[first]}..{order[last]}"
        for first, last in spans
    )


def _expand(states: list[dict[str, Any]], order: Sequence[str]) -> list[tuple[str, dict[str, Any]]]:
    expanded = []
    for state in states:
        spec = {key: value for key, value in state.items() if key != "in"}
        for span in state["in"].split():
            first, dots, last = span.partition("..")
            end = order.index(last) if last else len(order) - 1 if dots else order.index(first)
            expanded += [(order[number], spec) for number in range(order.index(first), end + 1)]
    return expanded
