"""`args` as the operator wrote them, one entry per option, whatever the spelling; what is not the operator's is set aside."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from ansible_collections.baremetal.vllm.plugins.module_utils.text.names import (
    OWNED,
    SECRET,
    nearest,
    normal,
    written_by,
)
from ansible_collections.baremetal.vllm.plugins.module_utils.text.values import Values
from ansible_collections.baremetal.vllm.plugins.plugin_utils.migration.option_names import identify
from ansible_collections.baremetal.vllm.plugins.plugin_utils.options.change import OptionChange
from ansible_collections.baremetal.vllm.plugins.plugin_utils.options.dotted import typed_key
from ansible_collections.baremetal.vllm.plugins.plugin_utils.options.extras import Extras
from ansible_collections.baremetal.vllm.plugins.plugin_utils.options.known import every, find, knowing
from ansible_collections.baremetal.vllm.plugins.plugin_utils.options.merge import Store
from ansible_collections.baremetal.vllm.plugins.plugin_utils.options.model import Release
from ansible_collections.baremetal.vllm.plugins.plugin_utils.options.sentence import capital, flow

_TYPED = "After a dot, vLLM reads a word as JSON: numbers, true and false are written without quotes"


@dataclass(frozen=True)
class Written:
    """`value`: with `x.y` options put together; `spelled`: the lines of `args` it came from; `fixed`: not to be touched."""

    option: str
    value: Any
    spelled: dict[str, Any] = field(default_factory=dict)
    fixed: bool = False


def read(
    args: Values, release: Release, source: Release | None, extras: Extras
) -> tuple[list[Written], list[OptionChange]]:
    """One entry per option, in the operator's order, and what cannot be one."""
    found: dict[str, Written] = {}
    dotted: dict[str, dict[tuple[str, ...], Any]] = {}
    changes: list[OptionChange] = []
    for raw, value in args.items():
        head, __, tail = normal(str(raw)).partition(".")
        named = _named(str(raw), head, value, release, source, extras)
        if isinstance(named, OptionChange):
            changes.append(named)
            continue
        option = named.option
        if tail:
            asked = value if named.fixed else _typed(option, tail, value, release, source)
            if asked is not value:
                changes.append(OptionChange(str(raw), "replaced", "", value, {str(raw): asked}, _TYPED))
                value, named = asked, replace(named, spelled=dict.fromkeys(named.spelled, asked))
            dotted.setdefault(option, {})[tuple(tail.split("."))] = value
            before = found.get(option)
            if before is not None and len(dotted[option]) == 1:
                changes.append(_given_up(before, "vLLM takes only its `x.y` spellings where both are given"))
                before = None
            spelled = {**(before.spelled if before else {}), **named.spelled}
            found[option] = Written(option, _assembled(dotted[option]), spelled, named.fixed)
        elif option in found:
            reason = (
                "vLLM takes only its `x.y` spellings where both are given" if option in dotted else "it is given twice"
            )
            changes.append(_given_up(named, reason))
        else:
            found[option] = named
            if raw not in named.spelled and not named.fixed:
                changes.append(_respelled(str(raw), value, named))
    return list(found.values()), changes


def _typed(option: str, tail: str, value: Any, release: Release, source: Release | None) -> Any:
    """The value of `x.y` as the first release that has the option reads it, the one that it comes from before all others."""
    keys = tail.split(".")
    taking = knowing((option, *keys), (source, release)) or knowing((option,), (source, release))
    return typed_key(value, find(taking, option) if taking else None, keys, taking)


def _named(
    raw: str, head: str, value: Any, release: Release, source: Release | None, extras: Extras
) -> Written | OptionChange:
    if head.lower() in SECRET:
        note = f"It is a secret, and every user of the host can read a command line. Use {SECRET[head.lower()]}"
        return OptionChange(raw, "gone", "", "(not shown)", note=note)
    if head in OWNED:
        return OptionChange(raw, "gone", "", value, note=capital(written_by(head)))
    if head in extras.options:
        return Written(head, value, {raw: value}, fixed=True)
    name = identify(head, (source, release))
    if name is None:
        return OptionChange(raw, "gone", "", value, note=_unknown(head))
    if name.off:
        if not isinstance(value, bool):
            return OptionChange(raw, "gone", "", value, note=f"It switches {name.option} off and takes no value")
        return Written(name.option, not value)
    if value is None:
        # null is as if it were not written: it can stay where the name is known, and is no loss where it is not.
        spelled = {raw: None} if find(release, head) else {}
        return Written(name.option, None, spelled, fixed=bool(spelled))
    known = find(release, head)
    stays = not name.how and (known is None or known.name == name.option)
    return Written(name.option, value, {raw: value} if stays else {})


def _unknown(head: str) -> str:
    near = nearest(head, tuple(sorted({spelling for __, release in every() for spelling in release.spellings})))
    hint = f'. Did you mean "{near}"' if near else ""
    return f"No known release of vLLM takes this{hint}"


def _given_up(entry: Written, reason: str) -> OptionChange:
    return OptionChange(
        next(iter(entry.spelled), entry.option), "gone", "", entry.value, note=f"Left out, for {reason}"
    )


def _respelled(raw: str, value: Any, entry: Written) -> OptionChange:
    note = f"It stands for `{entry.option}`, and options are written in full"
    if entry.value is not value:
        note = f"Options are switched off by `{entry.option}: {flow(entry.value)}`"
    return OptionChange(raw, "renamed", "", value, {entry.option: entry.value}, note)


def _assembled(parts: Mapping[tuple[str, ...], Any]) -> dict[str, object]:
    store = Store()
    for keys, value in parts.items():
        store.merge(keys, value)
    return dict(store.items())
