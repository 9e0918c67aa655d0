"""What does another thing in the other release, though it is written the same, or not at all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ansible_collections.baremetal.vllm.plugins.module_utils.text.names import numbers
from ansible_collections.baremetal.vllm.plugins.module_utils.text.values import Values
from ansible_collections.baremetal.vllm.plugins.plugin_utils.migration.parsed_args import Written
from ansible_collections.baremetal.vllm.plugins.plugin_utils.options import fates, load
from ansible_collections.baremetal.vllm.plugins.plugin_utils.options.change import OptionChange
from ansible_collections.baremetal.vllm.plugins.plugin_utils.options.fates import OptionMeaning
from ansible_collections.baremetal.vllm.plugins.plugin_utils.options.follow import Way
from ansible_collections.baremetal.vllm.plugins.plugin_utils.options.known import Path, accepts, data, find
from ansible_collections.baremetal.vllm.plugins.plugin_utils.options.merge import gathered
from ansible_collections.baremetal.vllm.plugins.plugin_utils.options.model import UNKNOWN, Release
from ansible_collections.baremetal.vllm.plugins.plugin_utils.options.sentence import capital, flow, listed
from ansible_collections.baremetal.vllm.plugins.plugin_utils.options.spans import between


def changes(entries: Sequence[Written], args: Values, way: Way, env: Values | None = None) -> list[OptionChange]:
    """What changes its meaning between the two releases, in the order of time; nothing where one of them is unknown.

    `entries`: what was written before, `args`: what is written for the release moved to; `env`: the variables of both.
    """
    if way.came_from is None:
        return []
    before = {entry.option: data(entry.value) for entry in entries if entry.value is not None}
    after = {option: data(value) for option, value in args.items()}
    on_the_way = [meaning for meaning in fates.meanings() if between(meaning.since, way.came_from, way.to)]
    found = [meaning for meaning in on_the_way if _concerns(meaning, before, after, way, env or {})]
    return [_change(meaning, after, way) for meaning in sorted(found, key=lambda m: numbers(m.since))]


def _concerns(
    meaning: OptionMeaning, before: Mapping[str, object], after: Mapping[str, object], way: Way, env: Values
) -> bool:
    path = tuple(meaning.option.split("."))
    if meaning.beside and meaning.beside not in before:
        return False
    if meaning.accelerator and way.accelerators and meaning.accelerator not in way.accelerators:
        return False
    if fates.is_variable(meaning.option):
        return meaning.option not in env and _differs(meaning.option, way)
    if meaning.when == "given":
        return _at(after, path) is not None
    if len(path) > 1:
        # A key left out of an option that is given, or of one that has its effect without being given.
        given = path[0] in before and path[0] in after
        return (given or _in_force(path[0], way)) and _at(after, path) is None and _at(before, path) is None
    return path[0] not in after and not any(option in before for option in (path[0], *_predecessors(path[0])))


def _at(args: Values, path: Path) -> Any:
    value: Any = args
    for key in path:
        value = value.get(key) if isinstance(value, Mapping) else None
    return value


def _differs(name: str, way: Way) -> bool:
    """Whether a variable has another default now. One that did not exist switched nothing on."""
    one, other = (r.environment.get(name) if r else None for r in (load.release(way.came_from or ""), way.release))
    if other is None:
        return False
    was = (
        one.default
        if one is not None
        else False
        if isinstance(other.default, bool) or other.default is None
        else other.default
    )
    return bool(was != other.default)


def _in_force(option: str, way: Way) -> bool:
    """Whether both releases make an object of this option's dataclass where nothing is written: its default is no null."""
    defaults = [_default(load.release(version), (option,)) for version in (way.came_from or "", way.to)]
    return all(isinstance(default, Mapping) for default in defaults)


def _predecessors(option: str) -> set[str]:
    """Options that became this one: whoever wrote them has said what is wanted."""
    return {
        old
        for old, fate in fates.options().items()
        if any(path.partition(".")[0] == option for rule in fate.becomes for path in rule.write)
    }


def _change(meaning: OptionMeaning, args: Values, way: Way) -> OptionChange:
    path = tuple(meaning.option.split("."))
    forward = numbers(way.came_from or "") < numbers(way.to)
    texts = [capital(meaning.says) if forward else f"Before {meaning.since} this is not so: {meaning.says}"]
    texts += _defaults(path, way) if meaning.when == "absent" else []
    if fates.is_variable(meaning.option):
        if meaning.keep is not None and forward:
            texts.append(f"{listed({meaning.option: meaning.keep})} in `env` keeps it as it was")
    elif meaning.keep is not None and forward and accepts(way.release, path, meaning.keep):
        texts.append(f"{listed(gathered([(path, meaning.keep)]))} keeps it as it was")
    return OptionChange(meaning.option, "meaning", meaning.since, _at(args, path), {}, ". ".join(texts))


def _defaults(path: Path, way: Way) -> list[str]:
    one, other = (_default(load.release(version), path) for version in (way.came_from or "", way.to))
    # null is a choice made at the start, which is no value to tell.
    if any(value in (UNKNOWN, None) for value in (one, other)) or one == other:
        return []
    return [f"Left out it was {flow(one)} and is {flow(other)}"]


def _default(release: Release | None, path: Path) -> Any:
    """UNKNOWN too where the release has no such option or key."""
    spec = find(release, path[0]) if release is not None else None
    if release is None or spec is None or len(path) > 2:
        return UNKNOWN
    if len(path) == 1:
        return spec.default
    config = release.configs.get(spec.config or "")
    field = config.fields.get(path[1]) if config is not None else None
    return field.default if field is not None else UNKNOWN
