"""Words for people and for addresses: text of anybody's file, passwords in URLs, IPv6."""

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


def bracketed(address: str) -> str:
    """A host as a URL has it before a port: IPv6 between brackets, its zone as RFC 6874 writes it.

    >>> bracketed("fd00::11"), bracketed("10.0.0.11"), bracketed("fe80::1%eth0")
    ('[fd00::11]', '10.0.0.11', '[fe80::1%25eth0]')
    """
    return f"[{address.replace('%', '%25')}]" if ":" in address and not address.startswith("[") else address
