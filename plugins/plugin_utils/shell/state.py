"""What a shell knows while it runs a script: variables, exports, functions, arguments, directory."""

from __future__ import annotations

import posixpath
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from ansible_collections.baremetal.vllm.plugins.module_utils.text.safe_values import MAX_WORD
from ansible_collections.baremetal.vllm.plugins.plugin_utils.shell.bounds import Work, size_of, too_long
from ansible_collections.baremetal.vllm.plugins.plugin_utils.shell.tree import Function
from ansible_collections.baremetal.vllm.plugins.plugin_utils.shell.values import Field, Gap, Piece, Variable, merged

# Set again and again by the shell itself.
_OWN = ("RANDOM", "SECONDS", "LINENO", "BASHPID", "PPID", "EPOCHSECONDS")


@dataclass
class ShellState:
    """`given`: the arguments of a function, None for the script's own, of which there are none as far as one knows.

    `dead`: the way ends here (exit, exec, return). `place`: the directory of the script, "" where it is no file.
    `work`: what is left to be followed; copies share it.
    """

    variables: dict[str, Variable | None] = field(default_factory=dict)
    exported: set[str] = field(default_factory=set)
    functions: dict[str, Function] = field(default_factory=dict)
    given: list[Field] | None = None
    all_exported: bool = False
    directory: str | None = None
    dead: bool = False
    place: str = ""
    script: str = ""
    conditions: tuple[str, ...] = ()
    beliefs: tuple[str, ...] = ()
    work: Work = field(default_factory=Work)

    def copy(self) -> ShellState:
        """A state to go another way with; `work` is shared, and the copy is paid from it."""
        self.work.spend(len(self.variables))
        return replace(
            self,
            variables=dict(self.variables),
            exported=set(self.exported),
            functions=dict(self.functions),
            given=None if self.given is None else list(self.given),
        )

    def become(self, other: ShellState) -> None:
        """Take over everything from another state, in place: callers hold this one."""
        for name in self.__dataclass_fields__:
            setattr(self, name, getattr(other, name))

    def set(self, name: str, variable: Variable | None) -> None:
        """None: it is unset. A value beyond any use becomes unknown: `X=$X$X` doubles it line by line."""
        if variable is not None and size_of(variable.fields) > MAX_WORD:
            written = f"${{{name}[@]}}" if variable.array else f"${name}"
            variable = Variable((too_long(written),), variable.array, variable.line)
        self.variables[name] = variable
        if self.all_exported:
            self.exported.add(name)

    def set_text(self, name: str, text: str, line: int) -> None:
        """Set a variable to a text that is certain; `line`: where the script does so."""
        self.set(name, Variable(((Piece(text),),), line=line))

    def get(self, name: str) -> Variable | None:
        """None where it is unset, as far as the script says; a variable of whoever starts it is a gap."""
        if name in self.variables:
            return self.variables[name]
        if name == "PWD" and self.directory is not None:
            return Variable(((Piece(self.directory),),))
        if name in ("BASH_SOURCE", "0") and self.script:
            gap = Gap("$0", f"the script's own path, taken to be {self.script}", taken=True)
            return Variable(((Piece(self.script, gap),),))
        return Variable(((Piece(f"${name}", Gap(f"${name}", outside=name not in _OWN and name != "0")),),))

    def arguments(self) -> list[Field]:
        """`"$@"`: of the script itself nothing is known, and there may be none."""
        if self.given is not None:
            return list(self.given)
        return [(Piece("", Gap('"$@"', "what the script is started with", taken=True, outside=True)),)]

    def argument(self, number: int) -> Variable | None:
        """`$1` and further ones: None past the last; a gap where the script's own arguments are meant."""
        if self.given is None:
            name = f"${number}" if number < 10 else f"${{{number}}}"
            return Variable(((Piece(name, Gap(name, outside=True)),),))
        return Variable((self.given[number - 1],)) if number <= len(self.given) else None

    def move(self, target: str | None) -> None:
        """`cd`; None: nobody knows where to."""
        if target is None:
            self.directory = None
        elif target.startswith("/"):
            self.directory = posixpath.normpath(target)
        elif self.directory is not None:
            self.directory = posixpath.normpath(posixpath.join(self.directory, target))


def join(state: ShellState, ways: Sequence[tuple[ShellState, str]], taken: int | None) -> None:
    """The state after several ways of which one was gone; `taken`: the one that is believed.

    Ways that end are no ways on. What a variable can be is told with the words of each way.
    """
    alive = [(way, when) for way, when in ways if not way.dead]
    believed = ways[taken][0] if taken is not None else None
    if not alive:
        state.dead = True
        return
    index = next((i for i, (way, __) in enumerate(alive) if way is believed), None)
    result = alive[index or 0][0].copy()
    for name in dict.fromkeys(name for way, __ in alive for name in way.variables):
        state.work.spend(len(alive))
        values = [(way.get(name), when) for way, when in alive]
        result.variables[name] = merged(name, values, index)
    result.exported = set().union(*(way.exported for way, __ in alive))
    result.functions = {name: body for way, __ in alive for name, body in way.functions.items()}
    if any(way.directory != alive[0][0].directory for way, __ in alive):
        result.directory = None
    result.conditions, result.dead = state.conditions, False
    state.become(result)
