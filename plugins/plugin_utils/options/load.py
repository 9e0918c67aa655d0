"""`data/catalogue.json`, read for one release at a time.

The file holds every fact once, with the releases in which it is true (docs/catalogue.md describes its shape).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from functools import cache, lru_cache
from typing import Any, TypedDict

from ansible_collections.baremetal.vllm.plugins.plugin_utils.options.model import (
    UNKNOWN,
    Config,
    Field,
    Option,
    Release,
    Variable,
)
from ansible_collections.baremetal.vllm.plugins.plugin_utils.places import DATA

# Lists in the file, tuples in the model.
_TUPLES = ("aliases", "short", "negatives", "choices", "suggestions")
FILE = DATA / "catalogue.json"


# What is known of an option, a key or a variable in a span of releases, which `in` names.
_State = dict[str, Any]


class _Release(TypedDict):
    cuda: str
    capabilities: list[str]
    python: str


class _Catalogue(TypedDict):
    releases: dict[str, _Release]
    options: dict[str, list[_State]]
    configs: dict[str, Any]
    environment: dict[str, list[_State]]


@lru_cache(maxsize=1)
def _catalogue() -> _Catalogue:
    read: _Catalogue = json.loads(FILE.read_text(encoding="utf-8"))
    return read


def releases() -> tuple[str, ...]:
    """Every known release, oldest first."""
    return tuple(_catalogue()["releases"])


@cache
def release(version: str) -> Release | None:
    """What is known of exactly this release, else None."""
    catalogue = _catalogue()
    if version not in catalogue["releases"]:
        return None
    numbers = {name: number for number, name in enumerate(catalogue["releases"])}
    facts = catalogue["releases"][version]

    def read(section: Mapping[str, list[_State]]) -> Iterator[tuple[str, _State]]:
        for name, states in section.items():
            state = _state(states, numbers, numbers[version])
            if state is not None:
                yield name, state

    options = {name: _option(name, spec) for name, spec in read(catalogue["options"])}
    configs = {
        name: Config(name, {key: _field(key, spec) for key, spec in read(catalogue["configs"][name]["fields"])}, **head)
        for name, head in read({name: config["is"] for name, config in catalogue["configs"].items()})
    }
    return Release(
        version=version,
        options=options,
        spellings={
            spelling: option.name
            for option in options.values()
            for spelling in (option.name, *option.aliases, *option.negatives)
        },
        configs=configs,
        environment={name: Variable(name, **_typed(spec)) for name, spec in read(catalogue["environment"])},
        cuda=facts["cuda"],
        capabilities=tuple(facts["capabilities"]),
        python=facts["python"],
    )


def _state(states: list[_State], numbers: Mapping[str, int], at: int) -> _State | None:
    """The one of a thing's states that holds in the release with number `at`."""
    for state in states:
        for span in state["in"].split():
            first, dots, last = span.partition("..")
            end = numbers[last] if last else len(numbers) if dots else numbers[first]
            if numbers[first] <= at <= end:
                return {key: value for key, value in state.items() if key != "in"}
    return None


def _typed(spec: _State) -> _State:
    typed = {key: tuple(value) if key in _TUPLES and value is not None else value for key, value in spec.items()}
    if typed.pop("computed", False):
        typed["default"] = UNKNOWN
    return typed


def _option(name: str, spec: _State) -> Option:
    return Option(name, **_typed(spec))


def _field(name: str, spec: _State) -> Field:
    return Field(name, **_typed(spec))
