"""Commands whose output follows from their words alone: what `$(dirname "$0")` and the like stand for."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable

from ansible_collections.baremetal.vllm.plugins.plugin_utils.shell.bounds import MOST
from ansible_collections.baremetal.vllm.plugins.plugin_utils.shell.state import ShellState
from ansible_collections.baremetal.vllm.plugins.plugin_utils.shell.values import (
    Field,
    Gap,
    Piece,
    Variable,
    gaps_of,
    known,
    text_of,
    with_gaps,
)


def _echo(words: list[Field], state: ShellState) -> Field | None:
    while words and text_of(words[0]) in ("-n", "-e", "-ne", "-en"):
        words = words[1:]
    joined: list[Piece] = []
    for index, word in enumerate(words):
        joined += [Piece(" ")] * bool(index) + list(word)
    return tuple(joined)


def _printf(words: list[Field], state: ShellState) -> Field | None:
    form = text_of(words[0]) if words else ""
    if not re.fullmatch(r"(%[sd]|[^%\\]|\\n)*", form) or form.count("%") != len(words) - 1:
        return None
    pieces: list[Piece] = []
    rest = list(words[1:])
    for part in re.findall(r"%[sd]|\\n|[^%\\]+", form):
        pieces += rest.pop(0) if part[0] == "%" else (Piece(part.replace("\\n", "\n")),)
    return tuple(pieces)


def _seq(words: list[Field], state: ShellState) -> Field | None:
    numbers, between = [text_of(word) for word in words], "\n"
    if numbers and numbers[0].startswith("-s"):
        # seq -s, 0 3
        between = numbers[0][2:] or (numbers[1] if len(numbers) > 1 else "")
        words = words[1 if numbers[0][2:] else 2 :]
        numbers = [text_of(word) for word in words]
    if not all(known(word) for word in words) or not all(re.fullmatch(r"-?[0-9]{1,18}", text) for text in numbers):
        return None
    if not 1 <= len(numbers) <= 3:
        return None
    first, step, last = _seq_of(numbers)
    if step == 0:
        return None
    items = range(first, last + (1 if step > 0 else -1), step)
    if len(items) > MOST:
        return (Piece("$(seq)", Gap("$(seq)", f"one of {len(items)} numbers")),)
    return with_gaps(between.join(map(str, items)), [gap for word in words for gap in gaps_of(word)], "$(seq)")


def _seq_of(numbers: list[str]) -> tuple[int, int, int]:
    values = [int(number) for number in numbers]
    if len(values) == 1:
        return 1, 1, values[0]
    return (values[0], 1, values[1]) if len(values) == 2 else (values[0], values[1], values[2])


def _path(change: Callable[[str], str]) -> Callable[[list[Field], ShellState], Field | None]:
    def printed(words: list[Field], state: ShellState) -> Field | None:
        words = [word for word in words if not re.match(r"-[a-zA-Z-]", text_of(word))]
        if not words:
            return None
        return (
            with_gaps(change(text_of(words[0])), gaps_of(words[0]), f"$({text_of(words[0])})")
            if known(words[0])
            else words[0]
        )

    return printed


def _real(words: list[Field], state: ShellState) -> Field | None:
    words = [word for word in words if not re.match(r"-[a-zA-Z-]", text_of(word))]
    if len(words) != 1:
        return None
    text = text_of(words[0])
    if not known(words[0]):
        return words[0]
    if not text.startswith("/") and state.directory is None:
        return None
    return with_gaps(posixpath.normpath(posixpath.join(state.directory or "/", text)), gaps_of(words[0]), text)


def _cd(words: list[Field], state: ShellState) -> Field | None:
    words = [word for word in words if not re.match(r"-[a-zA-Z-]", text_of(word))]
    state.move(text_of(words[0]) if words and known(words[0]) else None)
    if state.directory is not None and words:
        state.variables["PWD"] = Variable((with_gaps(state.directory, gaps_of(words[0]), "$PWD"),))
    elif words:
        state.variables["PWD"] = Variable((words[0],))
    return ()


def _pwd(words: list[Field], state: ShellState) -> Field | None:
    return variable.fields[0] if (variable := state.get("PWD")) is not None and variable.fields else None


PRINTERS: dict[str, Callable[[list[Field], ShellState], Field | None]] = {
    "echo": _echo,
    "printf": _printf,
    "seq": _seq,
    "dirname": _path(lambda text: posixpath.dirname(text.rstrip("/")) or "."),
    "realpath": _real,
    "readlink": _real,
    "cd": _cd,
    "pushd": _cd,
    "pwd": _pwd,
    ":": lambda words, state: (),
    "true": lambda words, state: (),
}


def _basename(words: list[Field], state: ShellState) -> Field | None:
    field = _path(lambda text: posixpath.basename(text.rstrip("/")))(words[:1], state)
    if field is None or len(words) < 2:
        return field
    ending = text_of(words[1])
    return tuple(piece._replace(text=piece.text.removesuffix(ending)) for piece in field)


PRINTERS["basename"] = _basename
