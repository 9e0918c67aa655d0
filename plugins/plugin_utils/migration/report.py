"""Moved and imported entries as text: YAML to paste, and what changed below it."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

import yaml
from ansible_collections.baremetal.vllm.plugins.module_utils.text.problems import Problem
from ansible_collections.baremetal.vllm.plugins.module_utils.text.values import Values
from ansible_collections.baremetal.vllm.plugins.plugin_utils.migration.move import Moved
from ansible_collections.baremetal.vllm.plugins.plugin_utils.options.change import OptionChange
from ansible_collections.baremetal.vllm.plugins.plugin_utils.options.sentence import capital, flow, listed
from ansible_collections.baremetal.vllm.plugins.plugin_utils.report.screen import PAPER, Screen
from ansible_collections.baremetal.vllm.plugins.plugin_utils.report.words import wrapped

# Of lines in a file; a terminal has its own.
WIDTH = 110
_HEADINGS = {
    "renamed": "renamed",
    "replaced": "replaced",
    "gone": "left out",
    "conflict": "to be settled by you",
    "deprecated": "still taken, but not for long",
}


class _Dumper(yaml.SafeDumper):
    """Two blanks before the items of a list, as in the rest of an inventory; nothing is written as an alias."""

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        super().increase_indent(flow, False)

    def ignore_aliases(self, data: Any) -> bool:
        return True


def as_yaml(data: Any, width: int = WIDTH) -> str:
    """Block style in the order given; short dictionaries and lists of plain values on one line."""
    return str(
        yaml.dump(data, Dumper=_Dumper, sort_keys=False, default_flow_style=None, allow_unicode=True, width=width)
    )


def _width(screen: Screen) -> int:
    return screen.width if screen.terminal else WIDTH


def document(models: Mapping[str, Values], moved: Mapping[str, Moved], to: str) -> str:
    """The menu and its release as a file of variables; what was a template in it is resolved."""
    menu = {}
    for name, entry in moved.items():
        rest = {key: value for key, value in models[name].items() if key not in ("args", "env")}
        menu[name] = {**rest, **{key: part for key, part in (("args", entry.args), ("env", entry.env)) if part}}
    return "---\n" + as_yaml({"vllm_version": to, "vllm_models": menu})


def sections(
    moved: Mapping[str, Moved], came_from: Mapping[str, Sequence[str]], to: str, screen: Screen = PAPER
) -> str:
    """One section per model: where it comes from, its YAML, its changes; and once what changes its meaning."""
    width = _width(screen)
    texts = [_section(name, entry, came_from.get(name, ()), to, width) for name, entry in moved.items()]
    return "\n".join([*texts, *_meanings(moved, width)])


def hosts_section(problems: Sequence[Problem], warnings: Sequence[Problem], to: str, screen: Screen) -> str:
    """What stops hosts from running the release, or costs them something; "" where nothing does."""
    parts: list[str] = []
    for heading, told in (
        (f"Hosts that cannot run vLLM {to} as they are declared:", problems),
        (f"Hosts that run vLLM {to} with a restriction:", warnings),
    ):
        if told:
            items = [_item(one.key, f"{capital(one.reason)}. {one.remedy}", _width(screen)) for one in told]
            parts += ["", heading, "", *items]
    return "\n".join(parts)


def _section(name: str, moved: Moved, came_from: Sequence[str], to: str, width: int) -> str:
    heading = f"{name}: vLLM {' and '.join(came_from)} -> {to}" if came_from else f"{name}: vLLM {to}"
    own = [change for change in moved.changes if change.kind != "meaning"]
    if not own:
        return f"{heading}\n\n  Nothing changes.\n"
    lines = [heading]
    if any(change.kind in ("renamed", "replaced", "gone") for change in own):
        parts = {key: part for key, part in (("args", moved.args), ("env", moved.env)) if part}
        lines += [
            "",
            textwrap.indent(as_yaml(parts, width - 4).rstrip() if parts else "# neither args nor env", "    "),
        ]
    for kind, title in _HEADINGS.items():
        of_kind = [change for change in own if change.kind == kind]
        if of_kind:
            lines += ["", f"  {title}:", *(_item(_head(change), change.note, width) for change in of_kind)]
    return "\n".join([*lines, ""])


def _meanings(moved: Mapping[str, Moved], width: int) -> list[str]:
    """What most models have in common is said once, with the models that it concerns."""
    concerned: dict[tuple[str, str, str], list[str]] = {}
    for name, entry in moved.items():
        for change in entry.changes:
            if change.kind == "meaning":
                concerned.setdefault((change.option, change.since, change.note), []).append(name)
    lines = []
    for (option, since, note), names in concerned.items():
        whom = "all models" if len(names) == len(moved) > 1 else ", ".join(names)
        lines.append(_item(f"{option} (since {since}; {whom})", note, width))
    return ["What does something else, though it is written the same or not at all:", "", *lines, ""] if lines else []


def _head(change: OptionChange) -> str:
    if change.kind == "meaning":
        return change.option
    head = f"{change.option}: {flow(change.written)}"
    if change.becomes:
        head += f" -> {listed(change.becomes).replace('`', '')}"
    return f"{head} (since {change.since})" if change.kind == "deprecated" and change.since else head


def _item(head: str, note: str, width: int) -> str:
    return "\n".join(
        [wrapped(head, width, "    - ", " " * 6), *([wrapped(_ended(note), width, " " * 6)] if note else [])]
    )


def _ended(text: str) -> str:
    return text if text.endswith(".") else f"{text}."


def told(moved: Moved) -> list[str]:
    """The changes as one line each."""
    return [f"{_head(change)}: {change.note}" if change.note else _head(change) for change in moved.changes]


def imported(entry: Mapping[str, object], notes: Sequence[str], screen: Screen = PAPER) -> str:
    """An entry to paste into `vllm_models`, with what to know about it as comments above it."""
    width = _width(screen)
    comments = [wrapped(_ended(note), width, "# ", "#   ") for note in notes]
    body = {key: value for key, value in entry.items() if key != "name"}
    return "\n".join([*comments, as_yaml({"vllm_models": {entry["name"]: body}}, width).rstrip(), ""])
