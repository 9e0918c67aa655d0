"""`data/fates.yml`: what became of the options, values, keys and variables that some release of vLLM no longer takes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, TypedDict, Union

from ansible_collections.baremetal.vllm.plugins.plugin_utils.places import DATA, read_yaml

FILE = DATA / "fates.yml"


@dataclass(frozen=True)
class FateRule:
    """What is written instead: `write` has option or option.key to value, `{}` is nothing at all.

    `into` and `origin` are spans of releases ("0.10.1..", "..0.9.2"), `when` the values it holds for (a tuple), a form
    ("text", "number", "mapping", "one", "many"), or None for all. `judgement`: vLLM itself names no such replacement.
    """

    write: Mapping[str, Any]
    into: str = ".."
    origin: str = ".."
    when: tuple[Any, ...] | str | None = None
    note: str = ""
    source: str = ""
    judgement: bool = False


@dataclass(frozen=True)
class Fate:
    """Releases are "" where there is none: `gone` refuses it first, `deprecated` warns of it, in `idle` it does nothing."""

    gone: str = ""
    deprecated: str = ""
    idle: str = ""
    why: str = ""
    do: str = ""
    source: str = ""
    becomes: tuple[FateRule, ...] = ()
    values: Mapping[Any, Fate] = field(default_factory=dict)


@dataclass(frozen=True)
class OptionMeaning:
    """What an option, a key of one or a variable does differently from `since` on.

    `when`: it is "absent", "given", or "any"; `beside` another option only; `accelerator` of the hosts that it is about, "" for
    all; `keep`: what to write to have it as before; None where nothing brings it back.
    """

    option: str
    since: str
    when: str
    says: str
    beside: str = ""
    accelerator: str = ""
    keep: Any = None
    source: str = ""


# The forms of these in the file; `in` and `from` are no names in Python.
_RuleForm = TypedDict(
    "_RuleForm",
    {
        "write": Mapping[str, Any],
        "in": str,
        "from": str,
        "when": Union[list[Any], str],
        "note": str,
        "source": str,
        "judgement": bool,
    },
    total=False,
)


class _FateForm(TypedDict, total=False):
    gone: str
    deprecated: str
    idle: str
    why: str
    do: str
    source: str
    becomes: list[_RuleForm]
    values: dict[Any, _FateForm]


class _File(TypedDict):
    options: dict[str, _FateForm]
    environment: dict[str, _FateForm]
    meanings: dict[str, Any]
    same_defaults: list[str]


@lru_cache(maxsize=1)
def _file() -> _File:
    read: _File = read_yaml(FILE)
    return read


@lru_cache(maxsize=1)
def options() -> Mapping[str, Fate]:
    """By option, or by `option.key`."""
    return {name: _fate(facts) for name, facts in _file()["options"].items()}


@lru_cache(maxsize=1)
def variables() -> Mapping[str, Fate]:
    """By name of the environment variable."""
    return {name: _fate(facts) for name, facts in _file()["environment"].items()}


@lru_cache(maxsize=1)
def meanings() -> tuple[OptionMeaning, ...]:
    """Every option and variable that means something else since some release; read once."""
    return tuple(
        OptionMeaning(option, **{"beside" if key == "with" else key: value for key, value in facts.items()})
        for option, facts in _file()["meanings"].items()
    )


def is_variable(name: str) -> bool:
    """Whether a name in `meanings` and `same_defaults` is one of the environment: options are written in small letters."""
    return name.isupper()


@lru_cache(maxsize=1)
def same_defaults() -> frozenset[str]:
    """Options, keys and variables whose default some release writes another way, to the same effect."""
    return frozenset(_file()["same_defaults"])


def _fate(form: _FateForm) -> Fate:
    read: Any = dict(form)
    read["becomes"] = tuple(_rule(rule) for rule in form.get("becomes", ()))
    read["values"] = {value: _fate(own) for value, own in form.get("values", {}).items()}
    return Fate(**read)


def _rule(form: _RuleForm) -> FateRule:
    read: Any = {{"in": "into", "from": "origin"}.get(key, key): value for key, value in form.items()}
    when = form.get("when")
    return FateRule(**{**read, "when": tuple(when) if isinstance(when, list) else when})
