"""What is known of one vLLM release: the options of its `vllm serve`, the dataclasses behind them, its environment variables.

Types of values, as the release's parser reads one word (`Option.type`; `Field.type` says what the JSON value must be):

=============  ===========================================================================================================
str            text
int, float     a number as Python's `int()` and `float()` read it
bool           a flag (arity "flag"). Arity "value": every word but the empty one is true; "optional": true or false may
               follow. In a `Field`: true or false
size           a whole number with an optional factor: k m g t (powers of 1,000, decimals allowed), K M G T (of 1,024)
size-or-auto   the same, or `auto` or -1
json           one JSON text of any shape
json-or-str    a JSON object, or any other text as it stands
config         one JSON object whose keys are those of `Option.config` (or dotted sub-options, one per key)
csv            several values in one word, with commas between
kvs            a JSON object, or `name=number` pairs in one word with commas between
caseless       text, compared with `choices` or `suggestions` without regard to case; other values as they stand
folded         the same, with `-` and `_` alike too
name=path      a name and a path in one word
lora           the same, or a JSON object with the keys of `Option.config`
any            in a `Field` only: a value of no type that JSON could be checked against
dict           in a `Field` only: a JSON object of free keys
=============  ===========================================================================================================
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any


class _Unknown(Enum):
    UNKNOWN = "computed when the engine starts"

    def __repr__(self) -> str:
        return "UNKNOWN"


# The default of an option that vLLM computes from the model, the host or another option.
UNKNOWN = _Unknown.UNKNOWN


@dataclass(frozen=True)
class Field:
    """One key of a dataclass-valued option, as vLLM spells it (with `_`). `bounds` holds any of ge gt le lt."""

    name: str
    type: str = "str"
    nullable: bool = False
    choices: tuple[Any, ...] | None = None
    # An open set, as in `Option`: another name needs the key `<name>_module_path` beside it.
    suggestions: tuple[str, ...] | None = None
    bounds: Mapping[str, float] = field(default_factory=dict)
    default: Any = None
    # A list of `type`.
    many: bool = False
    # Name of the nested dataclass in `Release.configs`.
    config: str | None = None
    # The key must be given.
    required: bool = False
    # As in `Option`.
    deprecated: str = ""


@dataclass(frozen=True)
class Config:
    """A dataclass of vLLM; `extra` is what that release does with an unknown key: refused, ignored or allowed."""

    name: str
    fields: Mapping[str, Field]
    extra: str = "refused"


@dataclass(frozen=True)
class Option:
    """One option of `vllm serve`. Names are without leading dashes, with `-` inside."""

    name: str
    # Further accepted long names, those hidden from the help too.
    aliases: tuple[str, ...] = ()
    # Short forms without their dash: ("tp",), ("q",).
    short: tuple[str, ...] = ()
    # Long names that switch it off; () where none does.
    negatives: tuple[str, ...] = ()
    # "flag", "value", "list" (one or more words), "repeated" (given once per value), "optional" (one word or none).
    arity: str = "value"
    type: str = "str"
    # `""` and `None` mean null.
    nullable: bool = False
    # A closed set: the parser refuses everything else.
    choices: tuple[Any, ...] | None = None
    # An open set: the names vLLM itself knows; plug-ins may add others.
    suggestions: tuple[str, ...] | None = None
    # ge gt le lt, checked by vLLM only after the parser.
    bounds: Mapping[str, float] = field(default_factory=dict)
    # A JSON value, or UNKNOWN.
    default: Any = None
    # Name in `Release.configs` of the dataclass whose keys the value takes, for options judged after parsing too.
    config: str | None = None
    # What vLLM announces: "use --y, removal announced for 0.34"; "" where the option is not deprecated.
    deprecated: str = ""
    # Title of the parser's group, the dataclass where the option comes from: "ModelConfig", "Frontend".
    group: str = ""


@dataclass(frozen=True)
class Variable:
    """An environment variable that vLLM reads: nearly all are VLLM_*, a few (`MAX_JOBS`, `S3_ENDPOINT_URL`) are of others.

    Types: str int float; `bool` for 1 or 0 (most fail on `true`); `truth` for the words true and false (`1` is not
    understood); `switch` for both, in large letters or small; `csv` for words with commas between, each one of `choices`;
    `caseless` as for options; `any` where its annotation says no more. A default that is computed is UNKNOWN.
    """

    name: str
    type: str = "str"
    choices: tuple[str, ...] | None = None
    default: Any = None


@dataclass(frozen=True)
class Release:
    """Everything the catalogue holds of one release. `--x.y` spellings are resolved through `Option.config`."""

    version: str
    options: Mapping[str, Option]
    # Every accepted long spelling (aliases, negatives, deprecated ones) and the option it belongs to.
    spellings: Mapping[str, str]
    configs: Mapping[str, Config]
    environment: Mapping[str, Variable]
    # CUDA release that the published wheel is built for: "12.8".
    cuda: str = ""
    # CUDA compute capabilities that the kernels are built for: ("7.0", "9.0a", ...).
    capabilities: tuple[str, ...] = ()
    # Python versions, as in Requires-Python.
    python: str = ""
