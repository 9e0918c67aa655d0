"""Shell text as words: quotes and backslashes as POSIX shells read them, and what only a running shell could know.

A word keeps note of the `$…` and backquotes in it that no literal assignment of the same text explains.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

_NAME = re.compile(r"\$(?:\{([A-Za-z_][A-Za-z0-9_]*)\}|([A-Za-z_][A-Za-z0-9_]*))")
_EXPANSION = re.compile(r"\$\{[^}]*\}|\$\([^)]*\)?|\$[A-Za-z0-9_@*#?!-]+|`[^`]*`?")
# Longest first: `2>&1` and `>>` are one operator each.
_OPERATOR = re.compile(r"[0-9]*(?:>>|>&|<&|&>|<<-?|>|<)(?:&?[0-9-])?|&&|\|\||[;|&()\n]")
# `${NAME:-default}` and `${NAME-default}`, the default being plain text.
_DEFAULT = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*):?-([^$`'\"\\{}]*)\}")
# Blanks and continued lines. A comment behind a backslash ends the command for a shell, which nobody means who writes it.
_GAP = re.compile(r"(?:[ \t\r]|\\\r?\n|\\[ \t]+#[^\n]*(?:\n|$))+")
_ASSIGNMENT = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)=(.*)", re.S)


class Word(NamedTuple):
    """`unknown`: what stands in it that only the shell could tell."""

    text: str
    unknown: tuple[str, ...] = ()


class Operator(NamedTuple):
    """What ends a command, or sends its output elsewhere: `;`, `|`, `>`, the end of a line."""

    text: str


class Unclosed(ValueError):
    """A text that ends before its quotes, or its brackets, do."""


@dataclass
class _Reader:
    text: str
    known: Mapping[str, str]
    at: int = 0

    def tokens(self) -> list[Word | Operator]:
        found: list[Word | Operator] = []
        while self.at < len(self.text):
            char = self.text[self.at]
            if (gap := _GAP.match(self.text, self.at)) is not None:
                self.at = gap.end()
            elif char == "#":
                end = self.text.find("\n", self.at)
                self.at = len(self.text) if end < 0 else end
            elif operator := _OPERATOR.match(self.text, self.at):
                found.append(Operator(operator[0]))
                self.at = operator.end()
            else:
                found += self._several() or [self._word()]
        return found

    def _several(self) -> list[Word]:
        """The words of a variable that stands alone and unquoted: the shell splits its value at blanks."""
        named = _NAME.match(self.text, self.at)
        if named is None or (named.end() < len(self.text) and not _ends_word(self.text, named.end())):
            return []
        value = self.known.get(named[1] or named[2])
        if value is None:
            return []
        self.at = named.end()
        return [Word(part) for part in value.split()]

    def _word(self) -> Word:
        parts: list[str] = []
        unknown: list[str] = []
        while self.at < len(self.text):
            char = self.text[self.at]
            if _ends_word(self.text, self.at):
                break
            if char == "'":
                end = self._close("'")
                parts.append(self.text[self.at + 1 : end])
                self.at = end + 1
            elif char == '"':
                self._double(parts, unknown)
            elif char == "\\":
                parts.append("" if self.text.startswith("\\\n", self.at) else self.text[self.at + 1 : self.at + 2])
                self.at += 2
            elif char in "$`":
                self._expand(parts, unknown)
            else:
                parts.append(char)
                self.at += 1
        return Word("".join(parts), tuple(unknown))

    def _close(self, quote: str) -> int:
        end = self.text.find(quote, self.at + 1)
        if end < 0:
            raise Unclosed(f"the quote {quote} at character {self.at + 1} is never closed")
        return end

    def _double(self, parts: list[str], unknown: list[str]) -> None:
        start, self.at = self.at, self.at + 1
        while self.at < len(self.text) and self.text[self.at] != '"':
            char = self.text[self.at]
            if char == "\\" and self.text[self.at + 1 : self.at + 2] in ("$", "`", '"', "\\", "\n"):
                parts.append("" if self.text[self.at + 1] == "\n" else self.text[self.at + 1])
                self.at += 2
            elif char in "$`":
                self._expand(parts, unknown)
            else:
                parts.append(char)
                self.at += 1
        if self.at >= len(self.text):
            raise Unclosed(f'the quote " at character {start + 1} is never closed')
        self.at += 1

    def _expand(self, parts: list[str], unknown: list[str]) -> None:
        """A `$NAME` that the text itself sets becomes its value; all else stays as it stands, and is said."""
        named = _NAME.match(self.text, self.at)
        if named and (value := self.known.get(named[1] or named[2])) is not None:
            parts.append(value)
            self.at = named.end()
            return
        match = _EXPANSION.match(self.text, self.at)
        taken = match[0] if match else self.text[self.at]
        default = _DEFAULT.fullmatch(taken)
        value = self.known.get(default[1]) if default else None
        if match and not value:
            unknown.append(taken)
        parts.append(value or (default[2] if default else taken))
        self.at += len(taken)


def _ends_word(text: str, at: int) -> bool:
    """Whether a blank or an operator begins here. Digits before `>` belong to it only at the start of a word."""
    if text[at] in " \t\r":
        return True
    match = _OPERATOR.match(text, at)
    return match is not None and not match[0][0].isdigit()


def tokens(text: str, known: Mapping[str, str] | None = None) -> list[Word | Operator]:
    """Words and operators. Raises Unclosed. `known`: variables whose values the text itself says."""
    return _Reader(text, known or {}).tokens()


def commands(text: str) -> list[list[Word]]:
    """Simple commands, in order; variables that the text sets to a literal are put in where it uses them.

    Where their output goes is left out, and so are the words that only join commands.
    """
    known: dict[str, str] = {}
    found: list[list[Word]] = []
    for _ in range(2):
        # The second time over, assignments further up are known.
        found = _split(tokens(text, known))
        known = dict(pair for words in found for pair in _assigned(words))
    return found


def _split(read: list[Word | Operator]) -> list[list[Word]]:
    found: list[list[Word]] = [[]]
    redirected = False
    for token in read:
        if isinstance(token, Word):
            if not redirected:
                found[-1].append(token)
            redirected = False
        elif ">" in token.text or "<" in token.text:
            redirected = not token.text[-1].isdigit() and not token.text.endswith("-")
        else:
            redirected = False
            found.append([])
    return [words for words in found if words]


def _assigned(words: list[Word]) -> list[tuple[str, str]]:
    """Variables that a command sets for those after it."""
    rest = words[1:] if words[0].text in ("export", "readonly", "local", "declare") else words
    pairs = [assignment(word) for word in rest]
    return [pair for pair in pairs if pair] if all(pairs) and not any(word.unknown for word in rest) else []


def default_of(unknown: str) -> str | None:
    """The default in `${NAME:-default}`, which stands for it in its word."""
    match = _DEFAULT.fullmatch(unknown)
    return match[2] if match else None


def assignment(word: Word) -> tuple[str, str] | None:
    """`NAME=value` as its two halves."""
    match = _ASSIGNMENT.fullmatch(word.text)
    return (match[1], match[2]) if match else None
