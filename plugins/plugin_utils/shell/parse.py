"""A shell script as a tree. Statements, lists, pipelines, compound commands and here-documents, as bash(1) has them.

Why not a parser from PyPI: of 466 scripts that `bash -n` takes (vLLM 0.33.0's own 147 and those of a Debian system) bashlex 0.18
fails on 280 and tree-sitter-bash 0.25.1 on 22, this one on none.
"""

from __future__ import annotations

import re

from ansible_collections.baremetal.vllm.plugins.module_utils.text.safe_values import without_secrets
from ansible_collections.baremetal.vllm.plugins.plugin_utils.shell.tree import (
    AndOr,
    Assign,
    Background,
    Case,
    CountedFor,
    Counting,
    For,
    Function,
    Group,
    If,
    Lit,
    Node,
    Pipeline,
    Redirect,
    Script,
    ShellError,
    Simple,
    Test,
    While,
    Word,
)
from ansible_collections.baremetal.vllm.plugins.plugin_utils.shell.words import MEANT, NESTED, Reader, pieces_of

DECLARES = ("export", "readonly", "local", "declare", "typeset")
_REDIRECT = re.compile(r"(\d+|\{\w+\})?(<<<|<<-|<<|<>|<&|<|>>|>\||>&|>(?!\()|&>>|&>)")
_OPERATOR = re.compile(r"&&|\|\||;;&|;;|;&|;|&|\|&|\||\(|\)|\n")
_ASSIGN = re.compile(r"([A-Za-z_]\w*)(?:\[([^\]]*)\])?(\+?)=")
_FUNCTION = re.compile(r"([^\s;&|()<>$`'\"=\\]+)[ \t]*\([ \t]*\)")
_RESERVED = frozenset(
    ("then", "do", "done", "fi", "elif", "else", "esac", "in", "}")
)  # what ends a list where a command could begin
# A line that begins with an option belongs to the command above it: no command is called so.
_ORPHAN = re.compile(r"(?:[ \t]*(?:#[^\n]*)?\n)+[ \t]*(?=--?[A-Za-z])")


class _Parser(Reader):
    at: int

    def __init__(self, text: str, line: int) -> None:
        super().__init__(text, line)
        self.remarks: list[tuple[int, str]] = []
        # Redirections of the loop that was read last.
        self._behind: list[Redirect] = []
        self._waiting: list[tuple[Redirect, str, bool, list[Redirect]]] = []
        self._commands = 0

    def rest(self) -> str:
        """What stands here, for a message: a secret is hidden before the text is cut."""
        return without_secrets(self.text[self.at : self.at + 400].split("\n", 1)[0])[:20]

    def gap(self, newlines: bool = False) -> None:
        """Past blanks, continued lines and comments; with `newlines` past the ends of lines, too."""
        while self.at < len(self.text):
            char = self.text[self.at]
            if char in " \t":
                self.at += 1
            elif char == "\u00a0":
                self.remarks.append((self.line, "a no-break space, as pages have them, is read as a blank"))
                self.at += 1
            elif self.text.startswith("\\\n", self.at):
                self.at += 2
            elif meant := MEANT.match(self.text, self.at):
                self.remarks.append(
                    (
                        self.line,
                        "a shell ends the command at the blank behind the backslash: the lines after it are read as meant",
                    )
                )
                self.at = min(meant.end() + 1, len(self.text))
            elif char == "#":
                end = self.text.find("\n", self.at)
                self.at = len(self.text) if end < 0 else end
            elif newlines and char == "\n":
                self.newline()
            else:
                return

    def newline(self) -> None:
        """Past the end of a line, and past the here-documents that begin after it."""
        self.at += 1
        waiting, self._waiting = self._waiting, []
        for redirect, delimiter, expands, holder in waiting:
            start = self.at
            lines: list[str] = []
            while True:
                if self.at >= len(self.text):
                    raise self.fail(start - 1, f"the here-document up to {delimiter} is never closed")
                end = self.text.find("\n", self.at)
                end = len(self.text) if end < 0 else end
                line = self.text[self.at : end]
                self.at = min(end + 1, len(self.text))
                if (line.lstrip("\t") if redirect.op == "<<-" else line) == delimiter:
                    break
                lines.append(line.lstrip("\t") if redirect.op == "<<-" else line)
            body = "".join(f"{line}\n" for line in lines)
            holder[holder.index(redirect)] = Redirect(redirect.op, redirect.target, body, expands, redirect.descriptor)

    def operator(self) -> str:
        match = _OPERATOR.match(self.text, self.at)
        return match[0] if match else ""

    def take(self, text: str) -> bool:
        """Past an operator, where it stands here."""
        self.gap()
        if self.operator() != text:
            return False
        if text == "\n":
            self.newline()
        else:
            self.at += len(text)
        return True

    def reserved(self) -> str:
        """The bare word here, without going past it."""
        match = re.compile(r"[A-Za-z]+(?![^\s;&|()<>])|\[\[(?=\s)|[{}!](?![^\s;&|()])").match(self.text, self.at)
        return match[0] if match else ""

    def expect(self, word: str) -> None:
        self.gap(newlines=True)
        if self.reserved() != word:
            raise self.fail(self.at, f"{word} is missing before {self.rest()!r}")
        self.at += len(word)

    def nodes(self, ends: tuple[str, ...]) -> list[Node]:
        """Commands up to one of the words or operators that end the list."""
        found: list[Node] = []
        while True:
            self.gap(newlines=True)
            operator = self.operator()
            if self.at >= len(self.text) or operator in (")", ";;", ";&", ";;&") or self.reserved() in _RESERVED:
                if (
                    self.at < len(self.text)
                    and (operator or self.reserved()) not in ends
                    and not (operator.startswith(";") and ";;" in ends)
                ):
                    raise self.fail(self.at, f"{self.rest()!r} is out of place")
                return found
            node = self.and_or()
            self.gap()
            operator = self.operator()
            if operator == "&":
                self.at += 1
                node = Background(node)
            elif operator == ";":
                self.at += 1
            elif operator not in ("\n", ")", ";;", ";&", ";;&") and self.at < len(self.text):
                raise self.fail(self.at, f"{self.rest()!r} is out of place")
            found.append(node)

    def and_or(self) -> Node:
        node = self.pipeline()
        while True:
            self.gap()
            operator = self.operator()
            if operator not in ("&&", "||"):
                return node
            self.at += 2
            self.gap(newlines=True)
            node = AndOr(node, operator, self.pipeline())

    def pipeline(self) -> Node:
        self.gap()
        negated = False
        while self.reserved() in ("!", "time", "coproc"):
            negated ^= self.reserved() == "!"
            self.at += len(self.reserved())
            self.gap()
            while self.text.startswith("-p", self.at):
                self.at += 2
                self.gap()
        commands = [self.command()]
        while True:
            self.gap()
            operator = self.operator()
            if operator not in ("|", "|&"):
                break
            self.at += len(operator)
            self.gap(newlines=True)
            commands.append(self.command())
        return Pipeline(tuple(commands), negated) if negated or len(commands) > 1 else commands[0]

    def command(self) -> Node:
        self._commands += 1
        if self._commands > NESTED:
            raise self.fail(self.at, f"commands are nested more than {NESTED} levels deep")
        node = self._command()
        self._commands -= 1
        return node

    def _command(self) -> Node:
        self.gap()
        start = self.at
        word, operator = self.reserved(), self.operator()
        if self.text.startswith("((", self.at) and (counted := self._counting()) is not None:
            return counted
        if operator == "(":
            self.at += 1
            body = self.nodes((")",))
            if not self.take(")"):
                raise self.fail(start, "( is never closed by )")
            return Group(tuple(body), True, self._redirects())
        compound = {
            "{": self._braces,
            "if": self._if,
            "while": self._while,
            "until": self._while,
            "for": self._for,
            "select": self._for,
            "case": self._case,
            "[[": self._test,
            "function": self._function,
        }.get(word)
        if compound is not None:
            return compound()
        if (name := _FUNCTION.match(self.text, self.at)) is not None:
            self.at = name.end()
            self.gap(newlines=True)
            return Function(name[1], self.command(), self.line_at(start))
        return self._simple()

    def _counting(self) -> Node | None:
        start = self.at
        try:
            end = self.closed(start + 2, ")", "(")
        except ShellError:
            return None
        if not self.text.startswith(")", end):
            return None
        self.at = end + 1
        self._redirects()
        return Counting(self.text[start + 2 : end - 1], self.line_at(start))

    def _braces(self) -> Node:
        self.at += 1
        body = self.nodes(("}",))
        self.expect("}")
        return Group(tuple(body), False, self._redirects())

    def _if(self) -> Node:
        line, branches, otherwise = self.line, [], None
        word = "if"
        while word in ("if", "elif"):
            self.at += len(word)
            begin = self.at
            condition = tuple(self.nodes(("then",)))
            source = self.text[begin : self.at].strip().rstrip(";").strip()
            self.expect("then")
            branches.append((condition, tuple(self.nodes(("elif", "else", "fi"))), source))
            self.gap(newlines=True)
            word = self.reserved()
        if word == "else":
            self.at += 4
            otherwise = tuple(self.nodes(("fi",)))
        self.expect("fi")
        self._redirects()
        return If(tuple(branches), otherwise, line)

    def _while(self) -> Node:
        line, word = self.line, self.reserved()
        self.at += len(word)
        begin = self.at
        condition = tuple(self.nodes(("do",)))
        source = self.text[begin : self.at].strip().rstrip(";").strip()
        body = self._do()
        return While(condition, body, word == "until", source, line, self._behind)

    def _do(self) -> tuple[Node, ...]:
        self.expect("do")
        body = tuple(self.nodes(("done",)))
        self.expect("done")
        self._behind = self._redirects()
        return body

    def _for(self) -> Node:
        line = self.line
        self.at += len(self.reserved())
        self.gap()
        if self.text.startswith("((", self.at):
            end = self.closed(self.at + 2, ")", "(")
            parts = self.text[self.at + 2 : end - 1].split(";")
            if len(parts) != 3 or not self.text.startswith(")", end):
                raise self.fail(self.at, "for (( has no start, condition and step")
            self.at = end + 1
            self.take(";")
            self.gap(newlines=True)
            body = self._do() if self.reserved() != "{" else self._body_in_braces()
            return CountedFor(parts[0], parts[1], parts[2], body, line)
        name = self.word()
        if name is None or name.plain is None:
            raise self.fail(self.at, "for names no variable")
        self.gap(newlines=True)
        words: list[Word] | None = None
        if self.reserved() == "in":
            self.at += 2
            words = []
            while True:
                self.gap()
                word = self.word()
                if word is None:
                    break
                words.append(word)
        if not self.take(";"):
            self.take("\n")
        self.gap(newlines=True)
        body = self._do() if self.reserved() != "{" else self._body_in_braces()
        return For(name.plain, None if words is None else tuple(words), body, line)

    def _body_in_braces(self) -> tuple[Node, ...]:
        group = self._braces()
        return group.body if isinstance(group, Group) else ()

    def _case(self) -> Node:
        line = self.line
        self.at += 4
        self.gap()
        subject = self.word()
        if subject is None:
            raise self.fail(self.at, "case has no word")
        self.expect("in")
        items: list[tuple[tuple[Word, ...], tuple[Node, ...]]] = []
        while True:
            self.gap(newlines=True)
            if self.reserved() == "esac":
                self.at += 4
                self._redirects()
                return Case(subject, tuple(items), line)
            self.take("(")
            patterns = []
            while True:
                self.gap()
                pattern = self.word()
                if pattern is None:
                    raise self.fail(self.at, f"{self.rest()!r} is no pattern of a case")
                patterns.append(pattern)
                if not self.take("|"):
                    break
            if not self.take(")"):
                raise self.fail(self.at, ") is missing behind a pattern of a case")
            body = self.nodes((";;", "esac"))
            items.append((tuple(patterns), tuple(body)))
            if self.operator() in (";;", ";&", ";;&"):
                self.at += len(self.operator())

    def _test(self) -> Node:
        start = self.at
        self.at += 2
        words: list[Word] = []
        while True:
            self.gap(newlines=True)
            if self.at >= len(self.text):
                raise self.fail(start, "[[ is never closed by ]]")
            if self.text.startswith("]]", self.at):
                self.at += 2
                source = self.text[start : self.at]
                self._redirects()
                return Test(tuple(words), self.line_at(start), source)
            regular = bool(words) and words[-1].plain == "=~"
            word = self._pattern() if regular else self.word()
            if word is None:
                operator = re.compile(r"&&|\|\||[()<>]").match(self.text, self.at)
                if operator is None:
                    raise self.fail(self.at, f"{self.rest()!r} is out of place in [[ ]]")
                word = Word((Lit(operator[0]),), self.line, operator[0])
                self.at = operator.end()
            words.append(word)

    def _pattern(self) -> Word:
        """The right side of `=~`, in which brackets and bars are no operators."""
        start, depth = self.at, 0
        while self.at < len(self.text) and (depth or self.text[self.at] not in " \t\n"):
            char = self.text[self.at]
            if char in "'\"`$" and not (char == "$" and self.text[self.at + 1 : self.at + 2] in (" ", ")", "|", "")):
                self._part([])
                continue
            depth += (char == "(") - (char == ")")
            self.at += 2 if char == "\\" else 1
        source = self.text[start : self.at]
        return Word(pieces_of(source, self.line_at(start)), self.line_at(start), source)

    def _function(self) -> Node:
        line = self.line
        self.at += len("function")
        self.gap()
        name = self.word()
        if name is None or name.plain is None:
            raise self.fail(self.at, "function has no name")
        if self.take("("):
            self.take(")")
        self.gap(newlines=True)
        return Function(name.plain, self.command(), line)

    def _redirects(self) -> list[Redirect]:
        holder: list[Redirect] = []
        self.gap()
        while self._redirect(holder):
            self.gap()
        return holder

    def _redirect(self, holder: list[Redirect]) -> bool:
        match = _REDIRECT.match(self.text, self.at)
        if match is None or self.hole() or re.match(r"[<>]\(", self.text[self.at : self.at + 2]):
            return False
        self.at = match.end()
        self.gap()
        target = self.word()
        if target is None:
            raise self.fail(self.at, f"{match[2]} has nothing behind it")
        redirect = Redirect(match[2], target, descriptor=match[1] or "")
        holder.append(redirect)
        if match[2] in ("<<", "<<-"):
            delimiter = re.sub(r"['\"\\]", "", target.source)
            self._waiting.append((redirect, delimiter, target.plain is not None, holder))
        return True

    def _simple(self) -> Node:
        start = self.at
        assigns: list[Assign] = []
        words: list[Word | Assign] = []
        redirects: list[Redirect] = []
        declares = False
        while True:
            self.gap()
            if words and (orphan := _ORPHAN.match(self.text, self.at)) and not self._waiting:
                self.at = orphan.end()
                self.remarks.append(
                    (self.line, "it begins with an option: a backslash is missing above it, and it is read as meant")
                )
            if self._redirect(redirects):
                continue
            assign = self._assign() if declares or not words else None
            if assign is not None:
                (words if words else assigns).append(assign)
                continue
            word = self.word()
            if word is None:
                break
            if not words and word.plain in DECLARES:
                declares = True
            words.append(word)
        if self.at == start:
            raise self.fail(self.at, f"{self.rest()!r} is out of place")
        source = self.text[start : self.at].strip()
        # A here-document's body comes after the end of the line: it is put into the list of redirections then.
        return Simple(tuple(assigns), tuple(words), redirects, self.line_at(start), self.line, source)

    def _assign(self) -> Assign | None:
        match = _ASSIGN.match(self.text, self.at)
        if match is None:
            return None
        line, self.at = self.line, match.end()
        append = match[3] == "+"
        if self.text.startswith("(", self.at):
            self.at += 1
            items: list[Word] = []
            while True:
                self.gap(newlines=True)
                if self.take(")"):
                    return Assign(match[1], tuple(items), line, append)
                word = self.word()
                if word is None:
                    raise self.fail(self.at, f"{self.rest()!r} is out of place in an array")
                items.append(word)
        value = self.word() or Word((), line, "")
        return Assign(match[1], value, line, append, match[2])


def parse(text: str, line: int = 1) -> Script:
    """The whole of a script, whose first line is `line`. Raises ShellError, with the line, where bash would not parse it."""
    parser = _Parser(text, line)
    body = parser.nodes(())
    parser.gap()
    if parser.at < len(parser.text):
        raise parser.fail(parser.at, f"{parser.rest()!r} is out of place")
    return Script(tuple(body), parser.remarks)
