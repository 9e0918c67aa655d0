"""Loops: gone through where the script says how often, once where only the running shell knows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from ansible_collections.baremetal.vllm.plugins.plugin_utils.shell import conditions
from ansible_collections.baremetal.vllm.plugins.plugin_utils.shell.conditions import UNKNOWN, Truth
from ansible_collections.baremetal.vllm.plugins.plugin_utils.shell.expand import fields, text_in, value_of
from ansible_collections.baremetal.vllm.plugins.plugin_utils.shell.questions import has_pattern, names_of, presumed
from ansible_collections.baremetal.vllm.plugins.plugin_utils.shell.state import ShellState
from ansible_collections.baremetal.vllm.plugins.plugin_utils.shell.tree import (
    CountedFor,
    Counting,
    For,
    Node,
    Simple,
    While,
)
from ansible_collections.baremetal.vllm.plugins.plugin_utils.shell.tree import Word as TreeWord
from ansible_collections.baremetal.vllm.plugins.plugin_utils.shell.values import (
    Gap,
    Piece,
    Variable,
    is_absent,
    known,
    open_gaps,
    text_of,
)
from ansible_collections.baremetal.vllm.plugins.plugin_utils.shell.walk import Walk

# Rounds of a loop that are followed, and characters that are told of what a loop goes through.
ROUNDS = 64
_TOLD = 200


def follow_while(walk: Walk, node: While, state: ShellState) -> Truth:
    """Go through a `while` or `until`, ROUNDS times at most; its end tells nothing (UNKNOWN).

    Raises ShellError: where bash would not parse a part of it.
    """
    if (lines := _lines(walk, node, state)) is not None:
        for line in lines[:ROUNDS]:
            walk.nodes(line, state)
            walk.nodes(node.body, state)
            if state.dead:
                return UNKNOWN
        if len(lines) > ROUNDS:
            _further(walk, node.line)
        return UNKNOWN
    endless = (
        len(node.condition) == 1
        and isinstance(node.condition[0], (Simple, Counting))
        and node.source in ("true", ":", "((1))", "(( 1 ))", "[ 1 ]", "false")
    )
    if endless:
        _round(walk, node.body, state, node.line)
        return UNKNOWN
    for __ in range(ROUNDS):
        truth = walk.nodes(node.condition, state)
        truth = truth.negated() if node.until else truth
        if presumed(node.condition[-1:]):
            truth = UNKNOWN
        if truth.holds is False and not truth.gaps:
            return UNKNOWN
        if truth.holds is None or truth.gaps:
            _maybe(walk, node, state, truth)
            return UNKNOWN
        before = dict(state.variables)
        walk.nodes(node.body, state)
        if state.dead or before == state.variables:
            return UNKNOWN
    _further(walk, node.line)
    return UNKNOWN


def _further(walk: Walk, line: int) -> None:
    note = f"Line {line}: {ROUNDS} rounds of the loop are followed, further ones are not here"
    if note not in walk.notes:
        walk.notes.append(note)


def _lines(walk: Walk, node: While, state: ShellState) -> list[tuple[Node]] | None:
    """`while read …; do …; done <<END`: the `read` of each line; None for every other loop."""
    asked = node.condition[-1] if len(node.condition) == 1 else None
    given = [redirect for redirect in node.redirects if redirect.body is not None or redirect.op == "<<<"]
    if not given or not isinstance(asked, Simple) or not asked.words:
        return None
    first = asked.words[0]
    if not isinstance(first, TreeWord) or first.plain != "read":
        return None
    body = given[-1]
    text = value_of(body.target, state) if body.op == "<<<" else (Piece(body.body or ""),)
    if body.op != "<<<" and body.expands:
        text = text_in(body.body or "", state, node.line)
    if not known(text):
        return None
    return [
        (replace(asked, redirects=[replace(body, op="<<", body=f"{line}\n", expands=False)]),)
        for line in text_of(text).splitlines()
    ]


def _maybe(walk: Walk, node: While, state: ShellState, truth: Truth) -> None:
    taken = 1 if truth.holds is False else None
    word = "until" if node.until else "while"
    walk.ways(
        state,
        [
            (lambda way: _round(walk, node.body, way, node.line), f"{word} {node.source} (line {node.line})", ""),
            (
                lambda way: None,
                f"without line {node.line}",
                f"the loop of line {node.line} is passed over ({names_of(truth.gaps)})",
            ),
        ],
        taken,
    )


def _round(walk: Walk, body: Sequence[Node], state: ShellState, line: int) -> None:
    """The first round of a loop of which nobody knows how many there are."""
    walk.nodes(body, state)
    if state.dead:
        state.dead = False


def follow_for(walk: Walk, node: For, state: ShellState) -> Truth:
    """Go through a `for … in …` word by word, or once for all of them where they are too many or not known.

    Raises ShellError: where bash would not parse a part of it.
    """
    items = state.arguments() if node.words is None else fields(node.words, state)
    many = len(items) > ROUNDS
    if many or any(is_absent(item) or open_gaps(item) for item in items) or has_pattern(node):
        written = " ".join(word.source for word in node.words or ()) or '"$@"'
        written = written if len(written) <= _TOLD else f"{written[: _TOLD - 1]}…"
        what = f"one of {len(items)}: each of" if many else "each of"
        state.set(
            node.name,
            Variable(
                ((Piece(f"${node.name}", Gap(f"${node.name}", f"{what} {written} in turn (line {node.line})")),),),
                line=node.line,
            ),
        )
        _round(walk, node.body, state, node.line)
        return UNKNOWN
    for item in items:
        state.set(node.name, Variable((tuple(piece._replace(quoted=False) for piece in item),), line=node.line))
        walk.nodes(node.body, state)
        if state.dead:
            break
    return UNKNOWN


def follow_counted(walk: Walk, node: CountedFor, state: ShellState) -> Truth:
    """Go through a `for ((…))` as long as its condition is known to hold, ROUNDS times at most."""
    conditions.counting(node.start, state)
    for __ in range(ROUNDS):
        truth = conditions.counting(node.condition, state) if node.condition.strip() else Truth(True)
        if truth.holds is False:
            return UNKNOWN
        walk.nodes(node.body, state)
        if state.dead or truth.holds is None:
            return UNKNOWN
        conditions.counting(node.step, state)
    _further(walk, node.line)
    return UNKNOWN
