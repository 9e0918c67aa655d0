"""Moved and imported entries as text: YAML to paste, and what changed below it."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

import yaml
from ansible_collections.baremetal.vllm.plugins.module_utils.migration.change import KINDS, Change
from ansible_collections.baremetal.vllm.plugins.module_utils.migration.move import Moved
from ansible_collections.baremetal.vllm.plugins.module_utils.migration.sentence import flow, listed

WIDTH = 110
_HEADINGS = {
    "renamed": "renamed",
    "replaced": "replaced",
    "gone": "left out",
    "conflict": "to be settled by you",
    "meaning": "does something else now, as it stands",
    "deprecated": "still taken, but not for long",
}


class _Dumper(yaml.SafeDumper):
    """Two blanks before the items of a list, as in the rest of an inventory; nothing is written as an alias."""

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        super().increase_indent(flow, False)

    def ignore_aliases(self, data: Any) -> bool:
        return True


def as_yaml(data: Any) -> str:
    """Block style in the order given; short dictionaries and lists of plain values on one line."""
    return str(
        yaml.dump(data, Dumper=_Dumper, sort_keys=False, default_flow_style=None, allow_unicode=True, width=WIDTH)
    )


def document(moved: Mapping[str, Moved], to: str) -> str:
    """The new release with `args` and `env` of every model, as a file of variables."""
    models = {
        name: {key: part for key, part in (("args", entry.args), ("env", entry.env)) if part}
        for name, entry in moved.items()
    }
    return f"---\n# `args` and `env` for vLLM {to}; the other keys of each entry stay as they are.\n" + as_yaml(
        {"vllm_version": to, "vllm_models": models}
    )


def sections(moved: Mapping[str, Moved], came_from: Mapping[str, Sequence[str]], to: str) -> str:
    """One section per model: where it comes from, its YAML, and its changes."""
    texts = [_section(name, entry, came_from.get(name, ()), to) for name, entry in moved.items()]
    return "\n".join(texts)


def _section(name: str, moved: Moved, came_from: Sequence[str], to: str) -> str:
    heading = f"{name}: vLLM {' and '.join(came_from)} -> {to}" if came_from else f"{name}: vLLM {to}"
    if not moved.changes:
        return f"{heading}\n  Nothing changes.\n"
    parts = {"args": moved.args, "env": moved.env}
    lines = [heading, "", textwrap.indent(as_yaml({key: part for key, part in parts.items() if part}).rstrip(), "    ")]
    rewritten = [change for change in moved.changes if change.kind in ("renamed", "replaced", "gone")]
    if not rewritten:
        lines = [heading, "", "  Nothing is to be rewritten."]
    for kind in KINDS:
        of_kind = [change for change in moved.changes if change.kind == kind]
        if of_kind:
            lines += ["", f"  {_HEADINGS[kind]}:", *(_told(change) for change in of_kind)]
    return "\n".join([*lines, ""])


def _told(change: Change) -> str:
    head = change.option if change.kind == "meaning" else f"{change.option}: {flow(change.written)}"
    if change.becomes:
        head += f" -> {listed(change.becomes).replace('`', '')}"
    if change.kind in ("meaning", "deprecated") and change.since:
        head += f" (since {change.since})"
    note = (
        textwrap.fill(f"{change.note}.", WIDTH, initial_indent=" " * 6, subsequent_indent=" " * 6)
        if change.note
        else ""
    )
    return "\n".join(filter(None, [f"    - {head}", note]))


def imported(entry: Mapping[str, Any], notes: Sequence[str]) -> str:
    """An entry to paste into `vllm_models`, with what to know about it as comments above it."""
    comments = [
        textwrap.fill(note if note.endswith(".") else f"{note}.", WIDTH, initial_indent="# ", subsequent_indent="#   ")
        for note in notes
    ]
    body = {key: value for key, value in entry.items() if key != "name"}
    return "\n".join([*comments, as_yaml({"vllm_models": {entry["name"]: body}}).rstrip(), ""])


def changed(moved: Moved) -> list[str]:
    """The changes as one line each."""
    return [f"{line.strip().lstrip('- ')}: {change.note}" for change in moved.changes for line in [_told(change).split("\n")[0]]]
