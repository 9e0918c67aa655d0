"""One option, or one key of it, followed from fate to fate until the release in question takes what it has become."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, NamedTuple

from ansible_collections.baremetal.vllm.plugins.module_utils.text.names import numbers
from ansible_collections.baremetal.vllm.plugins.plugin_utils.options import fates, load
from ansible_collections.baremetal.vllm.plugins.plugin_utils.options.fates import Fate, FateRule
from ansible_collections.baremetal.vllm.plugins.plugin_utils.options.known import Path, accepts, data, every, knows
from ansible_collections.baremetal.vllm.plugins.plugin_utils.options.mending import mended
from ansible_collections.baremetal.vllm.plugins.plugin_utils.options.model import Release
from ansible_collections.baremetal.vllm.plugins.plugin_utils.options.rules import Unmade, fitting, made


@dataclass(frozen=True)
class Way:
    """To a release, and where it is known from which. `choices`: values that plug-ins add, by option; `accelerators` of the
    hosts, none where they are not known."""

    release: Release
    came_from: str | None = None
    choices: Mapping[str, tuple[Any, ...]] = field(default_factory=dict)
    accelerators: frozenset[str] = frozenset()

    @property
    def to(self) -> str:
        """The version that is moved to (0.32.0)."""
        return self.release.version


class Reason(NamedTuple):
    """Why something is written another way. `since`: the release that began it, "" where no release ever took it.

    `rule` is None where nothing takes its place; `returned` where a renaming is taken back for an older release.
    """

    path: Path
    since: str
    fate: Fate | None
    rule: FateRule | None
    returned: bool = False


class Trail(NamedTuple):
    """From a path and its value that the release does not take, to what is written instead (nothing, maybe)."""

    path: Path
    value: Any
    written: tuple[tuple[Path, Any], ...]
    reasons: tuple[Reason, ...]


class Followed(NamedTuple):
    """What is `written` for one path, none where it goes, and the `trails` that led there, in order."""

    written: tuple[tuple[Path, Any], ...]
    trails: tuple[Trail, ...]


def follow(path: Path, value: Any, way: Way, seen: frozenset[str] = frozenset()) -> Followed:
    """What to write for one path; empty trails where the release takes it as it is."""
    if accepts(way.release, path, value) or (len(path) == 1 and value in way.choices.get(path[0], ())):
        return Followed(((path, value),), ())
    step = f"{path} {value!r}"
    if step in seen:
        return _lost(path, value, way)
    seen |= {step}
    replaced = _replaced(path, value, way, seen) or _returned(path, value, way, seen)
    if replaced is not None:
        return replaced
    inside = data(value)
    if isinstance(inside, Mapping) and inside:
        parts = [follow((*path, str(key)), item, way, seen) for key, item in inside.items()]
        # One sentence is enough for an option that is wholly unknown.
        if knows(way.release, path) or any(part.written for part in parts):
            return Followed(
                tuple(end for part in parts for end in part.written), tuple(t for part in parts for t in part.trails)
            )
    return _lost(path, value, way)


def _replaced(path: Path, value: Any, way: Way, seen: frozenset[str]) -> Followed | None:
    fate = fates.options().get(".".join(path))
    found = fitting(fate, value, way.to, way.came_from) if fate is not None else None
    if found is None:
        return None
    own, rule = found
    try:
        ends = made(rule, value)
    except Unmade:
        return None
    return _onward(path, value, ends, Reason(path, since(path, value, own, way), own, rule), way, seen)


def _returned(path: Path, value: Any, way: Way, seen: frozenset[str]) -> Followed | None:
    """The old name of what was renamed, for a release before the renaming."""
    for old, rule in _renamings().get(path, ()):
        if rule.when is None:
            end = (old, value)
        elif isinstance(rule.when, tuple) and value == next(iter(rule.write.values())):
            end = (old, rule.when[0])
        else:
            continue
        if knows(way.release, old) and accepts(way.release, *end):
            reason = Reason(path, since(path, value, None, way), None, rule, returned=True)
            return _onward(path, value, [end], reason, way, seen)
    return None


def _onward(
    path: Path, value: Any, ends: list[tuple[Path, Any]], reason: Reason, way: Way, seen: frozenset[str]
) -> Followed:
    parts = [follow(new, item, way, seen) for new, item in ends]
    written = tuple((end, mended(end, item, way.release)) for part in parts for end, item in part.written)
    reasons = (reason, *(r for part in parts for trail in part.trails for r in trail.reasons))
    return Followed(written, (Trail(path, value, written, reasons),))


def _lost(path: Path, value: Any, way: Way) -> Followed:
    fate = fates.options().get(".".join(path))
    if fate is not None and not isinstance(value, (Mapping, list, tuple)):
        fate = fate.values.get(value, fate)
    return Followed((), (Trail(path, value, (), (Reason(path, since(path, value, fate, way), fate, None),)),))


@lru_cache(maxsize=1)
def _renamings() -> dict[Path, list[tuple[Path, FateRule]]]:
    """New path to the old ones that became it and nothing else, by vLLM's own word."""
    back: dict[Path, list[tuple[Path, FateRule]]] = {}
    for old, fate in fates.options().items():
        for rule in fate.becomes:
            new = list(rule.write.items())
            if len(new) != 1 or rule.judgement or not fate.gone:
                continue
            plain = new[0][1] == "=" and rule.when is None
            # Of the values that became one, only a switch says which it was.
            constant = rule.when in ((True,), (False,)) and not str(new[0][1]).startswith("=")
            if plain or constant:
                back.setdefault(tuple(new[0][0].split(".")), []).append((tuple(old.split(".")), rule))
    return back


def since(path: Path, value: Any, fate: Fate | None, way: Way) -> str:
    """The release from which on (or, going back, before which) this path or value is not taken."""
    if fate is not None and fate.gone and numbers(fate.gone) <= numbers(way.to):
        return fate.gone
    taking = list(_taking(path, value)) or ([] if knows(way.release, path) else list(_taking(path, None)))
    before = [version for version in taking if numbers(version) < numbers(way.to)]
    after = [version for version in taking if numbers(version) > numbers(way.to)]
    if before:
        return next(version for version in load.releases() if numbers(version) > numbers(before[-1]))
    return after[0] if after else ""


def _taking(path: Path, value: Any) -> Iterator[str]:
    for version, release in every():
        if knows(release, path) if value is None else accepts(release, path, value):
            yield version
