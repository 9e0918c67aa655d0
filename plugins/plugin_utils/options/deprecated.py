"""What a release still takes, and warns of."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ansible_collections.baremetal.vllm.plugins.module_utils.text.names import normal, numbers
from ansible_collections.baremetal.vllm.plugins.module_utils.text.values import Values
from ansible_collections.baremetal.vllm.plugins.plugin_utils.options import fates
from ansible_collections.baremetal.vllm.plugins.plugin_utils.options.change import OptionChange
from ansible_collections.baremetal.vllm.plugins.plugin_utils.options.fates import Fate
from ansible_collections.baremetal.vllm.plugins.plugin_utils.options.follow import Way
from ansible_collections.baremetal.vllm.plugins.plugin_utils.options.known import Path, data, every, find
from ansible_collections.baremetal.vllm.plugins.plugin_utils.options.merge import gathered
from ansible_collections.baremetal.vllm.plugins.plugin_utils.options.rules import Unmade, fitting, made
from ansible_collections.baremetal.vllm.plugins.plugin_utils.options.sentence import capital, listed


def changes(args: Values, way: Way) -> list[OptionChange]:
    """One change for each option or key of `args` that the release warns of, or that does nothing any more."""
    told = []
    for path, value in _leaves(args):
        fate = fates.options().get(".".join(path), Fate())
        of_value = None if isinstance(value, (Mapping, list, tuple)) else fate.values.get(value)
        warned = next((f for f in (of_value, fate) if f is not None and _began(f, way.to)), None)
        if warned is not None:
            told.append(_told(path, value, warned, _began(warned, way.to), way))
        elif len(path) == 1 and (first := _first_warning(path, way)):
            told.append(_told(path, value, fate, first, way))
    return told


def _began(fate: Fate, to: str) -> str:
    """The release of the first warning, if it has begun by then."""
    begun = [release for release in (fate.deprecated, fate.idle) if release and numbers(release) <= numbers(to)]
    return min(begun, key=numbers) if begun else ""


def _first_warning(path: Path, way: Way) -> str:
    spec = find(way.release, path[0])
    if spec is None or not spec.deprecated:
        return ""
    return next((v for v, release in every() if (s := find(release, path[0])) is not None and s.deprecated), way.to)


def _told(path: Path, value: Any, fate: Fate, first: str, way: Way) -> OptionChange:
    texts = [capital(fate.why)] if fate.why else []
    if fate.idle and numbers(fate.idle) <= numbers(way.to):
        texts.append(f"It has no effect from {fate.idle} on")
    found = fitting(fate, value, way.to, way.came_from)
    try:
        ends = made(found[1], value) if found else []
    except Unmade:
        ends = []
    if ends:
        texts.append(f"{capital(listed(gathered(ends)))} says the same")
    elif fate.do:
        texts.append(capital(fate.do))
    spec = find(way.release, path[0])
    if not texts and spec is not None and spec.deprecated:
        texts.append(capital(spec.deprecated))
    return OptionChange(".".join(path), "deprecated", first, value, {}, ". ".join(texts))


def _leaves(args: Values) -> Iterator[tuple[Path, Any]]:
    """Every option, and every key inside of its JSON."""
    heads = set()
    for option, value in args.items():
        path = tuple(normal(str(option)).split("."))
        if len(path) > 1 and path[:1] not in heads:
            # What is warned of is the option, by whichever of its keys it is written.
            heads.add(path[:1])
            yield path[:1], {}
        yield from _walk(path, data(value))


def _walk(path: Path, value: Any) -> Iterator[tuple[Path, Any]]:
    yield path, value
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield from _walk((*path, str(key)), item)
