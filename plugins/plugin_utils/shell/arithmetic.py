"""`$((…))`: whole numbers as bash computes them (bash(1), "ARITHMETIC EVALUATION")."""

from __future__ import annotations

import re
from typing import Callable

_TOKEN = re.compile(
    r"\s*(0[xX][0-9a-fA-F]+|\d+#\w+|\d+|[A-Za-z_]\w*(?:\[[^\]]*\])?|\*\*|<<=|>>=|<<|>>|<=|>=|==|!=|&&|\|\||\+\+|--|[-+*/%&|^]=|[-+*/%<>=!~&|^?:(),])"
)
_STEPS = {"++": 1, "--": -1}
_LEVELS = (
    ("||",),
    ("&&",),
    ("|",),
    ("^",),
    ("&",),
    ("==", "!="),
    ("<", ">", "<=", ">="),
    ("<<", ">>"),
    ("+", "-"),
    ("*", "/", "%"),
)


# Expressions within expressions: far more than anybody writes, and less than Python's own stack holds.
_NESTED = 32


class NoNumber(ValueError):
    """An expression that cannot be computed."""


def compute(text: str, read: Callable[[str], int], write: Callable[[str, int], None]) -> int:
    """The value of an expression whose `$…` are expanded already. Raises NoNumber, and what `read` raises for a variable."""
    tokens: list[str] = []
    at = 0
    stripped = text.strip()
    while at < len(stripped):
        match = _TOKEN.match(stripped, at)
        if match is None:
            raise NoNumber(stripped)
        tokens.append(match[1])
        at = match.end()
    if not tokens:
        return 0
    reader = _Reader(tokens, read, write)
    value = reader.comma()
    if reader.at < len(tokens):
        raise NoNumber(stripped)
    return value


class _Reader:
    def __init__(self, tokens: list[str], read: Callable[[str], int], write: Callable[[str, int], None]) -> None:
        self.tokens, self.read, self.write, self.at = tokens, read, write, 0
        self.nested = 0

    def peek(self) -> str:
        return self.tokens[self.at] if self.at < len(self.tokens) else ""

    def next(self) -> str:
        self.at += 1
        return self.tokens[self.at - 1] if self.at <= len(self.tokens) else ""

    def comma(self) -> int:
        value = self.assign()
        while self.peek() == ",":
            self.next()
            value = self.assign()
        return value

    def assign(self) -> int:
        name = self.peek()
        following = self.tokens[self.at + 1] if self.at + 1 < len(self.tokens) else ""
        if name[:1].isalpha() or name[:1] == "_":
            if following == "=":
                self.at += 2
                value = self.assign()
                self.write(name, value)
                return value
            if len(following) > 1 and following[-1] == "=" and following[:-1] in ("+", "-", "*", "/", "%", "<<", ">>"):
                self.at += 2
                value = _apply(following[:-1], self.read(name), self.assign())
                self.write(name, value)
                return value
        value = self.level(0)
        if self.peek() != "?":
            return value
        self.next()
        yes = self.assign()
        if self.next() != ":":
            raise NoNumber("?")
        no = self.assign()
        return yes if value else no

    def level(self, depth: int) -> int:
        if depth == len(_LEVELS):
            return self.power()
        value = self.level(depth + 1)
        while self.peek() in _LEVELS[depth]:
            value = _apply(self.next(), value, self.level(depth + 1))
        return value

    def power(self) -> int:
        value = self.unary()
        if self.peek() != "**":
            return value
        self.next()
        exponent = self.power()
        if not 0 <= exponent <= 64:
            raise NoNumber("**")
        return _wrapped(value**exponent)

    def unary(self) -> int:
        self.nested += 1
        if self.nested > _NESTED:
            raise NoNumber("(")
        value = self._unary()
        self.nested -= 1
        return value

    def _unary(self) -> int:
        part = self.next()
        if part in ("-", "+", "!", "~"):
            value = self.unary()
            return {"-": -value, "+": value, "!": int(not value), "~": ~value}[part]
        if part in _STEPS:
            name = self.next()
            value = self.read(name) + _STEPS[part]
            self.write(name, value)
            return value
        if part == "(":
            value = self.comma()
            if self.next() != ")":
                raise NoNumber("(")
            return value
        if part[:1].isdigit():
            return _number(part)
        if not re.match(r"[A-Za-z_]", part):
            raise NoNumber(part)
        value = self.read(part)
        if self.peek() in _STEPS:
            self.write(part, value + _STEPS[self.next()])
        return value


def _wrapped(value: int) -> int:
    """As 64 bits hold it: `X=$((X * X))` would have twice the digits each time."""
    return (int(value) + 2**63) % 2**64 - 2**63


def _number(token: str) -> int:
    if "#" in token:
        base, __, digits = token.partition("#")
        return int(digits, int(base))
    if token[:2] in ("0x", "0X"):
        return int(token, 16)
    return int(token, 8) if token[0] == "0" and len(token) > 1 and set(token) <= set("01234567") else int(token)


def _apply(operator: str, left: int, right: int) -> int:
    if operator in ("/", "%"):
        if right == 0:
            raise NoNumber(operator)
        quotient = abs(left) // abs(right) * (1 if (left < 0) == (right < 0) else -1)
        return quotient if operator == "/" else left - quotient * right
    if operator in ("<<", ">>") and not 0 <= right < 64:
        raise NoNumber(operator)
    results: dict[str, Callable[[], int]] = {
        "||": lambda: bool(left or right),
        "&&": lambda: bool(left and right),
        "|": lambda: left | right,
        "^": lambda: left ^ right,
        "&": lambda: left & right,
        "==": lambda: left == right,
        "!=": lambda: left != right,
        "<": lambda: left < right,
        ">": lambda: left > right,
        "<=": lambda: left <= right,
        ">=": lambda: left >= right,
        "<<": lambda: left << right,
        ">>": lambda: left >> right,
        "+": lambda: left + right,
        "-": lambda: left - right,
        "*": lambda: left * right,
    }
    return _wrapped(results[operator]())
