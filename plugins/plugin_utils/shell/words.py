"""Words of a shell script in their parts: quotes, backslashes, and where each expansion begins and ends."""

from __future__ import annotations

import re

from ansible_collections.baremetal.vllm.plugins.plugin_utils.shell.tree import (
    Hole,
    Lit,
    Param,
    Part,
    ShellError,
    Sub,
    Sum,
    Word,
)

# Ends a word that stands outside of quotes.
_META = " \t\n;&|()<>\u00a0"
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*|[0-9]+|[@*#?$!-]")
_LETTERS = re.compile(r"[A-Za-z_][A-Za-z0-9_]*|[0-9@*#?$!-]")
# `<your_port>` of a guide. `<in >out` and `<a 2>b` are redirections, and so is `<a>b`.
_HOLE = re.compile(r"<(?![^<>\n]* \d>)[A-Za-z][^<>\n\"'`$;&()\\]*(?<! )>(?![A-Za-z0-9_])")
_ANSI = {"a": "\a", "b": "\b", "e": "\x1b", "E": "\x1b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}
_ESCAPED = re.compile(r"x([0-9a-fA-F]{1,2})|u([0-9a-fA-F]{1,4})|U([0-9a-fA-F]{1,8})|([0-7]{1,3})|c(.)|(.)", re.S)
# Behind a backslash: blanks and, perhaps, a comment. Bash ends the command there, which nobody means who writes it.
MEANT = re.compile(r"\\[ \t]+(?:#[^\n]*)?(?=\n|\Z)")


# Levels of brackets and of commands: far more than anybody writes, and less than Python's own stack holds.
NESTED = 64


class Reader:
    """A position in a text, and the words from there on."""

    text: str
    at: int
    depth: int

    def __init__(self, text: str, line: int = 1, outer: Reader | None = None) -> None:
        """`outer`: a reader of the same text, within whose brackets or quotes this one reads."""
        self.text, self.at = text, 0
        self._first = line
        self.depth = outer.depth + 1 if outer is not None else 0
        # Where brackets are closed. `$((a); …)` is read twice, and so would be all that it holds on each level.
        self._ends: dict[tuple[int, str], int] = outer._ends if outer is not None else {}

    @property
    def line(self) -> int:
        """The line of the script at which it reads now, from 1."""
        return self.line_at(self.at)

    def line_at(self, at: int) -> int:
        """The line of the script at a place in the text, an index from 0."""
        return self._first + self.text.count("\n", 0, at)

    def fail(self, at: int, what: str) -> ShellError:
        """The error to raise for a place in the text: it names the line there."""
        return ShellError(self.line_at(at), what)

    def hole(self) -> str | None:
        """A place to fill in that begins here."""
        match = _HOLE.match(self.text, self.at)
        return match[0] if match else None

    def word(self, closing: str = "") -> Word | None:
        """The word that begins here, None where none does. `closing`: characters that end it beside the usual.

        Raises ShellError: where nothing closes one of its quotes or brackets.
        """
        start, parts = self.at, list[Part]()
        while self.at < len(self.text):
            char = self.text[self.at]
            if char == "<" and (hole := self.hole()):
                parts.append(Hole(hole))
                self.at += len(hole)
            elif char in "<>" and self.text.startswith("(", self.at + 1) and self.at == start:
                inner_at = self.at + 2
                self.at = self.closed(inner_at, ")", "(")
                parts.append(Sub(self.text[inner_at : self.at - 1], self.text[start : self.at], True))
            elif char in "@?*+!" and self.text.startswith("(", self.at + 1) and self.at > start:
                # Extended patterns.
                end = self.closed(self.at + 2, ")", "(")
                parts.append(Lit(self.text[self.at : end]))
                self.at = end
            elif char in _META or char in closing or MEANT.match(self.text, self.at):
                break
            else:
                self._part(parts)
        if self.at == start:
            return None
        return Word(tuple(parts), self.line_at(start), self.text[start : self.at])

    def _part(self, parts: list[Part]) -> None:
        char = self.text[self.at]
        if char == "'":
            parts.append(Lit(self._single(), True))
        elif char == '"':
            self._double(parts)
        elif char == "\\":
            if not self.text.startswith("\\\n", self.at):
                parts.append(Lit(self.text[self.at + 1 : self.at + 2], True))
            self.at += 2
        elif self.text.startswith("$'", self.at):
            parts.append(Lit(self._ansi(), True))
        elif self.text.startswith('$"', self.at):
            self.at += 1
        elif char in "$`":
            parts.append(self.expansion(False))
        else:
            end = self.at + 1
            while end < len(self.text) and self.text[end].isalnum():
                end += 1
            parts.append(Lit(self.text[self.at : end]))
            self.at = end

    def _single(self) -> str:
        end = self.text.find("'", self.at + 1)
        if end < 0:
            raise self.fail(self.at, "the quote ' is never closed")
        inside, self.at = self.text[self.at + 1 : end], end + 1
        return inside

    def _ansi(self) -> str:
        start, at, found = self.at, self.at + 2, list[str]()
        while at < len(self.text) and self.text[at] != "'":
            if self.text[at] == "\\" and (match := _ESCAPED.match(self.text, at + 1)):
                found.append(_unescaped(match))
                at = match.end()
            else:
                found.append(self.text[at])
                at += 1
        if at >= len(self.text):
            raise self.fail(start, "the quote $' is never closed")
        self.at = at + 1
        return "".join(found)

    def _double(self, parts: list[Part]) -> None:
        start = self.at
        self.at += 1
        parts.append(Lit("", True))
        self.quoted(parts, '"')
        if self.at >= len(self.text):
            raise self.fail(start, 'the quote " is never closed')
        self.at += 1

    def quoted(self, parts: list[Part], end: str = "") -> None:
        """Text as double quotes have it, up to `end` or the end of the text; here-documents are such a text."""
        special = ("$", "`", '"', "\\", "\n") if end else ("$", "`", "\\", "\n")
        while self.at < len(self.text) and (not end or self.text[self.at] != end):
            char = self.text[self.at]
            if char == "\\" and self.text[self.at + 1 : self.at + 2] in special:
                parts.append(Lit("" if self.text[self.at + 1] == "\n" else self.text[self.at + 1], True))
                self.at += 2
            elif char in "$`":
                parts.append(self.expansion(True))
            else:
                stop = self.at + 1
                while stop < len(self.text) and self.text[stop] not in '$`\\"':
                    stop += 1
                parts.append(Lit(self.text[self.at : stop], True))
                self.at = stop

    def expansion(self, quoted: bool) -> Part:
        """The expansion that begins here; a `$` that begins none is text.

        Raises ShellError: where nothing closes it.
        """
        start, text = self.at, self.text
        if text[start] == "`":
            return self._backquoted(quoted)
        if text.startswith("$((", start):
            end = self.closed(start + 3, ")", "(")
            if text.startswith(")", end):
                self.at = end + 1
                return Sum(text[start + 3 : end - 1], text[start : self.at], quoted)
        if text.startswith("$(", start):
            self.at = self.closed(start + 2, ")", "(")
            return Sub(text[start + 2 : self.at - 1], text[start : self.at], quoted)
        if text.startswith("$[", start):
            self.at = self.closed(start + 2, "]", "[")
            return Sum(text[start + 2 : self.at - 1], text[start : self.at], quoted)
        if text.startswith("${", start):
            self.at = self.closed(start + 2, "}", "{")
            return self._braced(text[start + 2 : self.at - 1], text[start : self.at], quoted, start)
        if name := _LETTERS.match(text, start + 1):
            self.at = name.end()
            return Param(name[0], text[start : self.at], quoted)
        self.at += 1
        return Lit("$", quoted)

    def _backquoted(self, quoted: bool) -> Sub:
        start, end = self.at, self.at + 1
        while end < len(self.text) and self.text[end] != "`":
            end += 2 if self.text[end] == "\\" else 1
        if end >= len(self.text):
            raise self.fail(start, "the backquote ` is never closed")
        self.at = end + 1
        return Sub(re.sub(r"\\([$`\\])", r"\1", self.text[start + 1 : end]), self.text[start : self.at], quoted)

    def _braced(self, inside: str, source: str, quoted: bool, at: int) -> Param:
        length = inside[:1] == "#" and len(inside) > 1 and _NAME.match(inside, 1) is not None
        indirect = inside[:1] == "!" and len(inside) > 1
        rest = inside[1:] if length or indirect else inside
        name = _NAME.match(rest)
        if name is None:
            raise self.fail(at, f"{source} names no variable")
        rest, index = rest[name.end() :], None
        if rest.startswith("["):
            inner = Reader(rest, self.line_at(at))
            end = inner.closed(1, "]", "[")
            index, rest = rest[1 : end - 1], rest[end:]
        match = re.match(r":?[-=?+]|:|##?|%%?|//?|\^\^?|,,?|@", rest)
        op = match[0] if match else ""
        return Param(name[0], source, quoted, index, op, rest[len(op) :], length, indirect)

    def closed(self, at: int, end: str, begin: str) -> int:
        """The position behind the `end` that closes what begins before `at`; quotes and inner brackets are passed over.

        Raises ShellError where nothing does.
        """
        if (at, end) in self._ends:
            return self._ends[at, end]
        start, depth, inner = at, 1, Reader(self.text, self._first, self)
        if inner.depth > NESTED:
            raise self.fail(at, f"brackets are nested more than {NESTED} levels deep")
        # A `case` has closing brackets without opening ones; a comment has quotes without meaning.
        cases = 0
        while at < len(self.text):
            char = self.text[at]
            inner.at = at
            if char == "\\":
                at += 2
                continue
            if (char == "'" and end != "}") or (
                char == "'" and self.text.rfind('"', start, at) < 0 and self.text.find("'", at + 1) > 0
            ):
                inner._single()
            elif char == '"':
                inner._double([])
            elif char == "#" and end == ")" and self.text[at - 1] in " \t\n;(" and begin == "(":
                newline = self.text.find("\n", at)
                if newline < 0:
                    break
                at = newline
                continue
            elif self.text.startswith("<<", at) and end == ")" and (skipped := _here(self.text, at)):
                at = skipped
                continue
            elif self.text.startswith("$'", at):
                inner._ansi()
            elif char == "`" or (char == "$" and self.text[at + 1 : at + 2] in ("{", "(")):
                inner.expansion(True)
            elif end == ")" and (match := re.compile(r"\b(case|esac)\b").match(self.text, at)):
                cases += 1 if match[0] == "case" else -1
                inner.at = match.end()
            elif char == end and not (cases > 0 and depth == 1):
                depth -= 1
                if depth == 0:
                    self._ends[start, end] = at + 1
                    return at + 1
                inner.at = at + 1
            elif char == begin and end != "}":
                # `${A:-{}}` ends at the first of the two.
                depth += 1
                inner.at = at + 1
            else:
                inner.at = at + 1
            at = inner.at
        raise self.fail(start, f"{begin} is never closed by {end}")


def _here(text: str, at: int) -> int | None:
    """The end of the here-document that an operator at `at` begins; None where it begins none."""
    match = re.compile(r"<<(-?)[ \t]*(['\"\\]?)([A-Za-z_][\w.-]*)\2").match(text, at)
    if match is None:
        return None
    end = re.compile(rf"^{chr(9) + '*' if match[1] else ''}{re.escape(match[3])}$", re.M).search(text, match.end())
    return end.end() if end else None


def _unescaped(match: re.Match[str]) -> str:
    code = match[1] or match[2] or match[3]
    if code:
        number = int(code, 16)
        return chr(number) if number < 0x110000 else ""
    if match[4]:
        return chr(int(match[4], 8) & 0xFF)
    if match[5]:
        return chr(ord(match[5]) & 0x1F)
    return _ANSI.get(match[6], match[6] if match[6] in "\\'\"?" else "\\" + match[6])


def pieces_of(text: str, line: int = 1) -> tuple[Part, ...]:
    """The parts of a text as double quotes have it: a here-document's body, the right side of a `:-` in quotes."""
    parts: list[Part] = []
    Reader(text, line).quoted(parts)
    return tuple(parts)
