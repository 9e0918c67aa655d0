"""Assignments: text, `+=`, arrays, their items, arrays by names."""

from __future__ import annotations

import re

from ansible_collections.baremetal.vllm.plugins.plugin_utils.shell.expand import fields, value_of
from ansible_collections.baremetal.vllm.plugins.plugin_utils.shell.state import ShellState
from ansible_collections.baremetal.vllm.plugins.plugin_utils.shell.tree import Assign
from ansible_collections.baremetal.vllm.plugins.plugin_utils.shell.tree import Word as TreeWord
from ansible_collections.baremetal.vllm.plugins.plugin_utils.shell.values import Field, Gap, Piece, Variable, text_of
from ansible_collections.baremetal.vllm.plugins.plugin_utils.shell.words import Reader, pieces_of

# Items of an array that are given by their index.
_MOST = 64
_KEYED = re.compile(r"\[([^\]]+)\]=")


def assign(assign: Assign, state: ShellState) -> None:
    """Carry out one assignment in `state`; what its text alone does not tell becomes a gap.

    Raises ShellError: where bash would not parse a part of it.
    """
    old = state.variables.get(assign.name)
    if isinstance(assign.value, tuple) and assign.value and all(_KEYED.match(word.source) for word in assign.value):
        _keyed(assign, state)
        return
    if isinstance(assign.value, tuple):
        items = tuple(fields(assign.value, state))
        if assign.append and old is not None:
            items = (*old.fields, *items)
        state.set(assign.name, Variable(items, True, assign.line))
        return
    value = value_of(assign.value, state)
    if assign.index is not None:
        base = list(old.fields) if old is not None and old.array else []
        if (old is not None and old.keys) or not re.fullmatch(r"[\d\s$]+", assign.index):
            _put(assign.name, assign.index, value, assign.line, state)
        elif re.fullmatch(r"[0-9]{1,18}", assign.index.strip()):
            index = int(assign.index)
            base += [()] * (index + 1 - len(base)) if index < _MOST else []
            if index < len(base):
                base[index] = value
            state.set(assign.name, Variable(tuple(base), True, assign.line))
        else:
            gap = Gap(f"${{{assign.name}[@]}}", f"an array by names (line {assign.line})")
            state.set(assign.name, Variable(((Piece(gap.written, gap),),), True, assign.line))
        return
    if assign.append:
        if old is not None and old.array:
            first = (*(old.fields[0] if old.fields else ()), *value)
            state.set(assign.name, Variable((first, *old.fields[1:]), True, assign.line))
            return
        current = state.get(assign.name)
        value = (*(current.fields[0] if current is not None and current.fields else ()), *value)
    state.set(assign.name, Variable((value,), False, assign.line))


def _keyed(assign: Assign, state: ShellState) -> None:
    """`A=([name]=value …)`."""
    if not assign.append:
        state.set(assign.name, Variable((), True, assign.line))
    for word in assign.value if isinstance(assign.value, tuple) else ():
        match = _KEYED.match(word.source)
        item = Reader(word.source[match.end() :], word.line).word() if match else None
        value = value_of(item, state) if item is not None else ()
        if match is not None:
            _put(assign.name, match[1], value, assign.line, state)


def _put(name: str, key: str, value: Field, line: int, state: ShellState) -> None:
    old = state.variables.get(name)
    keys = list(old.keys) if old is not None else []
    items = list(old.fields) if old is not None and old.keys else []
    text = text_of(value_of(TreeWord(pieces_of(key, line), line, key), state)).strip("\"'")
    if text in keys:
        items[keys.index(text)] = value
    else:
        keys.append(text)
        items.append(value)
    state.set(name, Variable(tuple(items), True, line, tuple(keys)))
