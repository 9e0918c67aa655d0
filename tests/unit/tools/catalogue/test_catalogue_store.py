"""The file of the catalogue: what is written can be read back, release by release, and says everything once."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.baremetal.vllm.plugins.plugin_utils.options import load
from ansible_collections.baremetal.vllm.plugins.plugin_utils.options.model import UNKNOWN
from ansible_collections.baremetal.vllm.tools.catalogue import store
from hypothesis import given, settings
from hypothesis import strategies as st
from thoroughness import examples

RELEASES = ("0.9.2", "0.10.0", "0.10.0.post1", "0.10.1", "0.11.0")
WORDS = st.sampled_from(["alpha", "beta-gamma", "delta"])
TYPED = {
    "type": st.sampled_from(["int", "size"]),
    "default": st.sampled_from([1, "é", [], {}, True]),
    "choices": st.lists(st.integers(0, 3), min_size=1, unique=True),
    "computed": st.just(True),
}
OPTION = st.fixed_dictionaries({}, optional={**TYPED, "aliases": st.just(["other"])})
CONFIG = st.fixed_dictionaries(
    {
        "extra": st.sampled_from(["refused", "ignored"]),
        "fields": st.dictionaries(WORDS, st.fixed_dictionaries({}, optional=TYPED), min_size=1),
    }
)
WHEEL = {"cuda": "12.8", "capabilities": ["8.0"], "python": ">=3.10"}
FACTS = st.fixed_dictionaries(
    {
        "wheel": st.just(WHEEL),
        "options": st.dictionaries(WORDS, OPTION),
        "configs": st.dictionaries(st.sampled_from(["A", "B"]), CONFIG),
        "environment": st.dictionaries(WORDS, st.fixed_dictionaries({"type": st.sampled_from(["int", "bool"])})),
    }
)
CATALOGUES = st.lists(st.sampled_from(RELEASES), min_size=1, unique=True).flatmap(
    lambda names: st.fixed_dictionaries(dict.fromkeys(names, FACTS))
)


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    patch = pytest.MonkeyPatch()
    path = tmp_path_factory.mktemp("data") / "catalogue.json"
    patch.setattr(load, "FILE", path)
    yield path
    patch.undo()
    forget()


def forget() -> None:
    load._catalogue.cache_clear()
    load.release.cache_clear()


@settings(max_examples=examples(150), deadline=None)
@given(facts=CATALOGUES)
def test_what_is_written_is_read_back(file: Path, facts: dict[str, Any]) -> None:
    store.write(facts, file)
    assert store.read(file) == facts
    assert list(store.read(file)) == [name for name in RELEASES if name in facts]


@settings(max_examples=examples(150), deadline=None)
@given(facts=CATALOGUES)
def test_the_collection_reads_of_each_release_what_was_written_for_it(file: Path, facts: dict[str, Any]) -> None:
    store.write(facts, file)
    forget()
    assert load.releases() == tuple(name for name in RELEASES if name in facts)
    for name, wanted in facts.items():
        found = load.release(name)
        assert found is not None
        assert (found.cuda, found.capabilities, found.python) == ("12.8", ("8.0",), ">=3.10")
        assert {key: option.type for key, option in found.options.items()} == {
            key: spec.get("type", "str") for key, spec in wanted["options"].items()
        }
        for key, spec in wanted["options"].items():
            option = found.options[key]
            assert option.default == (UNKNOWN if "computed" in spec else spec.get("default"))
            assert option.choices == (tuple(spec["choices"]) if "choices" in spec else None)
            assert all(found.spellings[word] in wanted["options"] for word in (key, *option.aliases))
        assert {key: (config.extra, set(config.fields)) for key, config in found.configs.items()} == {
            key: (config["extra"], set(config["fields"])) for key, config in wanted["configs"].items()
        }
        assert {key: spec.type for key, spec in found.environment.items()} == {
            key: spec["type"] for key, spec in wanted["environment"].items()
        }


def test_the_file_in_the_collection_is_as_the_generator_writes_it(tmp_path: Path) -> None:
    again = tmp_path / "again.json"
    store.write(store.read(), again)
    assert again.read_bytes() == store.FILE.read_bytes()


def test_a_release_without_news_adds_one_line(tmp_path: Path) -> None:
    facts = store.read()
    newest = list(facts)[-1]
    again = tmp_path / "again.json"
    store.write({**facts, "99.0.0": facts[newest]}, again)
    before, after = store.FILE.read_text().splitlines(), again.read_text().splitlines()
    assert len(after) == len(before) + 1
    # The line of the release before it gets a comma, too.
    assert len(set(before) - set(after)) == 1


def test_a_release_that_falls_between_others_splits_what_differs_in_it(file: Path) -> None:
    """0.32.1 may come out after 0.33.0: what holds on both sides of it may not hold in it."""
    one, other = {"type": "int"}, {"type": "float"}
    facts = {
        name: {"wheel": WHEEL, "options": {"alpha": spec}, "configs": {}, "environment": {}}
        for name, spec in (("0.32.0", one), ("0.33.0", one), ("0.32.1", other))
    }
    store.write(facts, file)
    forget()
    found = {name: load.release(name) for name in load.releases()}
    assert [(name, held.options["alpha"].type) for name, held in found.items() if held] == [
        ("0.32.0", "int"),
        ("0.32.1", "float"),
        ("0.33.0", "int"),
    ]
    spans = json.loads(file.read_text())["options"]["alpha"]
    assert [state["in"] for state in spans] == ["0.32.0 0.33.0..", "0.32.1"]
