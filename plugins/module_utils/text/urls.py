"""Users and passwords in URLs: whether there are any, what must not be told of them, a text without them."""

from __future__ import annotations

import re
from urllib.parse import unquote

# A user that gives something away: one with a password, or what is too long for a name: a token, as code hosts take them.
SECRET_USER = re.compile(r"(?<=://)(?:[^\s/?#@:]*:[^\s/?#]+|[^\s/?#@]{16,})(?=@)")
_PASSWORD = re.compile(r"\w+://[^/@]*:[^/]*@")
_USER = re.compile(r"(?<=://)[^\s/?#\"]+@")


def has_password(url: str) -> bool:
    """Whether a URL holds a user and a password before its host.

    >>> has_password("https://u:p@mirror.lan/x"), has_password("https://mirror.lan:8443/x")
    (True, False)
    """
    return _PASSWORD.match(url) is not None


def without_users(text: str) -> str:
    """A text with `***` for what stands before the host of the addresses in it: nobody but their server is to know a token.

    >>> without_users("no answer from https://u:p@mirror.lan/x")
    'no answer from https://***@mirror.lan/x'
    """
    return _USER.sub("***@", text)


def bare(url: str) -> str:
    """A URL without its user and password.

    >>> bare("https://u:p@mirror.lan/x")
    'https://mirror.lan/x'
    """
    return _USER.sub("", url)


def secrets(url: str) -> set[str]:
    """What must not be told of a URL: itself, its user with the password, the password as written and as meant; nothing where
    it holds no secret."""
    user = url.partition("://")[2].rpartition("@")[0]
    password = user.partition(":")[2] or (user if SECRET_USER.search(url) else "")
    return {url, user, password, unquote(password)} if password else set()
