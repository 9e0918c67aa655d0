"""Whatever YAML holds is refused or understood, and what is understood reaches vLLM's parser as what was meant."""

from __future__ import annotations

import argparse
import datetime
import json
import math
from collections.abc import Mapping
from typing import Any

import pytest
from ansible_collections.baremetal.vllm.plugins.module_utils.text.names import OWNED, SECRET
from ansible_collections.baremetal.vllm.plugins.module_utils.text.problems import Problems
from ansible_collections.baremetal.vllm.plugins.plugin_utils.options.extras import Extras, read_extras
from ansible_collections.baremetal.vllm.plugins.plugin_utils.options.load import release
from ansible_collections.baremetal.vllm.plugins.plugin_utils.options.model import Option, Release
from ansible_collections.baremetal.vllm.plugins.plugin_utils.options.sizes import size
from hypothesis import given, settings
from hypothesis import strategies as st
from thoroughness import examples

VERSIONS = ("0.8.5", "0.9.2", "0.12.0", "0.20.0", "0.33.0")
ANY_TEXT = st.text(st.characters(exclude_categories=[]), max_size=12)
NASTY = st.sampled_from(
    ["", "-", "--", "-1", "a\0", "\ud800", "None", "{", '{"a":', "[" * 3000, "1e999", "9" * 5000, "a=b", "32K"]
)
LEAF = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(60, 15000).map(lambda bits: 1 << bits)
    | st.floats(allow_nan=True, allow_infinity=True)
    | ANY_TEXT
    | NASTY
    | st.binary(max_size=4)
    | st.dates()
    | st.datetimes()
    | st.just({1, 2})
)
YAML = st.recursive(
    LEAF,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(ANY_TEXT | st.integers() | st.none(), inner, max_size=3)
    ),
    max_leaves=8,
)


def names(version: str) -> list[str]:
    known: Release = release(version)  # type: ignore[assignment]
    dotted = [f"{o.name}.{key}" for o in known.options.values() if o.config for key in known.configs[o.config].fields]
    return sorted([*known.spellings, *dotted, *OWNED, *SECRET])


NAMES = {version: names(version) for version in VERSIONS}
VARIABLES = {version: sorted((release(version) or Release("", {}, {}, {}, {})).environment) for version in VERSIONS}


@st.composite
def entries(draw: st.DrawFn) -> tuple[str | None, dict[Any, Any], dict[str, str]]:
    version = draw(st.sampled_from([*VERSIONS, None]))
    known = st.sampled_from(NAMES[version or "0.33.0"])
    written = known | known.map(lambda name: name.replace("-", "_")) | known.map(lambda name: name[:-1]) | ANY_TEXT
    args = draw(st.dictionaries(written | st.integers(), YAML, max_size=5))
    variables = st.sampled_from(VARIABLES[version or "0.33.0"]) | ANY_TEXT
    return version, args, draw(st.dictionaries(variables, ANY_TEXT | NASTY, max_size=3))


@settings(max_examples=examples(600), deadline=None)
@given(entry=entries())
def test_whatever_is_written_is_refused_or_understood(entry: Any, tell: Any) -> None:
    version, args, env = entry
    told = tell(version, args, env, gpus=4)
    for word in told.words:
        # As the kernel takes it, and systemd before.
        assert "\0" not in word
        assert len(word.encode("utf-8")) < 131072
    for said in told.problems + told.warnings:
        assert said.startswith(("args.", "env."))
    if not told.problems:
        assert not set(told.read) & (set(OWNED) | set(SECRET))
        for option, value in told.read.items():
            json.dumps([option, value], allow_nan=False)


@settings(max_examples=examples(200), deadline=None)
@given(options=YAML, choices=YAML, environment=YAML)
def test_whatever_is_declared_is_refused_or_understood(options: Any, choices: Any, environment: Any, tell: Any) -> None:
    problems = Problems()
    extras = read_extras(options, choices, environment, problems)
    assert isinstance(extras, Extras)
    tell("0.33.0", dict.fromkeys(extras.options, 1), dict.fromkeys(extras.environment, "1"), extras)


# --- a right value, written by `words` and read back by argparse ------------------------------------------------------

PLAIN = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=12)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False) | PLAIN,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(PLAIN, inner, max_size=3),
    max_leaves=6,
)
SCALARS: dict[str, st.SearchStrategy[Any]] = {
    "str": PLAIN,
    "folded": PLAIN,
    "int": st.integers(-5, 10**6) | st.integers(1, 64).map(str),
    "float": st.floats(-1e6, 1e6) | st.integers(0, 9) | st.floats(0, 1).map(repr),
    "size": st.integers(1, 10**9) | st.sampled_from(["4k", "25.6k", "2K", "1M", "1g", "4.1k"]),
    "size-or-auto": st.sampled_from(["auto", -1, "32k", 4096]),
    "json": st.dictionaries(PLAIN, JSON, max_size=3),
    "json-or-str": st.dictionaries(PLAIN, JSON, max_size=3) | PLAIN,
    "config": st.just({}),
    "kvs": st.dictionaries(st.sampled_from(["image", "video"]), st.integers(0, 9)) | st.just("image=2,video=1"),
    "lora": st.fixed_dictionaries({"name": PLAIN, "path": PLAIN}) | st.just("name=/path"),
    "name=path": st.just("name=/path"),
    "csv": st.lists(st.integers(0, 9), min_size=1, max_size=3) | st.just("0,1"),
}


def one(spec: Option) -> st.SearchStrategy[Any]:
    if spec.choices or spec.suggestions:
        return st.sampled_from(spec.choices or spec.suggestions or ())
    if spec.type == "json" and isinstance(spec.default, (list, tuple)):
        return st.lists(JSON, max_size=3)
    return SCALARS[spec.type]


@st.composite
def right_values(draw: st.DrawFn) -> tuple[str, Option, Any]:
    version = draw(st.sampled_from(VERSIONS))
    known = release(version)
    assert known is not None
    spec = draw(st.sampled_from([o for o in known.options.values() if o.name not in {*OWNED, *SECRET}]))
    if spec.arity == "flag":
        return version, spec, draw(st.booleans())
    if spec.arity in ("list", "repeated"):
        return version, spec, draw(st.lists(one(spec), min_size=1, max_size=3) | one(spec))
    return version, spec, draw(one(spec))


def parser(spec: Option) -> argparse.ArgumentParser:
    """Python's own parser with this option, as vLLM adds it, and another one after it."""
    made = argparse.ArgumentParser(add_help=False)
    made.add_argument("model_tag")
    if spec.arity == "flag":
        made.add_argument(f"--{spec.name}", dest="value", action="store_true", default=None)
        for negative in spec.negatives:
            made.add_argument(f"--{negative}", dest="value", action="store_false", default=None)
    else:
        more: dict[str, Any] = {"list": {"nargs": "+"}, "repeated": {"action": "append"}, "optional": {"nargs": "?"}}
        made.add_argument(f"--{spec.name}", dest="value", **more.get(spec.arity, {}))
    made.add_argument("--zz-after", action="store_true")
    return made


def meant(spec: Option, value: Any, version: str) -> Any:
    """What vLLM's conversion makes of a value, worked out without the words."""
    if spec.type in ("size", "size-or-auto"):
        return -1 if str(value).lower() in ("auto", "-1") else size(value, version)
    if spec.type in ("int", "float"):
        return float(value)
    if spec.type == "csv":
        return ",".join(map(str, value)) if isinstance(value, list) else value
    return value


def received(spec: Option, word: str, version: str) -> Any:
    """What vLLM's conversion makes of the word."""
    if spec.type in ("size", "size-or-auto"):
        return -1 if word.lower() in ("auto", "-1") else size(word, version)
    if spec.type in ("int", "float"):
        return float(word)
    if spec.type in ("json", "config") or (
        spec.type in ("json-or-str", "kvs", "lora") and word.lstrip().startswith("{")
    ):
        return json.loads(word)
    return word


@settings(max_examples=examples(1500), deadline=None)
@given(case=right_values())
def test_what_is_taken_is_received_as_it_was_meant(case: Any, tell: Any) -> None:
    version, spec, value = case
    told = tell(version, {spec.name: value})
    if told.read.refused or not told.read:
        assert told.problems
        return
    read = parser(spec).parse_args(["/model", *told.words, "--zz-after"])
    assert read.zz_after
    assert read.model_tag == "/model"
    if spec.arity == "flag":
        assert read.value is value or (read.value is None and value is False and not spec.negatives)
    elif spec.arity in ("list", "repeated"):
        items = value if isinstance(value, list) else [value]
        assert [received(spec, word, version) for word in read.value] == [meant(spec, item, version) for item in items]
    else:
        assert received(spec, read.value, version) == meant(spec, value, version)


@pytest.mark.parametrize("version", VERSIONS)
def test_every_option_takes_its_own_default(version: str, tell: Any) -> None:
    """A default that is refused would mean that the rules for its type are not vLLM's."""
    known = release(version)
    assert known is not None
    for spec in known.options.values():
        default = spec.default
        if (
            spec.name in {*OWNED, *SECRET}
            or default in (None, "", [])
            or not isinstance(default, (bool, int, float, str))
        ):
            continue
        if spec.choices is None or default in spec.choices:
            told = tell(version, {spec.name: default})
            assert not told.read.refused, (spec, told.problems)


@given(st.text(st.sampled_from("0123456789.kKmMgGtT -+_xé"), max_size=8))
def test_sizes_are_read_as_vllm_reads_them(text: str) -> None:
    """`human_readable_int` of vllm/utils/argparse_utils.py in 0.33.0, by another road."""
    expected: int | None = None
    stripped = text.strip()
    number, factor = (stripped[:-1], stripped[-1:]) if stripped[-1:].isalpha() else (stripped, "")
    whole, dot, rest = number.partition(".")
    digits = whole.isascii() and whole.isdigit() and (not dot or (rest.isascii() and rest.isdigit()))
    if digits and factor in tuple("kmgt"):
        expected = int(float(number) * 1000 ** ("kmgt".index(factor) + 1))
    elif digits and not dot and factor in ("", *"KMGT"):
        expected = int(number) * 1024 ** (" KMGT".index(factor or " "))
    assert size(text) == expected


@pytest.mark.parametrize(
    ("value", "release_", "expected"),
    [
        (4096, None, 4096),
        (0, None, 0),
        (True, None, None),
        (4096.0, None, None),
        (-1, None, None),
        (None, None, None),
        ([1], None, None),
        ("auto", None, None),
        ("1t", "0.12.0", None),
        ("1t", "0.13.0", 10**12),
        ("1T", "0.8.5.post1", None),
        ("2.01k", None, 2009),
        (10**400, None, None),
    ],
)
def test_what_is_no_size_is_none(value: Any, release_: str | None, expected: int | None) -> None:
    assert size(value, release_) == expected


def test_dates_and_bytes_never_reach_a_command_line(tell: Any) -> None:
    for value in (datetime.date(2026, 1, 1), b"x", {1}, math.nan, object()):
        for version in (*VERSIONS, None):
            told = tell(version, {"tokenizer": value, "hf-overrides": {"a": [value]}})
            assert told.words == []
            assert len(told.problems) == 2


def test_the_given_data_is_left_as_it_was(tell: Any) -> None:
    args: Mapping[str, Any] = {"compilation-config.pass_config.fuse_norm_quant": True, "hf-overrides": {"a": [1]}}
    before = json.dumps(args)
    tell("0.33.0", args)
    assert json.dumps(args) == before
