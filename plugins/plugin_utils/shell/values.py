"""Values of a shell's variables as far as the text alone says them.

A value is known, or has gaps: what only the running shell could tell, or what a branch or loop decides. A gap stands for
text with `taken` where a default, or the way without arguments, says what it is all the same.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

_BLANK = (" ", "\t", "\n")
# Characters that are told of one value, and of all that a variable can be.
_SHOWN, _SAID = 400, 2000


class Gap(NamedTuple):
    """`written`: as the script has it; `why`: what it can be, and where that is decided, "" where only the shell knows.

    `taken`: a value stands for it. `outside`: it comes from whoever starts the script, and may be unset.
    """

    written: str
    why: str = ""
    taken: bool = False
    outside: bool = False


class Piece(NamedTuple):
    """`gap` with `taken` False: `text` is what is written for it."""

    text: str
    gap: Gap | None = None
    quoted: bool = False


Field = tuple[Piece, ...]


class Word(NamedTuple):
    """A word of a command. `gaps`: what is not certain of it. `loose`: nothing of it is known, and it may be many words."""

    text: str
    gaps: tuple[Gap, ...] = ()
    loose: bool = False
    line: int = 0


@dataclass(frozen=True)
class Variable:
    """`fields`: the items of an array, one for plain text. `line`: where it was set last. `keys`: of an array by names."""

    fields: tuple[Field, ...]
    array: bool = False
    line: int = 0
    keys: tuple[str, ...] = ()


def text_of(field: Iterable[Piece]) -> str:
    """The text, with what is written or taken in the place of each gap."""
    return "".join(piece.text for piece in field)


def gaps_of(field: Iterable[Piece]) -> tuple[Gap, ...]:
    """Its gaps, each once, in their order; for some of them a value may be taken."""
    return tuple(dict.fromkeys(piece.gap for piece in field if piece.gap is not None))


def open_gaps(field: Iterable[Piece]) -> tuple[Gap, ...]:
    """Gaps for which no value is taken."""
    return tuple(gap for gap in gaps_of(field) if not gap.taken)


def known(field: Iterable[Piece]) -> bool:
    """Whether the text is certain, or taken."""
    return not open_gaps(field)


def is_absent(field: Field) -> bool:
    """Whether it is no word, and only tells that there may be some."""
    return bool(gaps_of(field)) and not text_of(field) and not any(piece.quoted for piece in field)


def word_of(field: Field, line: int) -> Word:
    """A field as a word of a command; `line`: of that command."""
    gaps = gaps_of(field)
    loose = any(not gap.taken for gap in gaps) and all(not piece.text or _is_open(piece) for piece in field)
    return Word(text_of(field), gaps, loose and not any(piece.quoted for piece in field), line)


def _is_open(piece: Piece) -> bool:
    return piece.gap is not None and not piece.gap.taken


def with_gaps(text: str, gaps: Sequence[Gap], written: str, quoted: bool = False) -> Field:
    """A text that was computed from others, with what is not certain of them."""
    unknown = [gap for gap in gaps if not gap.taken]
    if unknown:
        return (Piece(written, Gap(written, unknown[0].why, outside=all(gap.outside for gap in unknown)), quoted),)
    if gaps:
        return (Piece(text, gaps[0], quoted), *(Piece("", gap, quoted) for gap in gaps[1:]))
    return (Piece(text, None, quoted),)


def split(field: Field) -> list[Field]:
    """The words of unquoted text: it is split at blanks, but for what stands for a gap."""
    found: list[list[Piece]] = [[]]
    for piece in field:
        if piece.quoted or _is_open(piece):
            found[-1].append(piece)
            continue
        # What a shell splits at, and no other space.
        parts = re.findall(r"[^ \t\n]+", piece.text)
        if piece.text[:1] in _BLANK and found[-1]:
            found.append([])
        if not parts and piece.gap is not None:
            found[-1].append(piece)
        for index, part in enumerate(parts):
            if index:
                found.append([])
            found[-1].append(Piece(part, piece.gap))
        if parts and piece.text[-1:] in _BLANK:
            found.append([])
    return [tuple(pieces) for pieces in found if pieces]


def merged(name: str, ways: Sequence[tuple[Variable | None, str]], taken: int | None) -> Variable | None:
    """One variable after several ways, each with the words that say when it is gone. `taken`: the way that is believed.

    What all have in common at the beginning stays; the rest is a gap that says each value.
    """
    values = [value for value, __ in ways]
    first = values[0]
    if all(_same(value, first) for value in values):
        return first
    present = [value for value in values if value is not None]
    line = max(value.line for value in present)
    array = any(value.array for value in present)
    fields = [_items(value) for value in values]
    common = _common(fields)
    written = f"${{{name}[@]}}" if array else f"${name}"
    # Each once and not without end: what was said before is said again after every further branch.
    said = dict.fromkeys(_alternative(items[common:], when, written) for items, (__, when) in zip(fields, ways))
    alternatives = _cut("; ".join(said), _SAID)
    gap = Gap(written, alternatives, taken is not None)
    if taken is not None:
        rest = fields[taken][common:]
        marked = tuple(
            (
                *(piece if piece.gap is not None else piece._replace(gap=gap) for piece in item),
                *([Piece("", gap)] if all(piece.gap is not None for piece in item) else []),
            )
            for item in rest
        )
        # Every word of the rest knows of the gap, and an empty rest too.
        marked = marked or ((Piece("", gap),),)
        return _variable((*fields[taken][:common], *marked), array, line)
    return _variable((*fields[0][:common], (Piece("" if common else written, gap),)), array, line)


def _variable(items: tuple[Field, ...], array: bool, line: int) -> Variable:
    if array:
        return Variable(items, True, line)
    joined: list[Piece] = []
    for item in items:
        if joined:
            joined.append(Piece(" "))
        joined += item
    return Variable((tuple(joined),), False, line)


def _same(one: Variable | None, other: Variable | None) -> bool:
    return (one and one.fields) == (other and other.fields)


def _items(value: Variable | None) -> tuple[Field, ...]:
    """An array's items; text as its words, so that what is appended in one branch leaves the rest known."""
    if value is None:
        return ()
    if value.array or not value.fields:
        return tuple(map(_joined, value.fields))
    return tuple(map(_joined, split(tuple(piece._replace(quoted=False) for piece in value.fields[0]))))


def _joined(field: Field) -> Field:
    """The same value as the same pieces, however it was put together."""
    found: list[Piece] = []
    for piece in field:
        if found and piece.gap is None and found[-1].gap is None and piece.text:
            found[-1] = Piece(found[-1].text + piece.text)
        elif piece.text or piece.gap is not None or not found:
            found.append(piece._replace(quoted=False))
    return tuple(found)


def _common(fields: Sequence[tuple[Field, ...]]) -> int:
    count = 0
    while all(len(items) > count and items[count] == fields[0][count] for items in fields):
        count += 1
    return count


def _alternative(items: Sequence[Field], when: str, written: str) -> str:
    """What a variable is on one way; what was said of it before is not lost."""
    gaps = [gap for item in items for gap in gaps_of(item)]
    before = list(dict.fromkeys(gap.why for gap in gaps if gap.why and gap.written == written))
    if before:
        return "; ".join(before)
    if len(items) == 1 and gaps and gaps[0].outside and gaps[0].written == written:
        return f"{written} of whoever starts it, or nothing, {when}"
    return f"{_shown(items)} {when}"


def _shown(items: Sequence[Field]) -> str:
    return _cut(" ".join(text_of(item) for item in items), _SHOWN) or "nothing"


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[: most - 1]}…"
