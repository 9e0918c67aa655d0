"""Spans of releases, in the order of time."""

from __future__ import annotations

from collections.abc import Sequence

from ansible_collections.baremetal.vllm.plugins.module_utils.text.names import numbers
from ansible_collections.baremetal.vllm.plugins.plugin_utils.options import load


def within(release: str, span: str) -> bool:
    """Whether a release lies in "A..B", "A..", "..B" or ".."; both ends belong to the span."""
    first, __, last = span.partition("..")
    at = numbers(release)
    return (not first or numbers(first) <= at) and (not last or at <= numbers(last))


def between(release: str, one: str, other: str) -> bool:
    """Whether something that began with `release` separates two others, in either direction of time."""
    early, late = sorted((numbers(one), numbers(other)))
    return early < numbers(release) <= late


def spans(having: Sequence[str]) -> str:
    """Releases as spans: "0.9.0 to 0.12.0", "0.9.0 and newer", "all"."""
    versions = list(load.releases())
    places = [versions.index(version) for version in having]
    runs: list[list[int]] = []
    for place in places:
        if runs and runs[-1][1] == place - 1:
            runs[-1][1] = place
        else:
            runs.append([place, place])
    return ", ".join(_span(versions, first, last) for first, last in runs)


def _span(versions: Sequence[str], first: int, last: int) -> str:
    if (first, last) == (0, len(versions) - 1):
        return "all"
    if last == len(versions) - 1:
        return f"{versions[first]} and newer" if first != last else versions[first]
    if first == 0:
        return f"to {versions[last]}"
    return versions[first] if first == last else f"{versions[first]} to {versions[last]}"
