"""What must hold for every entry: moving loses nothing, importing reads back what was written."""

from __future__ import annotations

import shlex
from typing import Any

from ansible_collections.baremetal.vllm.plugins.module_utils.text.names import OWNED, SECRET, normal
from ansible_collections.baremetal.vllm.plugins.module_utils.text.problems import Problems
from ansible_collections.baremetal.vllm.plugins.module_utils.text.safe_values import is_secret
from ansible_collections.baremetal.vllm.plugins.plugin_utils.migration.command_line import read_command
from ansible_collections.baremetal.vllm.plugins.plugin_utils.migration.move import move, move_entry
from ansible_collections.baremetal.vllm.plugins.plugin_utils.options import fates, load
from ansible_collections.baremetal.vllm.plugins.plugin_utils.options.check import read_arguments
from ansible_collections.baremetal.vllm.plugins.plugin_utils.options.extras import NO_EXTRAS
from ansible_collections.baremetal.vllm.plugins.plugin_utils.options.model import Option, Release
from ansible_collections.baremetal.vllm.plugins.plugin_utils.options.words import words
from ansible_collections.baremetal.vllm.plugins.plugin_utils.shell.run import commands
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from thoroughness import examples

VERSIONS = ("0.8.5", "0.9.2", "0.10.1", "0.11.0", "0.12.0", "0.15.1", "0.20.2", "0.28.0", "0.33.0")
TEXT = st.text(st.characters(codec="utf-8", categories=("L", "N", "P", "S", "Zs")), min_size=1, max_size=10)
DATA = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**9), 10**9) | st.floats(-1e9, 1e9) | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=5,
)
OF_TYPE: dict[str, st.SearchStrategy[Any]] = {
    "str": TEXT,
    "folded": TEXT,
    "int": st.integers(1, 4096),
    "float": st.floats(0.1, 0.9) | st.integers(1, 9),
    "size": st.integers(1, 10**6) | st.sampled_from(["4k", "25.6k", "2K"]),
    "size-or-auto": st.sampled_from(["32k", 4096]),
    "json": st.dictionaries(TEXT, DATA, max_size=2),
    "json-or-str": st.dictionaries(TEXT, DATA, max_size=2),
    "kvs": st.dictionaries(st.sampled_from(["image", "video"]), st.integers(0, 9), min_size=1),
    "csv": st.lists(st.integers(0, 9), min_size=1, max_size=3),
}


def known(version: str) -> Release:
    release = load.release(version)
    assert release is not None
    return release


def key(release: Release, config: str) -> st.SearchStrategy[Any]:
    """One key of a dataclass with a value that fits."""
    fields = [
        field
        for field in release.configs[config].fields.values()
        if not field.many and (field.choices or field.type in ("str", "int", "float", "bool"))
    ]
    if not fields:
        return st.just({})

    def value(field: Any) -> st.SearchStrategy[Any]:
        if field.choices:
            return st.sampled_from(field.choices)
        return st.booleans() if field.type == "bool" else OF_TYPE[field.type]

    return st.sampled_from(fields).flatmap(lambda field: value(field).map(lambda item: {field.name: item}))


def value_of(spec: Option, release: Release) -> st.SearchStrategy[Any]:
    if spec.arity == "flag":
        return st.booleans() if spec.negatives else st.just(True)
    if spec.choices or spec.suggestions:
        one: st.SearchStrategy[Any] = st.sampled_from(
            [c for c in spec.choices or spec.suggestions or () if c != "None"]
        )
    elif spec.config in release.configs:
        one = key(release, spec.config)
    elif spec.type == "json" and isinstance(spec.default, (list, tuple)):
        return st.lists(TEXT, min_size=1, max_size=2)
    else:
        one = OF_TYPE.get(spec.type, TEXT)
    return st.lists(one, min_size=1, max_size=2) if spec.arity in ("list", "repeated") else one


def good(args: dict[str, Any], version: str) -> bool:
    problems = Problems()
    read_arguments("", args, known(version), NO_EXTRAS, problems)
    return not problems.found


@st.composite
def entries(draw: st.DrawFn) -> tuple[str, dict[str, Any]]:
    """A release, and args that are valid in it; options with a fate come up often."""
    version = draw(st.sampled_from(VERSIONS))
    release = known(version)
    free = [
        o for o in release.options.values() if o.name not in {*OWNED, *SECRET} and o.type not in ("lora", "name=path")
    ]
    fated = [o for o in free if o.name in fates.options() or o.config]
    specs = draw(st.lists(st.sampled_from(free) | st.sampled_from(fated), max_size=4, unique_by=lambda o: o.name))
    args = {spec.name: draw(value_of(spec, release)) for spec in specs}
    return version, {name: value for name, value in args.items() if good({name: value}, version)}


@settings(max_examples=examples(300), deadline=None)
@given(entry=entries())
def test_moving_to_the_same_release_changes_nothing(entry: Any) -> None:
    version, args = entry
    moved, changes = move(args, version, version)
    assert moved == args
    assert list(moved) == list(args)
    assert {change.kind for change in changes} <= {"deprecated", "conflict"}


@settings(max_examples=examples(500), deadline=None)
@given(entry=entries(), to=st.sampled_from(VERSIONS))
def test_what_is_moved_is_valid_and_nothing_is_lost(entry: Any, to: str) -> None:
    version, args = entry
    moved, changes = move(args, to, version)
    assert good(moved, to)
    told = {change.option.partition(".")[0] for change in changes if change.kind in ("renamed", "replaced", "gone")}
    assert set(args) <= set(moved) | told
    for option, value in args.items():
        assert option in told or moved[option] == value or isinstance(value, dict)


@settings(max_examples=examples(300), deadline=None)
@given(entry=entries(), to=st.sampled_from(VERSIONS))
def test_moving_again_changes_nothing_more(entry: Any, to: str) -> None:
    version, args = entry
    moved, __ = move(args, to, version)
    again, changes = move(moved, to, to)
    assert again == moved
    assert {change.kind for change in changes} <= {"deprecated", "conflict"}


@settings(max_examples=examples(300), deadline=None)
@given(
    args=st.dictionaries(TEXT | st.sampled_from(sorted(fates.options())), DATA, max_size=4),
    env=st.dictionaries(
        TEXT | st.sampled_from(sorted(fates.variables())), TEXT | st.booleans() | st.integers(), max_size=3
    ),
    to=st.sampled_from(VERSIONS),
)
def test_whatever_is_written_is_moved_or_told(args: Any, env: Any, to: str) -> None:
    moved = move_entry(args, env, to)
    assert good(moved.args, to)
    told = {change.option for change in moved.changes}
    heads = {normal(name).partition(".")[0] for name in (*moved.args, *told)}
    for raw, value in args.items():
        assert value is None or raw in told or normal(raw).partition(".")[0] in heads


@settings(max_examples=examples(300), deadline=None)
@given(parts=st.lists(st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=12), max_size=5))
def test_words_are_read_as_a_shell_reads_them(parts: list[str]) -> None:
    (ran,) = commands(f"vllm {shlex.join(parts)}").found
    assert [word.text for word in ran.words[1:]] == shlex.split(shlex.join(parts)) == parts
    assert not any(word.gaps for word in ran.words)


@settings(max_examples=examples(400), deadline=None)
@given(
    entry=entries(),
    gpus=st.none() | st.lists(st.integers(0, 7), min_size=1, max_size=3, unique=True),
    port=st.none() | st.integers(1024, 65535),
    aliases=st.lists(st.sampled_from(["gpt-4", "Org/Other", "x"]), max_size=2, unique=True),
    env=st.dictionaries(st.sampled_from(["VLLM_LOGGING_LEVEL", "NCCL_DEBUG", "HF_HOME"]), TEXT, max_size=2),
)
def test_an_entry_written_as_a_command_is_read_back(entry: Any, gpus: Any, port: Any, aliases: Any, env: Any) -> None:
    version, args = entry
    assume(not any(is_secret(str(value)) for value in [*args.values(), *env.values()]))
    # What adapters bring along is no option of the entry.
    args.pop("enable-lora", None)
    commit = "495f39366efef23836d0cfae4fbe635880d2be31"
    command = ["vllm", "serve", "Org/Model", "--revision", commit, "--served-model-name", "my-model", *aliases]
    command += ["--port", str(port)] if port else []
    command += [word for option, value in args.items() for word in words(option, value, known(version))]
    variables = {**env, **({"CUDA_VISIBLE_DEVICES": ",".join(map(str, gpus))} if gpus else {})}
    text = " ".join([*(f"{name}={shlex.quote(value)}" for name, value in variables.items()), shlex.join(command)])
    read, __ = read_command(text, version)
    expected: dict[str, Any] = {"name": "my-model", "model": "Org/Model", "revision": commit, "kind": read["kind"]}
    expected |= {name: value for name, value in (("gpus", gpus), ("port", port), ("aliases", aliases)) if value}
    expected |= {name: value for name, value in (("args", args), ("env", env)) if value}
    assert read == expected
