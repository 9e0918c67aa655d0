"""Walks through a script as bash would and tells each command that it comes by, with the words and the environment it gets.

Nothing is run. A condition that the script alone decides is decided; of any other all ways are gone, and what a variable
can be afterwards is told (values.merged). Commands are taken to succeed.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

from ansible_collections.baremetal.vllm.plugins.plugin_utils.shell import conditions
from ansible_collections.baremetal.vllm.plugins.plugin_utils.shell.assigning import assign
from ansible_collections.baremetal.vllm.plugins.plugin_utils.shell.bounds import COMMAND, Work
from ansible_collections.baremetal.vllm.plugins.plugin_utils.shell.builtins import BUILTINS, DEPTH
from ansible_collections.baremetal.vllm.plugins.plugin_utils.shell.conditions import UNKNOWN, Truth, both, either
from ansible_collections.baremetal.vllm.plugins.plugin_utils.shell.expand import fields, text_in, value_of
from ansible_collections.baremetal.vllm.plugins.plugin_utils.shell.loops import follow_counted, follow_for, follow_while
from ansible_collections.baremetal.vllm.plugins.plugin_utils.shell.parse import parse
from ansible_collections.baremetal.vllm.plugins.plugin_utils.shell.questions import (
    condition_of,
    is_command,
    is_question,
    locals_of,
    names_of,
    presumed,
    source_of,
    source_text,
)
from ansible_collections.baremetal.vllm.plugins.plugin_utils.shell.state import ShellState, join
from ansible_collections.baremetal.vllm.plugins.plugin_utils.shell.tree import (
    AndOr,
    Background,
    Case,
    CountedFor,
    For,
    Function,
    Group,
    If,
    Node,
    Pipeline,
    Script,
    ShellError,
    Simple,
    Test,
    While,
)
from ansible_collections.baremetal.vllm.plugins.plugin_utils.shell.tree import Word as TreeWord
from ansible_collections.baremetal.vllm.plugins.plugin_utils.shell.values import (
    Field,
    Gap,
    Variable,
    Word,
    gaps_of,
    is_absent,
    known,
    text_of,
    word_of,
)

TOO_MUCH = "up to here the script does more than is followed"
# Set and not exported, these are a mistake, and no variable of the script.
_SEEN = ("CUDA_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES", "ROCR_VISIBLE_DEVICES")


@dataclass(frozen=True)
class Ran:
    """One command. `env`: variables it gets; `input`: a here-document that is its input.

    `further`: what may follow its words; `conditions`: when it is come by; `beliefs`: what is taken for that to be so.
    `passed_over`: as the script stands alone, another way is gone.
    """

    words: tuple[Word, ...]
    env: Mapping[str, Word]
    line: int
    input: str | None = None
    further: tuple[Gap, ...] = ()
    conditions: tuple[str, ...] = ()
    beliefs: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()
    directory: str | None = None
    passed_over: bool = False


@dataclass
class Walk:
    """`read`: the text of a file beside the script, None where it is not there. `notes`: what concerns the whole script.

    `work`: what is left to be followed of it, and of all texts that it runs. `line`: of the command that is followed;
    `stopped`: the line where the script became too much to follow, 0 where it did not.
    """

    read: Callable[[str], str | None] = lambda path: None
    found: list[Ran] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    remarks: list[tuple[int, str]] = field(default_factory=list)
    depth: int = 0
    called: set[str] = field(default_factory=set)
    returns: list[list[ShellState]] = field(default_factory=list)
    line: int = 1
    stopped: int = 0
    work: Work | None = None

    # ---- lists

    def script(self, script: Script, state: ShellState) -> None:
        """Follow a whole script; what it runs is added to `found`, and `state` is as it leaves it.

        Raises ShellError: where bash would not parse a part of it, or a script that it runs.
        """
        self.remarks += script.remarks
        self.work = state.work
        self.nodes(script.body, state)

    def nodes(self, body: Sequence[Node], state: ShellState) -> Truth:
        """Follow commands in turn until the way or the work ends; the truth of the last one."""
        truth = Truth(True)
        for node in body:
            if state.dead:
                break
            state.work.spend(COMMAND)
            if state.work.over:
                self.stop()
                break
            truth = self.node(node, state)
        return truth

    def stop(self) -> None:
        """Nothing is followed from here on, and that is told."""
        if not self.stopped:
            self.stopped = self.line
            self.notes.append(f"Line {self.line}: {TOO_MUCH}. What comes after it is not here")

    def node(self, node: Node, state: ShellState) -> Truth:
        """Follow one command of any kind; whether it succeeds, as far as the text tells."""
        self.line = getattr(node, "line", self.line)
        if isinstance(node, Simple):
            return self._simple(node, state)
        if isinstance(node, AndOr):
            return self._and_or(node, state)
        if isinstance(node, Pipeline):
            return self._pipeline(node, state)
        if isinstance(node, Background):
            self.node(node.command, state.copy())
            return Truth(True)
        if isinstance(node, Group):
            inner = state.copy() if node.subshell else state
            return self.nodes(node.body, inner)
        if isinstance(node, If):
            return self._if(node, state)
        if isinstance(node, While):
            return follow_while(self, node, state)
        if isinstance(node, For):
            return follow_for(self, node, state)
        if isinstance(node, CountedFor):
            return follow_counted(self, node, state)
        if isinstance(node, Case):
            return self._case(node, state)
        if isinstance(node, Function):
            state.functions[node.name] = node
            return Truth(True)
        if isinstance(node, Test):
            return conditions.test(node.words, state, True)
        return conditions.counting(node.text, state)

    def _pipeline(self, node: Pipeline, state: ShellState) -> Truth:
        if len(node.commands) == 1:
            return self.node(node.commands[0], state).negated()
        for command in node.commands:
            self.node(command, state.copy())
        return UNKNOWN

    def _and_or(self, node: AndOr, state: ShellState, asked_before: Truth | None = None) -> Truth:
        """`asked_before`: the answer of the left side, where that has been gone through already."""
        left = asked_before
        if (
            node.op == "||"
            and isinstance(node.left, AndOr)
            and node.left.op == "&&"
            and not is_command(node.left.right)
        ):
            # `question && this || that` is an `if`.
            first = node.left
            asked = self.node(first.left, state)
            if asked.holds is not None or is_question(first.left):
                when, unless = condition_of(first.left, False), condition_of(first.left, True)
                self._choose(
                    state,
                    asked,
                    lambda way: self.node(first.right, way),
                    lambda way: self.node(node.right, way),
                    when,
                    unless,
                )
                return UNKNOWN
            left = asked if state.dead else self._and_or(first, state, asked)
        if left is None:
            left = self.node(node.left, state)
        if state.dead:
            return left
        asked = left.negated() if node.op == "||" else left
        # A command whose answer nobody waits for succeeds, as far as one knows.
        if asked.holds is None and not is_question(node.left):
            if node.op == "&&":
                asked = Truth(True)
            else:
                self.ways(
                    state,
                    [
                        (lambda way: None, "as it is", ""),
                        (lambda way: self._run(node.right, way), f"if `{source_text(node.left)}` fails", ""),
                    ],
                    0,
                )
                return UNKNOWN
        result: list[Truth] = []
        self._choose(
            state,
            asked,
            lambda way: result.append(self.node(node.right, way)),
            lambda way: None,
            condition_of(node.left, node.op == "||"),
            condition_of(node.left, node.op == "&&"),
        )
        right = result[0] if result else UNKNOWN
        return both(left, right) if node.op == "&&" else either(left, right)

    def _run(self, node: Node, state: ShellState) -> None:
        self.node(node, state)

    # ---- choices

    def _choose(
        self,
        state: ShellState,
        truth: Truth,
        yes: Callable[[ShellState], object],
        no: Callable[[ShellState], object],
        when: str,
        unless: str,
    ) -> None:
        """Go the way that a condition says; both where it does not, or where it rests on what is only taken to be so."""
        if truth.holds is not None and not truth.gaps:
            (yes if truth.holds else no)(state)
            return
        taken = None if truth.holds is None else (0 if truth.holds else 1)
        belief = f"`{unless if taken else when}` is taken to hold ({names_of(truth.gaps)})" if taken is not None else ""
        self.ways(state, [(yes, when, belief), (no, unless, belief)], taken)

    def ways(
        self, state: ShellState, ways: Sequence[tuple[Callable[[ShellState], object], str, str]], taken: int | None
    ) -> None:
        """Follow several ways from one state, and join what they leave in it.

        Each way is what to follow, its condition in words, and what is believed where it is taken.
        `taken`: the index of the one that is believed to be gone; None where nobody knows.
        """
        gone: list[tuple[ShellState, str]] = []
        begins: list[int] = []
        for go, when, __ in ways:
            way = state.copy()
            way.conditions = (*state.conditions, when)
            begins.append(len(self.found))
            go(way)
            way.conditions = state.conditions
            gone.append((way, when))
        begins.append(len(self.found))
        if (
            taken is not None
            and gone[taken][0].dead
            and any(not way.dead for way, __ in gone)
            and not any(map(_may_start, self.found[begins[taken] : begins[taken + 1]]))
        ):
            # A check that ends the script: it is not what a start is made for.
            taken = None
        if taken is not None:
            for index, ran in enumerate(self.found[begins[0] :], begins[0]):
                if begins[taken] <= index < begins[taken + 1]:
                    self.found[index] = _without(ran, ways[taken][1], ways[taken][2])
                else:
                    self.found[index] = replace(ran, passed_over=True)
        join(state, gone, taken)

    def _if(self, node: If, state: ShellState, first: int = 0) -> Truth:
        if first == len(node.branches):
            if node.otherwise is not None:
                self.nodes(node.otherwise, state)
            return UNKNOWN
        condition, body, source = node.branches[first]
        truth = self.nodes(condition, state) if condition else UNKNOWN
        if presumed(condition[-1:]):
            truth = UNKNOWN
        self._choose(
            state,
            truth,
            lambda way: self.nodes(body, way),
            lambda way: self._if(node, way, first + 1),
            f"if {source} (line {node.line})",
            f"unless {source} (line {node.line})",
        )
        return UNKNOWN

    def _case(self, node: Case, state: ShellState) -> Truth:
        subject = value_of(node.subject, state)
        items = [([value_of(pattern, state) for pattern in patterns], patterns, body) for patterns, body in node.items]
        decided = [
            index
            for index, (patterns, *__) in enumerate(items)
            if known(subject) and any(conditions.matches(subject, pattern) for pattern in patterns)
        ]
        if known(subject) and not gaps_of(subject):
            if decided:
                self.nodes(items[decided[0]][2], state)
            return UNKNOWN
        ways: list[tuple[Callable[[ShellState], object], str, str]] = []
        belief = f"`{node.subject.source}` is taken to be {text_of(subject)!r}" if known(subject) else ""
        for __, patterns, body in items:
            said = "|".join(pattern.source for pattern in patterns)
            ways.append(
                (
                    partial(self.nodes, body),
                    f"if {node.subject.source} is {said} (line {node.line})",
                    belief,
                )
            )
        if not any(pattern.source == "*" for item in items for pattern in item[1]):
            ways.append((lambda way: None, f"if {node.subject.source} is nothing of that (line {node.line})", belief))
            decided = decided or ([len(ways) - 1] if known(subject) else [])
        if ways:
            self.ways(state, ways, decided[0] if known(subject) and decided else None)
        return UNKNOWN

    # ---- commands

    def _simple(self, node: Simple, state: ShellState) -> Truth:
        if not node.words:
            for one in node.assigns:
                assign(one, state)
            return (
                UNKNOWN if any("$(" in source_of(one) or "`" in source_of(one) for one in node.assigns) else Truth(True)
            )
        expanded = fields([word for word in node.words if isinstance(word, TreeWord)], state)
        if state.work.over:
            # Half of its words would be another command.
            self.stop()
            return UNKNOWN
        words = [item for item in expanded if not is_absent(item)]
        further = tuple(gap for item in expanded if is_absent(item) for gap in gaps_of(item))
        if not words:
            return UNKNOWN
        name = text_of(words[0])
        builtin = BUILTINS.get(name)
        if builtin is not None:
            return builtin(self, node, words, state)
        if name in ("command", "builtin", "exec") and len(words) > 1 and not text_of(words[1]).startswith("-"):
            result = self._command(node, words[1:], further, state)
            if name == "exec":
                state.dead = True
            return result
        if name == "exec" and len(words) > 1:
            # exec -a NAME command
            rest = words[3:] if text_of(words[1]) == "-a" else words[2:]
            result = self._command(node, rest, further, state) if rest else UNKNOWN
            state.dead = True
            return result
        return self._command(node, words, further, state)

    def _command(self, node: Simple, words: list[Field], further: tuple[Gap, ...], state: ShellState) -> Truth:
        name = text_of(words[0])
        function = state.functions.get(name)
        if function is not None and self.depth < DEPTH:
            return self._call(function, words[1:], node, state)
        if (script := self._script(words)) is not None:
            return self._other(script, node, words, state)
        env = self.environment(state)
        inner = state.copy()
        for one in node.assigns:
            assign(one, inner)
            env[one.name] = _env_word(inner.get(one.name), one.line)
        body = None
        for redirect in node.redirects:
            if redirect.body is not None:
                body = text_of(text_in(redirect.body, state, node.line)) if redirect.expands else redirect.body
            elif redirect.op == "<<<":
                body = text_of(value_of(redirect.target, state))
        remarks = [f"Line {line}: {text}" for line, text in self.remarks if node.line <= line <= node.end]
        remarks += [
            f"{name} is set in line {variable.line} and not exported: the command does not get it"
            for name in _SEEN
            if name not in env and (variable := state.variables.get(name)) is not None
        ]
        self.found.append(
            Ran(
                tuple(word_of(item, node.line) for item in words),
                env,
                node.line,
                body,
                further,
                state.conditions,
                state.beliefs,
                tuple(remarks),
                state.directory,
            )
        )
        return Truth(True) if name in ("true", ":") else Truth(False) if name == "false" else UNKNOWN

    def _script(self, words: list[Field]) -> int | None:
        """Which word is a script beside this one that the command runs; None where none is."""
        texts = [text_of(word) for word in words]
        at = 0
        while at < len(texts) and texts[at] in ("nohup", "setsid", "exec", "time", "command"):
            at += 1
        if at < len(texts) and texts[at].rpartition("/")[2] in ("bash", "sh"):
            at += 1
            while at < len(texts) and re.fullmatch(r"-[eux]+|--|-l", texts[at]):
                at += 1
        elif at >= len(texts) or not re.search(r"^\.{0,2}/|\.sh$", texts[at]):
            return None
        if at >= len(texts) or texts[at].startswith("-") or self.depth >= DEPTH or self.read(texts[at]) is None:
            return None
        return at

    def _other(self, at: int, node: Simple, words: list[Field], state: ShellState) -> Truth:
        """A script beside this one: it gets the exported variables and its words."""
        path = text_of(words[at])
        inner = state.copy()
        for one in node.assigns:
            assign(one, inner)
            inner.exported.add(one.name)
        inner.variables = {name: value for name, value in inner.variables.items() if name in inner.exported}
        inner.functions, inner.all_exported = {}, False
        inner.given = [word for word in words[at + 1 :] if not is_absent(word)]
        try:
            script = parse(self.read(path) or "")
        except ShellError as error:
            raise ShellError(node.line, f"{path}, which is run there, is no shell script ({error})") from error
        self.depth += 1
        before, own, self.remarks = len(self.found), self.remarks, []
        self.script(script, inner)
        self.remarks = own
        self.depth -= 1
        for index, ran in enumerate(self.found[before:], before):
            note = f"Line {node.line} runs {path}: the lines named here are of that file"
            self.found[index] = replace(ran, remarks=(note, *ran.remarks))
        return UNKNOWN

    def environment(self, state: ShellState) -> dict[str, Word]:
        """Exported variables that are set, in the order in which they were set first."""
        found = {}
        for name in state.exported:
            variable = state.variables.get(name)
            if variable is not None:
                found[name] = _env_word(variable, variable.line)
        return dict(sorted(found.items(), key=lambda item: list(state.variables).index(item[0])))

    def _call(self, function: Function, given: list[Field], node: Simple, state: ShellState) -> Truth:
        self.called.add(function.name)
        before, state.given = state.given, given
        conditions_before = state.conditions
        locals_before = dict(state.variables)
        self.depth += 1
        for one in node.assigns:
            assign(one, state)
            state.exported.add(one.name)
        self.returns.append([])
        truth = self.node(function.body, state)
        self.depth -= 1
        # Where `return` ended it, and where it ran to its end, the script goes on; `exit` ends both.
        ways = [*self.returns.pop(), *([] if state.dead else [state.copy()])]
        for way in ways:
            way.dead = False
        if ways:
            join(state, [(way, "") for way in ways], len(ways) - 1 if len(ways) == 1 else None)
            state.conditions = conditions_before
        state.given = before
        for name in locals_of(function.body):
            if name in locals_before:
                state.variables[name] = locals_before[name]
            else:
                state.variables.pop(name, None)
        for one in node.assigns:
            state.exported.discard(one.name)
        return truth if isinstance(function.body, Group) else UNKNOWN


def _may_start(ran: Ran) -> bool:
    """Whether a command may be what one reads the script for, and not what a check says before it ends it."""
    texts = [word.text for word in ran.words]
    return texts[:1] not in (["echo"], ["printf"], ["cat"]) and any(
        "vllm" in text for text in (*texts, ran.input or "")
    )


def _env_word(variable: Variable | None, line: int) -> Word:
    return word_of(variable.fields[0] if variable is not None and variable.fields else (), line)


def _without(ran: Ran, when: str, belief: str) -> Ran:
    conditions_ = tuple(one for one in ran.conditions if one != when)
    return replace(ran, conditions=conditions_, beliefs=(*ran.beliefs, *([belief] if belief else [])))


def commands(
    text: str, state: ShellState | None = None, read: Callable[[str], str | None] = lambda path: None, line: int = 1
) -> Walk:
    """Every command that a script comes by. Raises ShellError where bash would not parse it."""
    walk = Walk(read)
    walk.script(parse(text, line), state if state is not None else ShellState())
    return walk
