"""Two `vllm serve` command lines, compared option by option.

Read as vLLM's parser reads them (vllm/utils/argparse_utils.py, releases 0.8.5 to 0.33.0): `_` is `-` in names, the last
of several wins, an option takes all words up to the next option, `--x=v` is `--x v`. Needs no catalogue: what the plan
writes keeps to these forms, and of a hand-edited command any reading is good enough to name the difference.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ansible_collections.baremetal.vllm.plugins.module_utils.units.causes import COMMAND, Cause, changed

# Each of these adds to the earlier ones instead of replacing them.
_REPEATED = ("middleware",)
_PROGRAM = re.compile(r"(?P<root>.*)/(?P<release>[^/]+)/bin/[^/]+")
_HUB = re.compile(r".*/hub/models--(?P<repo>[^/]+)/(?P<commit>[0-9a-f]{40})")
_PUSHED = re.compile(r".*/pushed/(?P<stem>[^/]+)/(?P<digest>[0-9a-f]{16})")


@dataclass(frozen=True)
class EngineCommand:
    """`options`: name without dashes to its values; a flag has none, and its `--no-` form is `("false",)`."""

    program: str
    model: tuple[str, ...]
    options: Mapping[str, tuple[str, ...]]

    @property
    def engine(self) -> str:
        """The directory of the release, empty where the program is not in one."""
        match = _PROGRAM.fullmatch(self.program)
        return f"{match['root']}/{match['release']}" if match else ""

    @property
    def release(self) -> str:
        """The version of vLLM by its directory; "" where the program is not in one of ours."""
        return self.engine.rpartition("/")[2]

    def value(self, option: str) -> str:
        """An option's values with blanks between them; "" for a flag, and where it is not given."""
        return " ".join(self.options.get(option, ()))


def read_command(argv: Sequence[str]) -> EngineCommand:
    """Any words at all as a command."""
    words = list(argv)
    program = words.pop(0) if words else ""
    if words and words[0] == "serve":
        words.pop(0)
    model: list[str] = []
    options: dict[str, tuple[str, ...]] = {}
    name = ""
    for word in words:
        if _is_option(word):
            head, equals, value = word.partition("=")
            name = _normal(head)
            kept = options.get(name, ()) if name in _REPEATED else ()
            options[name] = (*kept, value) if equals else kept
        elif name:
            options[name] = (*options[name], word)
        else:
            model.append(word)
    return EngineCommand(program, tuple(model), dict(_positive(item) for item in options.items()))


def _is_option(word: str) -> bool:
    return len(word) > 1 and word[0] == "-" and not re.match(r"-[\d.]|--?\s|--?$", word)


def _normal(head: str) -> str:
    """An option without its dashes (a short one keeps its one), `_` as `-` up to the first dot."""
    first, dot, rest = (head[2:] if head.startswith("--") else head).partition(".")
    return first.replace("_", "-") + dot + rest


def _positive(item: tuple[str, tuple[str, ...]]) -> tuple[str, tuple[str, ...]]:
    name, values = item
    return (name[3:], ("false",)) if name.startswith("no-") and len(name) > 3 and not values else item


def compare_commands(before: Sequence[str], after: Sequence[str]) -> list[Cause]:
    """What differs: the release, the weights, then options in the new command's order, then those that are gone."""
    if list(before) == list(after):
        return []
    old, new = read_command(before), read_command(after)
    causes = []
    if old.program != new.program:
        same = old.release == new.release or not (old.release and new.release)
        sides = (old.program, new.program) if same else (old.release, new.release)
        causes.append(changed("release", "program" if same else "release", *sides))
    if old.model != new.model:
        causes.append(changed("weights", "weights", _origins(old.model), _origins(new.model)))
    for name in [*new.options, *(name for name in old.options if name not in new.options)]:
        causes += _compare_option(name, old.options.get(name), new.options.get(name))
    return causes or [COMMAND]


def _compare_option(name: str, before: tuple[str, ...] | None, after: tuple[str, ...] | None) -> Iterator[Cause]:
    if before == after:
        return
    if before is None or after is None:
        yield changed("option", name, _shown(before), _shown(after))
    elif not before or not after or before == ("false",) or after == ("false",):
        yield changed("option", name, _shown(before or ("true",)), _shown(after or ("true",)))
    elif set(before) & set(after) and set(before) != set(after):
        yield from (changed("option", name, None, item) for item in after if item not in before)
        yield from (changed("option", name, item, None) for item in before if item not in after)
    else:
        yield from _compare_json(name, _shown(before), _shown(after))


def _shown(values: tuple[str, ...] | None) -> str | None:
    return None if values is None else " ".join(value or '""' for value in values)


def _compare_json(name: str, before: str | None, after: str | None) -> Iterator[Cause]:
    """Two JSON objects key by key, as vLLM's dotted options name them; any other two values as they stand."""
    try:
        old, new = dict(_leaves(name, before)), dict(_leaves(name, after))
    except (ValueError, RecursionError):
        old = new = {}
    keys = [key for key in {**new, **old} if old.get(key) != new.get(key)]
    if not keys:
        yield changed("option", name, before, after)
    for key in keys:
        yield changed("option", key, old.get(key), new.get(key))


def _leaves(name: str, text: str | None) -> Iterator[tuple[str, str]]:
    value = json.loads(text or "")
    if not isinstance(value, dict):
        raise ValueError("not a JSON object")
    for key, item in value.items():
        yield from _walk(f"{name}.{_text(key)}", item)


def _walk(name: str, value: Any) -> Iterator[tuple[str, str]]:
    if isinstance(value, dict) and value:
        for key, item in value.items():
            yield from _walk(f"{name}.{_text(key)}", item)
    else:
        yield name, _text(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False))


def _text(text: str) -> str:
    """Half a surrogate pair, which JSON can escape and no file can hold, becomes `?`."""
    return text.encode("utf-8", "replace").decode()


def origin(path: str) -> str:
    """A path of the store as a person would name what lies there; any other path as it is."""
    hub, pushed = _HUB.fullmatch(path), _PUSHED.fullmatch(path)
    if hub:
        return f"{hub['repo'].replace('--', '/')}@{hub['commit'][:12]}"
    return f"{pushed['stem']}@{pushed['digest'][:12]}" if pushed else path


def _origins(paths: Sequence[str]) -> str:
    return " ".join(origin(path) for path in paths)
