"""`[ … ]`, `[[ … ]]` and `(( … ))`: whether they hold, as far as the script alone says it."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Sequence
from typing import NamedTuple

from ansible_collections.baremetal.vllm.plugins.plugin_utils.shell.arithmetic import NoNumber
from ansible_collections.baremetal.vllm.plugins.plugin_utils.shell.expand import _Gap, fields_of, number_of, value_of
from ansible_collections.baremetal.vllm.plugins.plugin_utils.shell.state import ShellState
from ansible_collections.baremetal.vllm.plugins.plugin_utils.shell.tree import Lit, Word
from ansible_collections.baremetal.vllm.plugins.plugin_utils.shell.values import (
    Field,
    Gap,
    gaps_of,
    is_absent,
    known,
    open_gaps,
    text_of,
)


class Truth(NamedTuple):
    """`holds` None: nobody knows. `gaps`: what is taken for it to be so; none where it is certain."""

    holds: bool | None
    gaps: tuple[Gap, ...] = ()

    def negated(self) -> Truth:
        """The opposite, on the same gaps; unknown stays unknown."""
        return Truth(None if self.holds is None else not self.holds, self.gaps)


UNKNOWN = Truth(None)
_COMPARES = {
    "-eq": lambda a, b: a == b,
    "-ne": lambda a, b: a != b,
    "-lt": lambda a, b: a < b,
    "-le": lambda a, b: a <= b,
    "-gt": lambda a, b: a > b,
    "-ge": lambda a, b: a >= b,
}


def both(one: Truth, other: Truth) -> Truth:
    """`one && other`: one that is false decides, also where the other is unknown."""
    if one.holds is False:
        return one
    if other.holds is False:
        return other
    return UNKNOWN if None in (one.holds, other.holds) else Truth(True, (*one.gaps, *other.gaps))


def either(one: Truth, other: Truth) -> Truth:
    """`one || other`: one that is true decides, also where the other is unknown."""
    return both(one.negated(), other.negated()).negated()


def counting(text: str, state: ShellState) -> Truth:
    """`(( … ))`; assignments in it are made."""
    seen: list[Gap] = []
    try:
        return Truth(number_of(text, state, seen) != 0, tuple(seen))
    except (_Gap, NoNumber, ValueError, IndexError):
        return UNKNOWN


def test(words: Sequence[Word], state: ShellState, double: bool) -> Truth:
    """The words between the brackets. `double`: of `[[ ]]`, where the right side of `=` is a pattern.

    Raises ShellError: where bash would not parse a part of it.
    """
    items: list[tuple[Field, str | None]] = []
    for word in words:
        plain = word.plain
        if double:
            items.append((value_of(word, state), plain))
        else:
            expanded = fields_of(word, state)
            items += [(field, plain if plain is not None else _operator(word)) for field in expanded]
    reader = _Reader(items, list(words), state, double)
    truth = reader.alternatives()
    return truth if reader.at >= len(items) else UNKNOWN


def _operator(word: Word) -> str | None:
    """`\\(` and `\\<` are operators in `[ ]`."""
    if len(word.parts) == 1 and isinstance(word.parts[0], Lit) and word.source.startswith("\\"):
        return word.parts[0].text
    return None


class _Reader:
    def __init__(
        self, items: list[tuple[Field, str | None]], words: list[Word], state: ShellState, double: bool
    ) -> None:
        self.items, self.state, self.double, self.at = items, state, double, 0
        self._or = ("||", "-o")
        self._and = ("&&", "-a")

    def _plain(self, offset: int = 0) -> str | None:
        index = self.at + offset
        return self.items[index][1] if index < len(self.items) else None

    def alternatives(self) -> Truth:
        truth = self.conjunction()
        while self._plain() in self._or:
            self.at += 1
            truth = either(truth, self.conjunction())
        return truth

    def conjunction(self) -> Truth:
        truth = self.one()
        while self._plain() in self._and:
            self.at += 1
            truth = both(truth, self.one())
        return truth

    def one(self) -> Truth:
        plain = self._plain()
        if plain == "!" and self.at + 1 < len(self.items):
            self.at += 1
            return self.one().negated()
        if plain == "(":
            self.at += 1
            truth = self.alternatives()
            self.at += 1
            return truth
        operator = self._plain(1)
        if (operator in ("=", "==", "!=", "=~", "<", ">") or operator in _COMPARES) and self.at + 2 < len(self.items):
            left, right = self.items[self.at][0], self.items[self.at + 2][0]
            self.at += 3
            return self._compare(left, str(operator), right)
        if plain is not None and re.fullmatch(r"-[a-zA-Z]", plain) and self.at + 1 < len(self.items):
            field = self.items[self.at + 1][0]
            self.at += 2
            return self._unary(plain, field)
        if self.at >= len(self.items):
            return Truth(False)
        field = self.items[self.at][0]
        self.at += 1
        return self._unary("-n", field)

    def _unary(self, operator: str, field: Field) -> Truth:
        if operator in ("-z", "-n"):
            if known(field):
                return Truth(bool(text_of(field)) == (operator == "-n"), gaps_of(field))
            # What nobody set is empty, as the script stands alone.
            if all(gap.outside for gap in open_gaps(field)) and _is_gap(field):
                return Truth(operator == "-z", open_gaps(field))
            return UNKNOWN
        if operator == "-v" and known(field):
            variable = self.state.get(text_of(field))
            gaps = open_gaps(variable.fields[0]) if variable and variable.fields else ()
            if gaps and all(gap.outside for gap in gaps):
                return Truth(False, gaps)
            return Truth(variable is not None)
        return UNKNOWN

    def _compare(self, left: Field, operator: str, right: Field) -> Truth:
        gaps = (*gaps_of(left), *gaps_of(right))
        if operator in _COMPARES:
            seen: list[Gap] = []
            try:
                values = (
                    [number_of(text_of(side) or "0", self.state, seen) for side in (left, right)]
                    if known(left) and known(right)
                    else []
                )
            except (_Gap, NoNumber, ValueError, IndexError):
                values = []
            return Truth(_COMPARES[operator](*values), (*gaps, *seen)) if values else UNKNOWN
        if not known(left) or not known(right):
            # `[ "$1" = --help ]`: what nobody gave is empty.
            unset = [side for side in (left, right) if not known(side)]
            if len(unset) == 1 and _is_gap(unset[0]) and all(gap.outside for gap in open_gaps(unset[0])):
                return UNKNOWN
            return UNKNOWN
        one, other = text_of(left), text_of(right)
        if operator == "=~":
            return _matches(one, other, gaps)
        if operator in ("<", ">"):
            return Truth(one < other if operator == "<" else one > other, gaps)
        same = fnmatch.fnmatchcase(one, _pattern(right)) if self.double else one == other
        return Truth(same == (operator != "!="), gaps)


def _pattern(field: Field) -> str:
    """Quoted text of a pattern stands for itself."""
    return "".join(re.sub(r"([*?\[])", r"[\1]", piece.text) if piece.quoted else piece.text for piece in field)


def matches(subject: Field, pattern: Field) -> bool:
    """Whether a known word fits a pattern of a `case`."""
    return fnmatch.fnmatchcase(text_of(subject), _pattern(pattern))


def _matches(text: str, pattern: str, gaps: tuple[Gap, ...]) -> Truth:
    for name, letters in (("digit", "0-9"), ("alpha", "A-Za-z"), ("alnum", "A-Za-z0-9"), ("space", r"\s")):
        pattern = pattern.replace(f"[:{name}:]", letters)
    try:
        return Truth(re.search(pattern, text) is not None, gaps)
    except re.error:
        return UNKNOWN


def _is_gap(field: Field) -> bool:
    """Whether the whole word is one gap."""
    return all(piece.gap is not None or not piece.text for piece in field) and not is_absent(field)
