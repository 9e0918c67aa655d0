"""`args` and `env` of a model entry, rewritten for another release of vLLM, newer or older."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from ansible_collections.baremetal.vllm.plugins.module_utils.text.values import Values
from ansible_collections.baremetal.vllm.plugins.plugin_utils.migration import meaning, refused, variables
from ansible_collections.baremetal.vllm.plugins.plugin_utils.migration.parsed_args import Written, read
from ansible_collections.baremetal.vllm.plugins.plugin_utils.options import deprecated, load
from ansible_collections.baremetal.vllm.plugins.plugin_utils.options.change import OptionChange
from ansible_collections.baremetal.vllm.plugins.plugin_utils.options.check import OPENED_BY
from ansible_collections.baremetal.vllm.plugins.plugin_utils.options.extras import NO_EXTRAS, Extras
from ansible_collections.baremetal.vllm.plugins.plugin_utils.options.follow import Followed, Trail, Way, follow
from ansible_collections.baremetal.vllm.plugins.plugin_utils.options.known import data, knowing
from ansible_collections.baremetal.vllm.plugins.plugin_utils.options.mending import mended
from ansible_collections.baremetal.vllm.plugins.plugin_utils.options.merge import Store, gathered
from ansible_collections.baremetal.vllm.plugins.plugin_utils.options.model import Release
from ansible_collections.baremetal.vllm.plugins.plugin_utils.options.sentence import explain, flow


@dataclass(frozen=True)
class Moved:
    """An entry for another release: `args` and `env` to paste, and what changed, in the order of what was written."""

    args: dict[str, object]
    env: dict[str, object]
    changes: list[OptionChange]


def move(
    args: Values, to: str, came_from: str | None = None, extras: Extras = NO_EXTRAS
) -> tuple[dict[str, object], list[OptionChange]]:
    """`args` as `to` takes them, and every change. Options that `to` takes stay as they were written.

    Raises LookupError where `to` is no known release. `came_from` may be unknown or None: then nothing is said about
    what changes its meaning on the way.
    """
    moved = move_entry(args, {}, to, came_from, extras)
    return moved.args, moved.changes


def move_entry(
    args: Values,
    env: Values,
    to: str,
    came_from: str | None = None,
    extras: Extras = NO_EXTRAS,
    accelerators: Collection[str] = (),
) -> Moved:
    """The same for `args` and `env` together: variables that became options go there. `accelerators` of the entry's hosts."""
    release = load.release(to)
    if release is None:
        raise LookupError(f"{to} is not a release that the catalogue knows: {', '.join(load.releases())}")
    source = load.release(came_from) if came_from else None
    entries, changes = read(args, release, source, extras)
    way = Way(release, came_from if source is not None else None, _choices(entries, extras), frozenset(accelerators))
    store, kept = Store(), {}
    followed = {
        entry.option: follow((entry.option,), _mended(entry, (source, release)), way)
        for entry in entries
        if not entry.fixed
    }
    for entry in entries:
        if entry.fixed or not followed[entry.option].trails:
            store.hold(entry.option, entry.value)
            kept[entry.option] = entry
    for entry in entries:
        if entry.option in kept:
            store.turn(entry.option)
        else:
            changes += _put(followed[entry.option], store, to)
    moved_env, from_env = variables.move(env, way, extras)
    for trail in from_env:
        changes += _put(Followed(trail.written, (trail,)), store, to)
    good, left_out = refused.take_out(_as_written(store, kept), release, extras)
    changes += [*left_out, *refused.conflicts(good, release, extras)]
    changes += [*meaning.changes(entries, good, way, env), *deprecated.changes(good, way)]
    return Moved(good, moved_env, changes)


def _mended(entry: Written, releases: tuple[Release | None, ...]) -> Any:
    """The entry's value with numbers and truth values as they were read where it comes from: rules compare with those.

    Each key is read as a release that has it does.
    """
    inside = data(entry.value)
    if not isinstance(inside, Mapping):
        return entry.value
    found = {}
    for key, item in inside.items():
        release = knowing((entry.option, str(key)), releases)
        found[key] = mended((entry.option, str(key)), item, release) if release else item
    return entry.value if repr(found) == repr(dict(inside)) else found


def _choices(entries: list[Written], extras: Extras) -> dict[str, tuple[Any, ...]]:
    """Values that plug-ins add: those declared, and what a parser is called whose plug-in file the entry names."""
    given = {entry.option: entry.value for entry in entries}
    opened = {
        option: (given[option],)
        for option, plugin in OPENED_BY.items()
        if given.get(plugin) and isinstance(given.get(option), str)
    }
    return {name: (*extras.choices.get(name, ()), *opened.get(name, ())) for name in (*extras.choices, *opened)}


def _put(followed: Followed, store: Store, to: str) -> list[OptionChange]:
    clashes = {path: clash for path, value in followed.written if (clash := store.merge(path, value)) is not None}
    return [_change(trail, to, clashes) for trail in followed.trails]


def _as_written(store: Store, kept: Mapping[str, Written]) -> dict[str, object]:
    """What nothing was merged into keeps the operator's own spelling."""
    args: dict[str, object] = {}
    for option, value in store.items():
        if option in kept and option not in store.touched:
            args.update(kept[option].spelled or {option: value})
        else:
            args[option] = value
    return args


def _change(trail: Trail, to: str, clashes: Mapping[tuple[str, ...], Any]) -> OptionChange:
    texts = explain(trail.reasons, to)
    good = [(path, value) for path, value in trail.written if path not in clashes]
    for path, value in trail.written:
        if path in clashes:
            texts.append(
                f"It says {'.'.join(path)} {flow(value)}, and {flow(clashes[path][0])} is written there: that stays"
            )
    return OptionChange(
        option=".".join(trail.path),
        kind=_kind(trail, good),
        since=next((reason.since for reason in trail.reasons if reason.since), ""),
        written=trail.value,
        becomes=gathered(good),
        note=". ".join(texts),
    )


def _kind(trail: Trail, good: list[tuple[tuple[str, ...], Any]]) -> str:
    if not good:
        return "gone"
    (path, value), *others = good
    same_place = path[:-1] == trail.path[:-1] and len(path) == len(trail.path)
    return "renamed" if not others and same_place and path != trail.path and value == trail.value else "replaced"
