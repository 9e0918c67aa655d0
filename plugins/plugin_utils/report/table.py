"""Tables for people at a terminal: as wide as it is and no wider, hosts that have the same to tell in one place."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Callable, TypeVar

from ansible_collections.baremetal.vllm.plugins.module_utils.text.words import printable
from ansible_collections.baremetal.vllm.plugins.plugin_utils.report.hosts import said
from ansible_collections.baremetal.vllm.plugins.plugin_utils.report.screen import Screen
from ansible_collections.baremetal.vllm.plugins.plugin_utils.report.words import cells, filled, padded, wrapped

Reason = TypeVar("Reason", bound=Hashable)

_GAP = 2
# A column of sentences becomes no narrower than this before it moves below its row, one of hosts no wider than a third.
_NARROWEST = 24
_BELOW = "    "
# So many hosts with the same rows share them.
_FEWEST = 5


@dataclass(frozen=True)
class Column:
    """`wraps`: its texts are sentences, which may go on in the next line."""

    name: str
    wraps: bool = False


@dataclass(frozen=True)
class Figure:
    """A number that may differ between hosts that are told as one: they show the range. `form` writes one number."""

    value: float
    form: Callable[[float], str]


@dataclass(frozen=True)
class Row:
    """`values`: one a column, the host's left out; `tone`: of screen.py; `below`: sentences under it."""

    values: tuple[Any, ...]
    tone: str = ""
    below: tuple[str, ...] = ()


@dataclass
class _Shown:
    """A row on its way to the screen: `cells` are texts, one a column."""

    cells: list[str]
    tone: str = ""
    below: tuple[str, ...] = ()


@dataclass
class _Group:
    """Hosts whose rows are the same, with their places among all; `rows[i]` has the i-th row of each of them."""

    places: list[int] = field(default_factory=list)
    hosts: list[str] = field(default_factory=list)
    rows: list[list[Row]] = field(default_factory=list)


def table(columns: Sequence[Column], rows: Iterable[Row], screen: Screen) -> list[str]:
    """A heading and the rows, in lines. Columns that find no place stand below their row, each with its name."""
    rows = list(rows)
    numbers = [bool(rows) and all(isinstance(row.values[i], (int, float)) for row in rows) for i in range(len(columns))]
    shown = [_Shown([_text(value) for value in row.values], row.tone, row.below) for row in rows]
    return _lines(columns, shown, numbers, screen)


def fleet_table(
    columns: Sequence[Column], hosts: Iterable[tuple[str, Sequence[Row]]], screen: Screen, at: int = 0
) -> list[str]:
    """A table whose column `at` has the host. Five hosts and more whose rows are the same, but for figures, share them.

    `hosts`: by host its rows; one host may come several times. The order is that of the first host of each row.
    """
    groups: dict[tuple[Any, ...], _Group] = {}
    for number, (host, rows) in enumerate(hosts):
        group = groups.setdefault(tuple(_same(row) for row in rows), _Group(rows=[[] for __ in rows]))
        group.places.append(number)
        group.hosts.append(host)
        for place, row in enumerate(rows):
            group.rows[place].append(row)
    known = [part for group in groups.values() if group.rows for part in _apart(group)]
    known.sort(key=lambda group: group.places[0])
    # Equal rows of several hosts: a number in them is one number still.
    first = [row[0].values for group in known for row in group.rows]
    numbers = [bool(first) and all(isinstance(v[i], (int, float)) for v in first) for i in range(len(columns) - 1)]
    numbers.insert(at, False)
    shown: list[_Shown] = []
    for group in known:
        label = said(group.hosts)
        if len(group.hosts) > 1 and cells(label) > max(_NARROWEST, screen.width // 3):
            # On lines of its own, or it would leave the others no room.
            shown.append(_Shown([label], ""))
            label = ""
        for same in group.rows:
            texts = [_range([row.values[i] for row in same]) for i in range(len(columns) - 1)]
            texts.insert(at, label)
            shown.append(_Shown(texts, same[0].tone, same[0].below))
    return _lines(columns, shown, numbers, screen)


def _apart(group: _Group) -> list[_Group]:
    """A few equal hosts are found sooner, by people and by their scripts, on rows of their own."""
    if len(group.hosts) >= _FEWEST:
        return [group]
    return [
        _Group([place], [host], [[row[i]] for row in group.rows])
        for i, (place, host) in enumerate(zip(group.places, group.hosts))
    ]


def counted(number: int, what: str) -> str:
    """A number with its noun: `1 host`, `2 hosts`."""
    return f"{number} {what}{'s' * (number != 1)}"


def grouped(told: Iterable[tuple[str, str]]) -> list[str]:
    """Sentences about hosts, each told once with all hosts that it is true of; "" is no host.

    >>> grouped([("h1", "is down"), ("", "the lock is held"), ("h2", "is down")])
    ['h[1,2] (2 hosts): is down', 'the lock is held']
    """
    by_text = by_reason((host, (bool(host), text)) for host, text in told)
    return [f"{said(names)}: {text}" if of_hosts else text for (of_hosts, text), names in by_text.items()]


def by_reason(told: Iterable[tuple[str, Reason]]) -> dict[Reason, list[str]]:
    """By reason the hosts that share it, both in the order in which they came.

    >>> by_reason([("h1", "is down"), ("h2", "is down")])
    {'is down': ['h1', 'h2']}
    """
    hosts: dict[Reason, list[str]] = {}
    for host, reason in told:
        hosts.setdefault(reason, []).append(host)
    return hosts


def _same(row: Row) -> tuple[Any, ...]:
    values = tuple("" if isinstance(value, Figure) else _text(value) for value in row.values)
    kinds = tuple(isinstance(value, Figure) for value in row.values)
    return values, kinds, row.tone, row.below


def _range(values: Sequence[Any]) -> str:
    if not isinstance(values[0], Figure):
        return _text(values[0])
    ordered = sorted(values, key=lambda figure: figure.value)
    return _between(*(_text(figure).split() for figure in (ordered[0], ordered[-1])))


def _between(low: list[str], high: list[str]) -> str:
    """Two figures as a range, the words that they share once: `0.08 to 0.10 s`."""
    if low == high:
        return " ".join(low)
    start = end = 0
    least = min(len(low), len(high)) - 1
    while start < least and low[start] == high[start]:
        start += 1
    while start + end < least and low[-1 - end] == high[-1 - end]:
        end += 1
    return " ".join([*low[: len(low) - end], "to", *high[start:]])


def _text(value: Any) -> str:
    # It may come from a host or from anybody's file, and must not steer the terminal.
    return printable(value.form(value.value) if isinstance(value, Figure) else str(value))


def _lines(columns: Sequence[Column], rows: Sequence[_Shown], numbers: Sequence[bool], screen: Screen) -> list[str]:
    whole = [row for row in rows if len(row.cells) == len(columns)]
    widths = _widths(columns, [row.cells for row in whole], screen.width)
    head = [column.name for column in columns[: len(widths)]]
    lines = _line(head, widths, numbers)
    for row in rows:
        if len(row.cells) < len(columns):
            lines += filled(row.cells[0].split(), screen.width)
            continue
        made = _line(row.cells[: len(widths)], widths, numbers)
        further = zip(columns[len(widths) :], row.cells[len(widths) :])
        made += _items([(column.name, text) for column, text in further if text not in ("", "-")], screen.width)
        made += [line for text in row.below for line in _sentence(text, screen.width)]
        lines += screen.lines(made, row.tone)
    return lines


def _widths(columns: Sequence[Column], rows: Sequence[Sequence[str]], width: int) -> list[int]:
    """The width of each column that has a place: all of them, or as many as there is room for, and one at least."""
    texts = [[column.name, *(row[i] for row in rows)] for i, column in enumerate(columns)]
    natural = [max(cells(text) for text in column) for column in texts]
    least = [
        max(_longest_word(column), min(most, _NARROWEST)) if columns[i].wraps else most
        for i, (column, most) in enumerate(zip(texts, natural))
    ]
    for count in range(len(columns), 1, -1):
        room = width - _GAP * (count - 1) - sum(least[:count])
        if room < 0:
            continue
        found = least[:count]
        for i in range(count):
            more = min(room, natural[i] - found[i])
            found[i] += more
            room -= more
        return found
    return [max(_longest_word(texts[0]), min(natural[0], width))]


def _longest_word(texts: Iterable[str]) -> int:
    return max((cells(word) for text in texts for word in text.split()), default=0)


def _line(texts: Sequence[str], widths: Sequence[int], numbers: Sequence[bool]) -> list[str]:
    """One row, in as many lines as its longest sentence takes."""
    columns = [filled(text.split(), width) if cells(text) > width else [text] for text, width in zip(texts, widths)]
    lines = []
    for place in range(max(len(column) for column in columns)):
        parts = [column[place] if place < len(column) else "" for column in columns]
        aligned = (padded(part, width, right) for part, width, right in zip(parts, widths, numbers))
        lines.append((" " * _GAP).join(aligned).rstrip())
    return lines


def _items(items: Sequence[tuple[str, str]], width: int) -> list[str]:
    """What found no column, as `name: text`, as many of them to a line as it holds."""
    lines: list[str] = []
    room = width - len(_BELOW)
    for line in filled([f"{name.lower()}: {text}" for name, text in items], room, " " * _GAP):
        lines += [_BELOW + line] if cells(line) <= room else _sentence(line, width)
    return lines


def _sentence(text: str, width: int) -> list[str]:
    return wrapped(printable(text), width, _BELOW, _BELOW + "  ").splitlines()
