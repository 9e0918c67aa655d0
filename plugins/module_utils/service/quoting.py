"""Words written so that systemd hands exactly them to the process.

systemd.syntax(7), systemd.service(5) "Command lines" and systemd.exec(5) "Environment": items are split at blanks,
quotes group them, C escapes are resolved inside quotes, `%` starts a specifier, and `$` a variable in commands only.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

_PLAIN = re.compile(r"[A-Za-z0-9_@+=:,./-]+")
_SPECIAL = {"\\": "\\\\", '"': '\\"', "\n": "\\n", "\t": "\\t", "\r": "\\r"}


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
