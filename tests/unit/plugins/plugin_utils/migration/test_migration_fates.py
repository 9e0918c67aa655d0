"""The facts in data/fates.yml against the catalogue: nothing that went away is forgotten, and every release is right."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any

import pytest
import yaml
from ansible_collections.baremetal.vllm.plugins.module_utils.text.names import numbers
from ansible_collections.baremetal.vllm.plugins.plugin_utils.migration.page import groups
from ansible_collections.baremetal.vllm.plugins.plugin_utils.options import fates, load
from ansible_collections.baremetal.vllm.plugins.plugin_utils.options.fates import Fate, FateRule
from ansible_collections.baremetal.vllm.plugins.plugin_utils.options.known import KEYED, accepts, find, knows
from ansible_collections.baremetal.vllm.plugins.plugin_utils.options.model import UNKNOWN, Config, Release
from ansible_collections.baremetal.vllm.plugins.plugin_utils.options.sentence import advice
from ansible_collections.baremetal.vllm.plugins.plugin_utils.options.spans import within

# What later releases take away needs a person to look into it: adding one must not fail here.
NEWEST = "0.33.0"
VERSIONS = [version for version in load.releases() if numbers(version) <= numbers(NEWEST)]
DOCUMENT = [option for group in groups()["groups"] for option in group["options"]]


def known(version: str) -> Release:
    release = load.release(version)
    assert release is not None
    return release


def gone(having: list[str]) -> str | None:
    """The release after the last of `having`; None where the newest is among them."""
    place = VERSIONS.index(having[-1]) + 1
    return VERSIONS[place] if place < len(VERSIONS) else None


def lost_options() -> dict[str, str]:
    names = sorted({name for version in VERSIONS for name in known(version).options})
    lost = {name: gone([v for v in VERSIONS if name in known(v).options]) for name in names}
    return {name: release for name, release in lost.items() if release is not None}


def keys(release: Release, config: Config, path: str) -> Iterator[str]:
    for name, field in config.fields.items():
        yield f"{path}.{name}"
        inner = release.configs.get(field.config or "")
        if inner is not None and inner is not config:
            yield from keys(release, inner, f"{path}.{name}")


def lost_keys() -> dict[str, str]:
    """Keys that an option lost while it stayed and still names its keys."""
    having: dict[str, list[str]] = {}
    for version in VERSIONS:
        release = known(version)
        for option in release.options.values():
            config = release.configs.get(option.config or "")
            # Adapters are words, not one JSON object.
            for path in keys(release, config, option.name) if config is not None and option.type in KEYED else ():
                having.setdefault(path, []).append(version)
    lost = {}
    for path, versions in having.items():
        release = gone(versions)
        if release is None or knows(known(release), tuple(path.split("."))):
            continue
        if find(known(release), path.partition(".")[0]) is not None:
            lost[path] = release
    return lost


def lost_values() -> dict[tuple[str, Any], str]:
    """Choices and suggestions that an option lost while others stayed."""
    having: dict[tuple[str, Any], list[str]] = {}
    for version in VERSIONS:
        for option in known(version).options.values():
            # "None" is the parser's word for null.
            for value in {*(option.choices or ()), *(option.suggestions or ())} - {"None", None}:
                having.setdefault((option.name, value), []).append(version)
    lost = {}
    for (name, value), versions in having.items():
        release = gone(versions)
        stays = release is not None and find(known(release), name) is not None
        if release is not None and stays and not accepts(known(release), (name,), value):
            lost[name, value] = release
    return lost


@pytest.mark.parametrize("option", DOCUMENT)
def test_every_option_of_the_source_document_is_valid_or_has_a_fate(option: str) -> None:
    if option in known(NEWEST).options:
        return
    fate = fates.options()[option]
    assert fate.gone
    assert fate.why
    assert fate.source
    assert advice(option, None, NEWEST)


@pytest.mark.parametrize("spelling", groups()["negatives"])
def test_every_spelling_that_switches_off_belongs_to_an_option_with_a_fate(spelling: str) -> None:
    option = spelling.removeprefix("no-")
    assert option in DOCUMENT
    assert any(spelling in known(version).spellings for version in VERSIONS)
    assert option in known(NEWEST).options or fates.options()[option].gone


def test_the_source_document_has_163_options_in_188_spellings_and_twelve_groups() -> None:
    assert len(set(DOCUMENT)) == len(DOCUMENT) == 163
    assert len(DOCUMENT) + len(set(groups()["negatives"])) == 188
    assert len(groups()["groups"]) == 12


def test_every_option_that_went_away_has_a_fate_with_the_release() -> None:
    told = {name: fate.gone for name, fate in fates.options().items() if "." not in name}
    lost = lost_options()
    # disable-log-requests came back as the opposite of enable-log-requests.
    assert {name: told.get(name) for name in lost} == lost
    before = {name for name, release in told.items() if release and numbers(release) <= numbers(VERSIONS[0])}
    assert {name for name, release in told.items() if release} - before == set(lost)


def test_every_key_that_went_away_has_a_fate_with_the_release() -> None:
    lost = lost_keys()
    told = {path: fates.options()[path].gone if path in fates.options() else None for path in lost}
    assert told == lost


def test_every_value_that_went_away_has_a_fate_with_the_release() -> None:
    lost = lost_values()
    told = {(name, value): fates.options().get(name, Fate()).values.get(value, Fate()).gone for name, value in lost}
    assert told == lost


def test_every_variable_with_a_fate_went_away_in_the_release_that_it_says() -> None:
    for name, fate in fates.variables().items():
        reading = [version for version in VERSIONS if name in known(version).environment]
        assert (name, gone(reading)) == (name, fate.gone)
        assert fate.why
        assert fate.source


def rules() -> Iterator[tuple[str, Fate, FateRule]]:
    for name, fate in {**fates.options(), **fates.variables()}.items():
        yield from ((name, fate, rule) for rule in fate.becomes)
        for value, own in fate.values.items():
            yield from ((f"{name}={value}", own, rule) for rule in own.becomes)


def test_whatever_a_rule_writes_exists_in_the_first_release_that_it_is_for() -> None:
    missing = []
    for name, fate, rule in rules():
        span = [v for v in VERSIONS if within(v, rule.into) and (not fate.gone or numbers(v) >= numbers(fate.gone))]
        first = span[0] if span else None
        for path in rule.write:
            option = path.partition(".")[0]
            if first is not None and find(known(first), option) is None:
                missing.append((name, path, first))
    # What was renamed before the release that the catalogue begins with is told by the sources alone.
    assert not missing


def test_a_fate_says_why_and_where_it_is_known_from() -> None:
    lacking = [
        name
        for name, fate in fates.options().items()
        if (fate.gone or fate.deprecated) and not (fate.why and fate.source)
    ]
    lacking += [
        f"{name}={value}"
        for name, fate in fates.options().items()
        for value, own in fate.values.items()
        if not (own.why and own.source)
    ]
    assert not lacking


def test_every_default_that_changed_is_told_or_said_to_be_the_same() -> None:
    told = {meaning.option: meaning.since for meaning in fates.meanings()}
    untold = {}
    for name, states in defaults().items():
        changes = [v for (v, new), (__, old) in zip(states[1:], states) if new != old and UNKNOWN not in (new, old)]
        if changes and name not in fates.same_defaults() and told.get(name) not in changes:
            untold[name] = changes
    assert not untold


@cache
def defaults() -> dict[str, list[tuple[str, Any]]]:
    """Of every option, key and variable of the newest release: its default by release. A key or variable that computes its
    default in one of two releases has none to compare there."""
    found: dict[str, list[tuple[str, Any]]] = {}
    for version in VERSIONS:
        release = known(version)
        for name in known(NEWEST).options:
            if (spec := find(release, name)) is None:
                continue
            found.setdefault(name, []).append((version, spec.default))
            config = release.configs.get(spec.config or "")
            for key, field in config.fields.items() if config else ():
                default = UNKNOWN if field.default is None else field.default
                found.setdefault(f"{name}.{key}", []).append((version, default))
        for name, variable in release.environment.items():
            default = UNKNOWN if variable.default is None else variable.default
            found.setdefault(name, []).append((version, default))
    newest = known(NEWEST)
    return {
        name: states
        for name, states in found.items()
        if states[-1][0] == NEWEST and (name in newest.environment or name.partition(".")[0] in newest.options)
    }


def test_a_meaning_begins_with_the_release_in_which_the_default_changed() -> None:
    for meaning in fates.meanings():
        assert meaning.since in VERSIONS
        states = defaults().get(meaning.option, [])
        if meaning.when == "given" or not states:
            continue
        changes = [v for (v, new), (__, old) in zip(states[1:], states) if new != old]
        # Or the option itself came then, or before a release whose default it is.
        assert not changes or meaning.since in changes or meaning.since == states[0][0], meaning


def test_the_file_has_no_key_twice() -> None:
    class Loader(yaml.SafeLoader):
        pass

    def mapping(loader: Any, node: Any) -> dict[Any, Any]:
        names = [key.value for key, __ in node.value if key.tag != "tag:yaml.org,2002:merge"]
        assert len(names) == len(set(names)), names
        loader.flatten_mapping(node)
        return dict(loader.construct_pairs(node, deep=True))

    Loader.add_constructor("tag:yaml.org,2002:map", mapping)
    yaml.load(fates.FILE.read_text(encoding="utf-8"), Loader=Loader)
