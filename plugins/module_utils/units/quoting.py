"""Words written so that systemd hands exactly them to the process, and read back.

systemd.syntax(7), systemd.service(5) "Command lines" and systemd.exec(5) "Environment": items are split at blanks,
quotes group them, C escapes are resolved inside quotes, `%` starts a specifier, and `$` a variable in commands only.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

_PLAIN = re.compile(r"[A-Za-z0-9_@+=:,./-]+")
_SPECIAL = {"\\": "\\\\", '"': '\\"', "\n": "\\n", "\t": "\\t", "\r": "\\r"}
# C escapes, without the code points that are no characters.
_ESCAPED = re.compile(
    r"\\(x[0-9a-fA-F]{2}|u(?![dD][89a-fA-F])[0-9a-fA-F]{4}|U00(?:0[1-9a-fA-F]|10)[0-9a-fA-F]{4}|[0-3][0-7]{2}|[abfnrtvs\\\"'])"
)
_NAMED = {"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v", "s": " "}
# Pieces of a value: blanks, text in quotes (the last may stay open), text without.
_PIECE = re.compile(
    r'(?P<blank>[ \t\n\r]+)|"(?P<double>[^"\\]*(?:\\.[^"\\]*)*\\?)(?:"|\Z)|'
    r"'(?P<single>[^'\\]*(?:\\.[^'\\]*)*\\?)(?:'|\Z)|(?P<bare>(?:[^\"'\\ \t\n\r]|\\[^ \t\n\r]|\\(?=[ \t\n\r]|\Z))+)",
    re.DOTALL,
)


def _escape(text: str) -> str:
    escaped = []
    for char in text:
        if char in _SPECIAL:
            escaped.append(_SPECIAL[char])
        elif ord(char) < 0x20 or ord(char) == 0x7F:
            escaped.append(f"\\x{ord(char):02x}")
        else:
            escaped.append(char)
    return "".join(escaped).replace("%", "%%")


def command_word(text: str) -> str:
    """One word of `ExecStart=`. NUL cannot be carried and must have been refused before."""
    if _PLAIN.fullmatch(text):
        return text
    return '"' + _escape(text).replace("$", "$$") + '"'


def command(argv: Sequence[str]) -> str:
    """A whole command for `ExecStart=`: each option on a line of its own, with its values.

    >>> print(command(["/opt/vllm/0.33.0/bin/vllm", "serve", "/m", "--port", "8000", "--enforce-eager"]))
    /opt/vllm/0.33.0/bin/vllm serve /m \\
      --port 8000 \\
      --enforce-eager
    """
    lines: list[str] = []
    for word in argv:
        quoted = command_word(word)
        if not lines or quoted.startswith("--"):
            lines.append(quoted)
        else:
            lines[-1] += f" {quoted}"
    return " \\\n  ".join(lines)


def environment(variables: Mapping[str, str]) -> list[str]:
    """One `Environment=` value per variable, in name order."""
    return [f'"{name}={_escape(value)}"' for name, value in sorted(variables.items())]


def path(text: str) -> str:
    """A path for settings that take one as the whole value, such as `AssertPathExists=`."""
    return text.replace("%", "%%")


def words(text: str, variables: bool = False) -> list[str]:
    """The words of a value as systemd splits them: the inverse of `command` (with `variables`) and of `environment`.

    Takes any text: an escape that is none and a quote that is never closed stand for themselves.

    >>> words('/opt/vllm serve "a b" --x "100%%"')
    ['/opt/vllm', 'serve', 'a b', '--x', '100%']
    """
    found = _split(text) if any(char in text for char in "\\\"'") else re.findall(r"[^ \t\n\r]+", text)
    found = [word.replace("%%", "%") for word in found]
    return [word.replace("$$", "$") for word in found] if variables else found


def _split(text: str) -> list[str]:
    found: list[str] = []
    word: list[str] = []
    for piece in _PIECE.finditer(text):
        kind = piece.lastgroup
        if kind != "blank":
            word.append(_ESCAPED.sub(_unescape, piece[str(kind)]))
        elif word:
            found.append("".join(word))
            word = []
    return [*found, "".join(word)] if word else found


def _unescape(match: re.Match[str]) -> str:
    escape = match[1]
    if escape[0] in "xuU":
        return chr(int(escape[1:], 16))
    return chr(int(escape, 8)) if escape[0].isdecimal() else _NAMED.get(escape, escape)
