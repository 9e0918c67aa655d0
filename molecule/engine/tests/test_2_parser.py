"""The catalogue against the parser of the engine that is installed on a host: the same options, choices and types."""

from __future__ import annotations

import json
import shlex
import subprocess
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.baremetal.vllm.plugins.plugin_utils.options.load import release
from ansible_collections.baremetal.vllm.plugins.plugin_utils.options.model import Option, Release
from testlab import STATE

# Installed by test_1_offline.py, which runs before.
HOST = "lab4"
RELEASE = "0.32.0"
ENGINE = f"/opt/vllm/{RELEASE}"
REFUSED = {"refused": True}
# Of the platform, not of the release: the catalogue has it for CUDA, and this engine is vLLM's CPU build.
OF_THE_PLATFORM = {"mm-processor-device"}
WORDS = ("12", "1.5", "1.5k", "auto", "x", "{}", '{"a": 1}', "[1]", "a=1", "None", "", "1,2", "X-x")
# What a word becomes by the type that the catalogue names; the value itself stands for "any value, but taken".
TAKEN = object()
BY_TYPE: dict[str, dict[str, Any]] = {
    "int": {"12": 12, "1.5": REFUSED, "1.5k": REFUSED, "x": REFUSED, "{}": REFUSED},
    "float": {"12": 12.0, "1.5": 1.5, "1.5k": REFUSED, "x": REFUSED},
    "size": {"12": 12, "1.5k": 1500, "1.5": REFUSED, "auto": REFUSED, "x": REFUSED},
    "size-or-auto": {"12": 12, "1.5k": 1500, "1.5": REFUSED, "auto": -1, "x": REFUSED},
    "str": {word: word for word in WORDS if word not in ("None", "")},
    # Compared after the parser: to it, any word.
    "caseless": {word: word for word in WORDS if word not in ("None", "")},
    "folded": {"X-x": "x_x", "x": "x"},
    "json": {"{}": {}, '{"a": 1}': {"a": 1}, "[1]": [1], "12": 12, "x": REFUSED, "a=1": REFUSED},
    "json-or-str": {"{}": {}, '{"a": 1}': {"a": 1}, "x": "x", "a=1": "a=1"},
    "config": {"x": REFUSED, "a=1": REFUSED, '{"a": 1}': REFUSED, "[1]": REFUSED},
    "csv": {"1,2": TAKEN},
    "lora": {"a=1": "a=1"},
}  # fmt: skip


@pytest.fixture(scope="module")
def real() -> list[dict[str, Any]]:
    script = (Path(__file__).parent / "engine_parser.py").read_bytes()
    command = ["ssh", "-F", str(STATE / "ssh" / "config"), HOST, f"{ENGINE}/bin/python - {shlex.join(WORDS)}"]
    done = subprocess.run(command, input=script, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()[-2000:]
    described: list[dict[str, Any]] = json.loads(done.stdout.splitlines()[-1])
    assert len(described) > 300
    return described


@pytest.fixture(scope="module")
def known() -> Release:
    found = release(RELEASE)
    assert found is not None
    return found


def test_the_options_are_the_same_under_all_their_spellings(real: list[dict[str, Any]], known: Release) -> None:
    long = {frozenset(s[2:].replace("_", "-") for s in o["spellings"] if s.startswith("--")) for o in real}
    short = {s[1:] for o in real for s in o["spellings"] if not s.startswith("--")}
    assert {frozenset((o.name, *o.aliases, *o.negatives)) for o in known.options.values()} == long
    assert {s for o in known.options.values() for s in o.short} == short
    assert set(known.spellings) == frozenset.union(*long)
    assert len(known.options) == len(real)


def test_the_choices_are_the_same(real: list[dict[str, Any]], known: Release) -> None:
    differing = {}
    for described in real:
        option = option_of(described, known)
        choices = [choice for choice in described["choices"] or () if choice is not None]
        if option.name not in OF_THE_PLATFORM and list(option.choices or ()) != choices:
            differing[option.name] = (option.choices, choices)
        names = described["open"]
        if described["registered"]:
            names = sorted({*(names or ()), *described["registered"]})
        if names is not None and list(option.suggestions or ()) != names:
            differing[option.name] = (option.suggestions, names)
    assert not differing


def test_every_option_reads_words_as_its_type_says(real: list[dict[str, Any]], known: Release) -> None:
    differing, compared = [], 0
    for described in real:
        option = option_of(described, known)
        if arity_of(described) != option.arity:
            differing.append((option.name, "arity", option.arity, described["kind"], described["nargs"]))
        if option.arity == "flag" or option.choices:
            continue
        for word, expected in BY_TYPE[option.type].items():
            found = described["words"][word]
            same = found != REFUSED if expected is TAKEN else found in (expected, {"value": expected})
            compared += 1
            if not same:
                differing.append((option.name, option.type, word, found))
        if (described["words"]["None"] == {"value": None}) != option.nullable:
            differing.append((option.name, "nullable", option.nullable, described["words"]["None"]))
    assert not differing
    assert compared > 700


def option_of(described: dict[str, Any], known: Release) -> Option:
    first = next(s for s in described["spellings"] if s.startswith("--"))
    return known.options[known.spellings[first[2:].replace("_", "-")]]


def arity_of(described: dict[str, Any]) -> str:
    if described["nargs"] == 0:
        return "flag"
    if described["kind"] == "_AppendAction":
        return "repeated"
    return {None: "value", "?": "optional"}.get(described["nargs"], "list")
