"""One option of the source document: in which releases it is valid, and what to know about it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from ansible_collections.baremetal.vllm.plugins.module_utils.text.names import OWNED, SECRET, written_by
from ansible_collections.baremetal.vllm.plugins.plugin_utils.options import fates, load
from ansible_collections.baremetal.vllm.plugins.plugin_utils.options.fates import Fate, FateRule
from ansible_collections.baremetal.vllm.plugins.plugin_utils.options.known import every, find
from ansible_collections.baremetal.vllm.plugins.plugin_utils.options.merge import gathered
from ansible_collections.baremetal.vllm.plugins.plugin_utils.options.model import UNKNOWN, Option
from ansible_collections.baremetal.vllm.plugins.plugin_utils.options.sentence import capital, flow, listed
from ansible_collections.baremetal.vllm.plugins.plugin_utils.options.spans import spans

# How each type of value is said to a person.
_TYPES = {
    "str": "text",
    "size": "size (32k, 25.6k, 1M)",
    "size-or-auto": "size or auto",
    "config": "JSON",
    "json": "JSON",
}
_TYPES |= {
    "json-or-str": "JSON or text",
    "kvs": "name=number pairs",
    "bool": "true or false",
    "int": "number",
    "float": "number",
}


def valid(option: str) -> str:
    """The releases that have the option, as spans."""
    having = [version for version, release in every() if find(release, option) is not None]
    return spans(having) if having else f"before {load.releases()[0]}"


def told(option: str, negatives: Iterable[str]) -> str:
    """What to know about an option, as the cell of a table; `negatives`: spellings that switch options off."""
    fate = fates.options().get(option, Fate())
    texts = [
        *_whose(option),
        *_fate(fate),
        *_forms(option, negatives),
        *_defaults(option),
        *_kinds(option),
        *_values(fate),
    ]
    texts += [
        f"{capital(meaning.says)} (since {meaning.since})"
        for meaning in fates.meanings()
        if meaning.option.partition(".")[0] == option
    ]
    return "<br>".join(f"{text}.".replace("|", "\\|") for text in texts)


def _whose(option: str) -> Iterator[str]:
    if option in OWNED:
        yield f"Not for `args`; {written_by(option)}"
    if option in SECRET:
        yield f"A secret, and not for `args`: use {SECRET[option]}"


def _fate(fate: Fate) -> Iterator[str]:
    stages = [f"{word} since {release}" for word, release in _stages(fate) if release]
    if stages:
        yield f"{capital(', '.join(stages))}{f': {fate.why}' if fate.why else ''}"
    elif fate.why:
        yield capital(fate.why)
    for rule in fate.becomes:
        yield from _rule(rule)
    if fate.do and not any(rule.write for rule in fate.becomes):
        yield capital(fate.do)


def _stages(fate: Fate) -> Iterator[tuple[str, str]]:
    yield "deprecated", fate.deprecated
    yield "without effect", fate.idle if fate.idle != fate.deprecated else ""
    yield "gone", fate.gone


def _rule(rule: FateRule) -> Iterator[str]:
    """`embed, embedding` becomes `runner: pooling` and `convert: embed` (0.10.1 and newer)."""
    if not rule.write and rule.when is None and not rule.note:
        return
    ends = [(tuple(path.split(".")), _shown(value)) for path, value in rule.write.items()]
    new = listed(gathered(ends)) if ends else "nothing"
    subject = _when(rule.when)
    first, __, last = rule.into.partition("..")
    reach = f" ({first} to {last})" if first and last else f" (to {last})" if last else ""
    note = "".join(f"; {text}" for text in (rule.note, *_later(rule)) if text)
    judgement = " *Judgement*" if rule.judgement else ""
    told = f"{capital(subject)} {new}{reach}{note}{judgement}" if subject else f"Write {new}{reach}{note}{judgement}"
    yield (
        told.replace('"…"', "…")
        .replace('"{…}"', "{…}")
        .replace('"1/…"', "1/…")
        .replace('"true or false"', "true or false")
    )


def _later(rule: FateRule) -> Iterator[str]:
    """What became in turn of the keys that the rule writes."""
    for path in rule.write:
        fate = fates.options().get(path)
        if fate is not None and fate.gone:
            yield f"`{path.rpartition('.')[2]}` is gone since {fate.gone}: {fate.why}"


def _when(when: tuple[Any, ...] | str | None) -> str:
    if when is None:
        return ""
    words = {"text": "text", "number": "a number", "mapping": "", "one": "a single value", "many": "several values"}
    if isinstance(when, str):
        return f"{words[when]} becomes" if words[when] else ""
    return f"{', '.join(f'`{flow(value)}`' for value in when)} becomes"


def _shown(value: Any) -> Any:
    """What a rule makes of the value, for a reader."""
    made = {"=": "…", "=first": "…", "=number": "…", "=pairs": "{…}", "=inverse": "1/…", "=switch": "true or false"}
    return made.get(value, value) if isinstance(value, str) else value


def _values(fate: Fate) -> Iterator[str]:
    """Values that went away while their option stayed."""
    for value, own in fate.values.items():
        if not own.gone:
            continue
        rule = next((rule for rule in own.becomes if rule.write), None)
        ends = [(tuple(path.split(".")), new) for path, new in rule.write.items()] if rule else []
        instead = f", write {listed(gathered(ends))}{' *Judgement*' if rule and rule.judgement else ''}" if ends else ""
        yield f"`{flow(value)}` is gone since {own.gone}: {own.why}{instead}"


def _forms(option: str, negatives: Iterable[str]) -> Iterator[str]:
    for negative in negatives:
        if negative == f"no-{option}":
            having = [version for version, release in every() if negative in release.spellings]
            yield f"`{negative}`: {spans(having) if having else 'never'}; in `args` write `{option}: false`"


def _states(option: str, what: Any) -> list[tuple[str, Any]]:
    """Each value that something about an option had, with the release that began it."""
    states: list[tuple[str, Any]] = []
    for version, release in every():
        spec = find(release, option)
        if spec is not None and (not states or states[-1][1] != what(spec)):
            states.append((version, what(spec)))
    return states


def _defaults(option: str) -> Iterator[str]:
    states = _states(option, lambda spec: spec.default)
    if len(states) > 1 and option not in fates.same_defaults():
        yield (
            f"Default {_series('computed' if value is UNKNOWN else f'`{flow(value)}`' for _, value in states)}"
            + _since(states)
        )


def _kinds(option: str) -> Iterator[str]:
    states = _states(option, _kind)
    if len(states) > 1:
        yield f"Takes {_series(value for _, value in states)}{_since(states)}"


def _kind(spec: Option) -> str:
    if spec.arity in ("list", "repeated"):
        return "a list" if spec.arity == "list" else "one value each time it is given"
    return "a switch" if spec.arity == "flag" else _TYPES.get(spec.type, spec.type)


def _series(values: Iterable[str]) -> str:
    return ", then ".join(values)


def _since(states: Sequence[tuple[str, Any]]) -> str:
    return f" (since {', '.join(version for version, _ in states[1:])})"
