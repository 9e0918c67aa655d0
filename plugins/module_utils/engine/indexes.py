"""Addresses of package indexes: they may hold a password, and every user of a computer reads command lines.

uv and pip take each from a variable as well, which their own user and root alone can read
(docs.astral.sh/uv/reference/environment, pip.pypa.io/en/stable/topics/configuration).
Standard library, Python 3.9: this runs on hosts too.
"""

from __future__ import annotations

from collections.abc import Sequence

# The variable of an option, and whether the option may come more than once: the variable then has them with blanks between.
_VARIABLES = {
    "--default-index": ("UV_DEFAULT_INDEX", False),
    "--index": ("UV_INDEX", True),
    "--index-url": ("PIP_INDEX_URL", False),
    "--extra-index-url": ("PIP_EXTRA_INDEX_URL", True),
}


def in_environment(command: Sequence[str]) -> tuple[list[str], dict[str, str]]:
    """A command of uv's or pip's without the options that name an index, and the variables that say the same.

    >>> in_environment(["uv", "pip", "sync", "--index", "https://u:p@mirror.lan/simple", "lock"])
    (['uv', 'pip', 'sync', 'lock'], {'UV_INDEX': 'https://u:p@mirror.lan/simple'})
    """
    kept: list[str] = []
    variables: dict[str, str] = {}
    words = iter(command)
    for word in words:
        if word not in _VARIABLES:
            kept.append(word)
            continue
        name, several = _VARIABLES[word]
        before = f"{variables[name]} " if several and name in variables else ""
        variables[name] = before + next(words)
    return kept, variables
