"""The forms of rules: what each is broken by, and the words that it has without others being given."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.baremetal.vllm.plugins.plugin_utils.options.model import Config, Field, Option, Release
from ansible_collections.baremetal.vllm.plugins.plugin_utils.options.rule import Given, Rule
from ansible_collections.baremetal.vllm.plugins.plugin_utils.options.rule_forms import (
    asks_for,
    at_least,
    at_most,
    excludes,
    needs,
    once,
)

SOURCE = "some.py"
RELEASE = Release(
    "1.0",
    options={
        "a": Option("a", arity="flag", default=False),
        "b": Option("b", arity="flag", default=True),
        "low": Option("low", type="int", default=4),
        "high": Option("high", type="int"),
        "c": Option("c", type="json", config="C"),
    },
    spellings={},
    environment={},
    configs={"C": Config("C", {"x": Field("x", default="auto"), "y": Field("y", default=False)})},
)
FORMS: dict[str, Rule] = {
    "needs": needs("a", "d", source=SOURCE),
    "needs a default": needs("a", "b", source=SOURCE),
    "needs a key": needs("c.y", "c.x", "p", "q", source=SOURCE),
    "excludes": excludes("a", "d", source=SOURCE),
    "excludes a value": excludes("a", "c.x", "p", source=SOURCE, when=lambda given: given.written("high")),
    "asks for": asks_for("a", "d", source=SOURCE, remedy="Write it"),
    "asks for a key": asks_for("c.x", "c.z", "p", source=SOURCE, remedy="Write it"),
    "at most": at_most("high", "low", source=SOURCE),
    "at least": at_least("high", "low", source=SOURCE),
    "once": once("high", "c.high", source=SOURCE),
}


@pytest.mark.parametrize(
    ("form", "args", "broken"),
    [
        ("needs", {"a": True}, True),
        ("needs", {"a": True, "d": True}, False),
        ("needs", {"a": True, "d": "text"}, False),
        ("needs", {"a": False}, False),
        ("needs a default", {"a": True}, False),
        ("needs a default", {"a": True, "b": False}, True),
        ("needs a key", {"c": {"y": True}}, True),
        ("needs a key", {"c": {"y": True, "x": "q"}}, False),
        ("needs a key", {"c": {"y": False}}, False),
        ("excludes", {"a": True, "d": True}, True),
        ("excludes", {"a": True, "d": False}, False),
        ("excludes a value", {"a": True, "c": {"x": "p"}, "high": 1}, True),
        ("excludes a value", {"a": True, "c": {"x": "p"}}, False),
        ("excludes a value", {"a": True, "c": {"x": "q"}, "high": 1}, False),
        ("asks for", {"a": True}, True),
        ("asks for", {"a": True, "d": "text"}, False),
        ("asks for a key", {"c": {"x": "p"}}, True),
        ("asks for a key", {"c": {"x": "p", "z": "/z"}}, False),
        ("asks for a key", {"c": {"x": "q"}}, False),
        ("at most", {"high": 5}, True),
        ("at most", {"high": 5, "low": 0}, False),
        ("at most", {"high": 4}, False),
        ("at least", {"high": 3}, True),
        ("at least", {"high": 4}, False),
        ("at least", {"high": 0}, False),
        ("once", {"high": 1, "c": {"high": 1}}, True),
        ("once", {"high": 1, "c": '{"low": 1}'}, False),
    ],
)
def test_what_breaks_each_form(form: str, args: dict[str, Any], broken: bool) -> None:
    assert FORMS[form].is_broken(Given(args, RELEASE)) is broken


@pytest.mark.parametrize(
    ("form", "at", "about", "said"),
    [
        ("needs", "a", "a", "needs d. Write `d: true` too"),
        ("needs a key", "c.y", "c", "needs c.x. Write `x: p` beside it"),
        ("excludes", "a", "a", "excludes d. Keep one of the two"),
        ("asks for a key", "c.z", "c", "is missing, and x needs it. Write it"),
        ("at most", "high", "high", "is above low. Write at most low"),
        ("at least", "high", "high", "is below low. Write at least low"),
        ("once", "high", "high", "is also given as c.high. Keep one of the two"),
    ],
)
def test_the_usual_words_of_each_form(form: str, at: str, about: str, said: str) -> None:
    rule = FORMS[form]
    assert (rule.at, rule.about, f"{rule.reason}. {rule.remedy}") == (at, (about,), said)
