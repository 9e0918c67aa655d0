"""Versions of the driver, and of packages by the rules of both package managers.

Sources: deb-version(7); rpm, docs/manual/dependencies.md and rpmio/rpmvercmp.c (`~` sorts before, `^` after the end).
"""

from __future__ import annotations

import re
from functools import cmp_to_key
from itertools import zip_longest
from typing import Callable

# 580.95.05, 570.169, 418.226.00; NVIDIA's branches have three digits since 2017.
_DRIVER = re.compile(r"(\d{3}\.\d{1,4}(?:\.\d{1,3})?)(?![.\d])")
_DEBIAN_PARTS = re.compile(r"(\D*)(\d*)")
_RPM_PARTS = re.compile(r"[0-9]+|[a-zA-Z]+|~|\^")


def driver(full: str) -> str:
    """The driver's version in a package's: "3:580.95.05-1.el9" is 580.95.05; "" where there is none."""
    match = _DRIVER.match(full.split(":", 1)[-1])
    return match[1] if match else ""


def branch(version: str) -> str:
    """580 of 580.95.05."""
    return version.split(".", 1)[0]


def numbers(version: str) -> tuple[int, ...]:
    """A driver's version for comparing: 580.142 is newer than 580.95.05."""
    return tuple(int(part) for part in version.split("."))


def compare_debian(left: str, right: str) -> int:
    """Below, at or above zero as `left` is older than, as old as, or newer than `right`."""
    epochs = int(_epoch(left)) - int(_epoch(right))
    if epochs:
        return epochs
    upstream_left, revision_left = _parts(left)
    upstream_right, revision_right = _parts(right)
    return _debian(upstream_left, upstream_right) or _debian(revision_left, revision_right)


def compare_rpm(left: str, right: str) -> int:
    """The same for [epoch:]version-release."""
    epochs = int(_epoch(left)) - int(_epoch(right))
    if epochs:
        return epochs
    version_left, release_left = _parts(left)
    version_right, release_right = _parts(right)
    return _rpm(version_left, version_right) or _rpm(release_left, release_right)


def newest(family: str, versions: list[str]) -> str:
    """The highest of some full versions, at least one."""
    compare: Callable[[str, str], int] = compare_debian if family == "debian" else compare_rpm
    return max(versions, key=cmp_to_key(compare))


def _epoch(version: str) -> str:
    head, colon, __ = version.partition(":")
    return head if colon and head.isdigit() else "0"


def _parts(version: str) -> tuple[str, str]:
    head, colon, rest = version.partition(":")
    body = rest if colon and head.isdigit() else version
    first, dash, last = body.rpartition("-")
    return (first, last) if dash else (body, "")


def _debian(left: str, right: str) -> int:
    for (word_left, number_left), (word_right, number_right) in zip_longest(
        _DEBIAN_PARTS.findall(left), _DEBIAN_PARTS.findall(right), fillvalue=("", "")
    ):
        for one, other in zip_longest(map(_order, word_left), map(_order, word_right), fillvalue=0):
            if one != other:
                return one - other
        difference = int(number_left or "0") - int(number_right or "0")
        if difference:
            return difference
    return 0


def _order(character: str) -> int:
    """Letters before everything else, the tilde before even the end of the word."""
    if character == "~":
        return -1
    return ord(character) if character.isalpha() else ord(character) + 256


def _rpm(left: str, right: str) -> int:
    ours, theirs = _RPM_PARTS.findall(left), _RPM_PARTS.findall(right)
    for one, other in zip_longest(ours, theirs, fillvalue=""):
        if one == other:
            continue
        if "~" in (one, other):
            return -1 if one == "~" else 1
        if "^" in (one, other):
            # After the end of the other it is newer, before more of the other it is older.
            return (1 if not other else -1) if one == "^" else (-1 if not one else 1)
        if not one or not other:
            return 1 if one else -1
        if one.isdigit() and other.isdigit():
            difference = int(one) - int(other)
            if difference:
                return difference
        elif one.isdigit() or other.isdigit():
            return 1 if one.isdigit() else -1
        else:
            return 1 if one > other else -1
    return 0
