"""A shell script as a tree: words in parts that are not expanded yet, and commands as bash nests them.

Source of the grammar: bash(1), "SHELL GRAMMAR", "QUOTING" and "EXPANSION".
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Union


class ShellError(ValueError):
    """A text that bash would not parse. `line`: where, from 1."""

    def __init__(self, line: int, what: str) -> None:
        super().__init__(f"line {line}: {what}")
        self.line = line


@dataclass(frozen=True)
class Lit:
    """Plain text; `quoted` text is never split, nor a pattern."""

    text: str
    quoted: bool = False


@dataclass(frozen=True)
class Hole:
    """`<your_port>` of a guide: a place to fill in."""

    text: str


@dataclass(frozen=True)
class Param:
    """`$NAME`, `${NAME[index]op arg}`; `source`: as written. `length`: `${#NAME}`; `indirect`: `${!NAME}`."""

    name: str
    source: str
    quoted: bool = False
    index: str | None = None
    op: str = ""
    arg: str = ""
    length: bool = False
    indirect: bool = False


@dataclass(frozen=True)
class Sub:
    """`$(…)` and backquotes; `text`: what is inside."""

    text: str
    source: str
    quoted: bool = False


@dataclass(frozen=True)
class Sum:
    """`$((…))`; `text`: the expression."""

    text: str
    source: str
    quoted: bool = False


Part = Union[Lit, Hole, Param, Sub, Sum]


@dataclass(frozen=True)
class Word:
    """A word before its expansion. `source`: as written."""

    parts: tuple[Part, ...]
    line: int
    source: str

    @property
    def plain(self) -> str | None:
        """The text of a word without quotes and expansions, as reserved words and names have to be."""
        if all(isinstance(part, Lit) and not part.quoted for part in self.parts):
            return "".join(part.text for part in self.parts if isinstance(part, Lit))
        return None


@dataclass(frozen=True)
class Assign:
    """`NAME=value`, `NAME+=value`, `NAME[index]=value`, `NAME=(value …)`."""

    name: str
    value: Word | tuple[Word, ...]
    line: int
    append: bool = False
    index: str | None = None


@dataclass(frozen=True)
class Redirect:
    """`body`: the text of a here-document or here-string; `expands`: whether its `$` are the shell's."""

    op: str
    target: Word
    body: str | None = None
    expands: bool = False
    descriptor: str = ""


@dataclass(frozen=True)
class Simple:
    """A simple command. Assignments behind `export` and the like are among the `words`."""

    assigns: tuple[Assign, ...]
    words: tuple[Word | Assign, ...]
    redirects: list[Redirect]
    line: int
    end: int
    source: str


@dataclass(frozen=True)
class Pipeline:
    """Commands joined by `|`, or a single one; `negated` by `!` in front."""

    commands: tuple[Node, ...]
    negated: bool = False


@dataclass(frozen=True)
class AndOr:
    """Two commands, of which the left one decides whether the right one runs; `op` is && or ||."""

    left: Node
    op: str
    right: Node


@dataclass(frozen=True)
class Background:
    """A command with `&` behind it: nobody waits for it."""

    command: Node


@dataclass(frozen=True)
class Group:
    """Commands in braces, or in brackets (`subshell`), which keep their variables to themselves."""

    body: tuple[Node, ...]
    subshell: bool
    redirects: list[Redirect] = field(default_factory=list)


@dataclass(frozen=True)
class If:
    """`branches`: condition, body, and the condition as it is written."""

    branches: tuple[tuple[tuple[Node, ...], tuple[Node, ...], str], ...]
    otherwise: tuple[Node, ...] | None
    line: int


@dataclass(frozen=True)
class While:
    """`while` or `until`; `source` is the condition as it is written."""

    condition: tuple[Node, ...]
    body: tuple[Node, ...]
    until: bool
    source: str
    line: int
    redirects: list[Redirect] = field(default_factory=list)


@dataclass(frozen=True)
class For:
    """`words` None: over the script's own arguments."""

    name: str
    words: tuple[Word, ...] | None
    body: tuple[Node, ...]
    line: int


@dataclass(frozen=True)
class CountedFor:
    """`for ((start; condition; step))`."""

    start: str
    condition: str
    step: str
    body: tuple[Node, ...]
    line: int


@dataclass(frozen=True)
class Case:
    """`items`: the patterns of each branch, and its commands; the first that fits is run."""

    subject: Word
    items: tuple[tuple[tuple[Word, ...], tuple[Node, ...]], ...]
    line: int


@dataclass(frozen=True)
class Function:
    """A function as it is defined; nothing of it is run there."""

    name: str
    body: Node
    line: int


@dataclass(frozen=True)
class Test:
    """`[[ … ]]`: its words, operators among them."""

    words: tuple[Word, ...]
    line: int
    source: str


@dataclass(frozen=True)
class Counting:
    """`(( … ))`."""

    text: str
    line: int


Node = Union[Simple, Pipeline, AndOr, Background, Group, If, While, For, CountedFor, Case, Function, Test, Counting]


@dataclass
class Script:
    """`remarks`: line and sentence about what was read as it is meant and not as bash takes it."""

    body: tuple[Node, ...]
    remarks: list[tuple[int, str]] = field(default_factory=list)
