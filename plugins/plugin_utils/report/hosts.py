"""Many host names in a few words, from which every one of them can be read back."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

_NUMBER = re.compile(r"[0-9]+")
# A range or a list of numbers breaks into several words from here on: what is longer fits no column.
_LONGEST = 32


def folded(names: Iterable[str]) -> str:
    """Names with their numbers as ranges, in the notation of ClusterShell and Slurm; each name once.

    Names are folded that differ in one number and nothing else; leading zeros are part of a number. A name with brackets or
    blanks of its own stays as it is.

    >>> folded(["gpu01", "gpu02", "gpu03", "head", "gpu10"])
    'gpu[01-03,10], head'
    """
    return ", ".join(_words(dict.fromkeys(names)))


def said(names: Iterable[str]) -> str:
    """The same with how many they are; one name alone is only itself."""
    known = dict.fromkeys(names)
    return folded(known) + (f" ({len(known)} hosts)" if len(known) > 1 else "")


def _words(names: Iterable[str]) -> Iterator[str]:
    left = dict.fromkeys(names)
    shapes: dict[tuple[str, str], dict[str, str]] = {}
    for name in left:
        for shape, number in _shapes(name):
            shapes.setdefault(shape, {})[number] = name
    # The number that most names have in common is the one that counts them: of r1-gpu1 to r1-gpu8, the second.
    order = {name: place for place, name in enumerate(left)}
    words: dict[int, list[str]] = {}
    for (before, after), numbers in sorted(shapes.items(), key=lambda item: -len(item[1])):
        free = {number: name for number, name in numbers.items() if name in left}
        if len(free) < 2:
            continue
        for name in free.values():
            del left[name]
        place = min(order[name] for name in free.values())
        words[place] = [f"{before}[{part}]{after}" for part in _parts(free)]
    words.update({order[name]: [name] for name in left})
    for __, found in sorted(words.items()):
        yield from found


def _shapes(name: str) -> Iterator[tuple[tuple[str, str], str]]:
    """Each number of a name, with what stands before and after it; the last one first, for it wins among equals."""
    if any(char in "[], " for char in name):
        return
    for found in reversed(list(_NUMBER.finditer(name))):
        yield (name[: found.start()], name[found.end() :]), found.group()


def _parts(numbers: Iterable[str]) -> Iterator[str]:
    """Ranges between commas, cut where they grow too long to stand in a column."""
    part = ""
    for span in _spans(sorted(numbers, key=lambda number: (len(number), number))):
        if part and len(part) + len(span) >= _LONGEST:
            yield part
            part = ""
        part += f",{span}" if part else span
    yield part


def _spans(numbers: list[str]) -> Iterator[str]:
    """Runs of numbers; one goes on while the next, written as wide as its first, is the number that follows."""
    first = last = numbers[0]
    for number in numbers[1:]:
        if number == str(int(last) + 1).zfill(len(first)):
            last = number
            continue
        yield _span(first, last)
        first = last = number
    yield _span(first, last)


def _span(first: str, last: str) -> str:
    return first if first == last else f"{first}{',' if int(last) - int(first) == 1 else '-'}{last}"
