"""Text for people that came from a file of anybody's, and passwords in URLs."""

from __future__ import annotations

import re

_PASSWORD = re.compile(r"\w+://[^/@]*:[^/]*@")


def printable(text: str) -> str:
    """Text whose line breaks and other control characters are escaped: it may come from anybody's file."""
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)


def has_password(url: str) -> bool:
    """Whether a URL holds a user and a password before its host.

    >>> has_password("https://u:p@mirror.lan/x"), has_password("https://mirror.lan:8443/x")
    (True, False)
    """
    return _PASSWORD.match(url) is not None
