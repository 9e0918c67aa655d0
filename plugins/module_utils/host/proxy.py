"""The proxy through which programs fetch from elsewhere: one address, handed to each in the variables that it reads.

It may hold a password. So it travels as a module's argument, becomes the environment of processes (which their own user and root
can read) or a file that only root reads, and is never a word of a command: `environment:` of a task would be one, in the command
that Ansible has ssh and sudo run.

Who reads which: curl, apt and dnf `http_proxy`, `https_proxy`, `no_proxy` (curl(1), apt-transport-http(1)); Python's urllib and
requests, with pip and huggingface_hub, both spellings; uv both. Standard library, Python 3.9: this runs on hosts too.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

from ansible_collections.baremetal.vllm.plugins.module_utils.text.urls import secrets

# What no proxy could reach, or would reach in its own place.
DIRECT = ("localhost", "127.0.0.1", "::1")
# What modules take; the doc fragment `proxy` describes it.
ARGUMENTS: dict[str, dict[str, Any]] = {
    "proxy": {"type": "str", "default": "", "no_log": True},
    "no_proxy": {"type": "list", "elements": "str", "default": []},
}
_NAMES = ("http_proxy", "https_proxy", "no_proxy")
# Quotes, blanks and backslashes would mean something in files of settings.
_FORM = re.compile(r"https?://[^\s\"'\\`$/]+/?")
_DIRECT = re.compile(r"[A-Za-z0-9.:*_/-]+")


def fault(url: Any) -> str:
    """Why this is no address of a proxy, "" where it is one. The text repeats nothing of it: there may be a password in it."""
    if not isinstance(url, str) or not _FORM.fullmatch(url):
        return "is no address of a proxy"
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return "has a port that is no number"
    if not parts.hostname or parts.query or parts.fragment:
        return "is no address of a proxy"
    # Programs disagree on what goes without saying: 80, 443, 1080, 3128.
    return "" if port else "names no port"


def direct_fault(name: Any) -> str:
    """Why this is no host, domain or network to be reached directly, "" where it is one."""
    return "" if isinstance(name, str) and _DIRECT.fullmatch(name) else "is no host, domain or network"


def environment(url: str, direct: Sequence[str] = ()) -> dict[str, str]:
    """The variables that send a process through the proxy, but to `direct` and to its own host; {} where `url` is empty.

    Raises ValueError, which names no part of it, where it is no address of a proxy.
    """
    if not url:
        return {}
    wrong = fault(url)
    if wrong:
        raise ValueError(f"vllm_proxy {wrong}: write http://proxy.example.com:3128")
    lacking = ",".join(dict.fromkeys([*DIRECT, *direct]))
    values = dict(zip(_NAMES, (url, url, lacking)))
    return {**values, **{name.upper(): value for name, value in values.items()}}


def overridden(variables: Mapping[str, str], own: Iterable[str]) -> dict[str, str]:
    """`variables` without those that `own` sets in either spelling: programs disagree on which of the two counts."""
    taken = {name.lower() for name in own}
    return {name: value for name, value in variables.items() if name.lower() not in taken}


def without_secrets(text: str, url: str) -> str:
    """A text that is told, with `…` for what must not be."""
    for secret in sorted(secrets(url), key=len, reverse=True):
        text = text.replace(secret, "…")
    return text


def enter(module: Any, own: Iterable[str] = ()) -> None:
    """What a module with ARGUMENTS does first, for its own process and its children; it fails where it is no proxy.

    `own`: variables that the operator sets otherwise.
    """
    url = module.params["proxy"] or ""
    # Ansible hides the address itself; tools may tell the password alone.
    module.no_log_values.update(secrets(url))
    try:
        os.environ.update(overridden(environment(url, module.params["no_proxy"] or ()), own))
    except ValueError as error:
        module.fail_json(msg=str(error))
