"""What no value may be, whatever the option and the release: no text, no JSON, too long for the kernel, or a secret."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from ansible_collections.baremetal.vllm.plugins.module_utils.text.urls import SECRET_USER

# The kernel refuses a single argument above this (MAX_ARG_STRLEN, linux/binfmts.h: 32 pages, its final NUL included).
MAX_WORD = 32 * 4096 - 1
# Deeper than any configuration, and well above it Python's own JSON reader gives up.
_MAX_DEPTH = 32

_SECRET_VALUE = re.compile(r"\b(hf_[A-Za-z0-9]{16,}|sk-[A-Za-z0-9_-]{16,}|AKIA[A-Z0-9]{16})\b")
_NAMES = "TOKEN|SECRET|PASSWORD|PASSWD|CREDENTIALS?"
# Names of variables and keys that hold secrets, in capitals.
SECRET_NAME = re.compile(rf"(^|_)({_NAMES}|API_KEY|ACCESS_KEY)(_|$)")
_SECRET_START = ("hf_", "sk-", "AKIA")
# In a text that is told: a name behind which a secret is given. Variables that merely hold one are no secret.
_TELLING = (
    r"(?<![\w-])-{0,2}(?:[A-Za-z0-9]*[_-])*(?:api|access|auth|secret|private)?"
    rf"(?:{_NAMES}|passphrase|key|pass|(?<=_)pwd)(?:[_-]id)?(?![\w-])"
)
_VALUE = r"(?!\$(?:\w+|\{\w+\}|\([^)]*\))(?![\w-]))[^\s\"'`;,)}\]]+"
_SCHEME = r"(?:basic|bearer|digest|token|negotiate|apikey)\s+"
_HEADER = re.compile(
    rf"(?i)(\bauthorization\\?[\"']?\s*[:=]\s*\\?[\"']?(?:{_SCHEME})?|\bbearer\s+[\"']?)(?!{_SCHEME}){_VALUE}"
)
_NAMED = re.compile(
    # `X=…`, `${X:-…}`, `"x": "…"`, `x:…`, and `X-Key: …` in quotes.
    rf"(?i)({_TELLING}(?::?[-=+?]=?\s?[\"']?|\\?[\"']?:\s?\\?[\"']|:(?=\S)|:\s(?=[^\"'\n]*[\"'](?:\s|\)|$)))){_VALUE}"
)
# `--x …`, but for the verbs of sentences about an option.
_OPTION = re.compile(
    rf"(?i)((?=--){_TELLING}\s+[\"']?)"
    rf"(?!(?:is|has|holds|looks|takes|may|stands|names|comes|are|and|or)\b|-){_VALUE}"
)
# Characters of a text that is told.
_TOLD = 4000
_LOGIN = re.compile(r"((?:^|\s)(?:-u|--user|--proxy-user)[= ]?[\"']?[^\s:\"'=/]+:)[^\s\"'`;)]+")
# sshpass and the clients of databases; elsewhere -p is a port, a directory, a setting.
_PASSWORD = re.compile(rf"(\bsshpass\s+-p\s*[\"']?|\b(?:mysql|mariadb)\w*\s(?:[^|;&\n]*\s)?-p[\"']?){_VALUE}")
_PLAIN_P = re.compile(r"(\s-p\s+[\"']?)(?!holds\b)(?=[A-Za-z0-9]*[A-Za-z])[A-Za-z0-9!#%+^*~@]+(?=[\"'\s]|$)")
_LONG = re.compile(
    # A digest of an image and a commit in the hub's cache have the form of a key and are none; so have the UUIDs of GPUs.
    r"(?<!sha256:)(?<!snapshots/)(?<!GPU-)(?<!MIG-)(?<![A-Za-z0-9])(?:(?=[A-Za-z]*[0-9])(?=[0-9]*[A-Za-z])[A-Za-z0-9]{20,}"
    r"|[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}|(?!GPU-|MIG-)[A-Za-z0-9+/_-]{20,})={0,2}"
)
# Halves of surrogate pairs, and Unicode's noncharacters: systemd drops a line that holds one as "not UTF-8 clean", and
# D-Bus refuses to speak of such a unit (src/basic/utf8.c).
NO_TEXT = re.compile(
    "[\ud800-\udfff\ufdd0-\ufdef" + "".join(chr(p << 16 | e) for p in range(17) for e in (0xFFFE, 0xFFFF)) + "]"
)


class Wrong(NamedTuple):
    """What is wrong with a value, and what to write instead."""

    reason: str
    remedy: str


def wrong_word(text: str) -> Wrong | None:
    """Why a text cannot be one word of a command line."""
    if not text.isascii() or not text.isprintable():
        if "\0" in text:
            return Wrong("contains a NUL character", "Remove it: no command line can carry one")
        if NO_TEXT.search(text):
            return Wrong("contains a code point that is no character", "Remove it: systemd takes it for broken text")
    if len(text) > MAX_WORD // 4 and len(text.encode()) > MAX_WORD:
        return Wrong(f"is longer than the kernel's {MAX_WORD} bytes for one argument", "Put it in a file")
    if is_secret(text):
        return Wrong("looks like a secret", "Use `vllm_api_key`, `vllm_hf_token` or `vllm_secret_env` (from a vault)")
    return None


def is_secret(text: str) -> bool:
    """Whether a text has the form of a key that a provider issues."""
    if any(start in text for start in _SECRET_START) and _SECRET_VALUE.search(text) is not None:
        return True
    return "://" in text and "@" in text and SECRET_USER.search(text) is not None


def without_secrets(text: str) -> str:
    """A text that is told, with `…` for what is a secret, may be one by its form, or stands where one is given.

    Rather too much is hidden than too little: nobody can take back what a terminal or a log has shown.
    """
    if len(text) > _TOLD:
        # Nobody reads on, and what was half a secret there is cut off with the rest.
        return f"{without_secrets(text[:_TOLD])[:-200]}…"
    text = SECRET_USER.sub("…", text)
    for form in (_HEADER, _LOGIN, _PASSWORD, _PLAIN_P, _NAMED, _OPTION):
        text = form.sub(r"\1…", text)
    text = _LONG.sub(lambda match: "…" if _is_random(match[0]) else match[0], text)
    return _SECRET_VALUE.sub("…", text)


def _is_random(text: str) -> bool:
    """Whether a long word is no name: letters and digits in one run, or what changes between them all the time."""
    core = text.rstrip("=")
    if core.isalnum() or re.fullmatch(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]+)+", core):
        return True
    if not (re.search("[a-z]", core) and re.search("[A-Z]", core) and re.search("[0-9]", core)):
        return False
    # Of random base64, two neighbours in three are of another kind; of a model's name with its sizes, one in three at most.
    changes = len(re.findall(r"(?=[a-z][A-Z0-9]|[A-Z][a-z0-9]|[0-9][A-Za-z])", core))
    return changes * 5 >= len(core) * 2


def wrong_data(value: Any) -> Wrong | None:
    """Why data cannot be written as JSON that reads back as the same data."""
    left = MAX_WORD
    stack: list[tuple[Any, int]] = [(value, 0)]
    while stack:
        item, depth = stack.pop()
        left -= 1
        # YAML's anchors can nest a value into itself, or unfold a few lines into billions of items.
        if left < 0:
            return Wrong("holds more items than an argument can carry", "Put it in a file")
        if depth > _MAX_DEPTH:
            return Wrong(f"is nested more than {_MAX_DEPTH} levels deep", "Write it flatter")
        if isinstance(item, Mapping):
            for key in item:
                if not isinstance(key, str):
                    return Wrong(
                        f"{shown(key)} is a key that is not text, and JSON has no other", "Write the key in quotes"
                    )
            stack.extend((inner, depth + 1) for inner in item.values())
        elif isinstance(item, (list, tuple)):
            stack.extend((inner, depth + 1) for inner in item)
        elif isinstance(item, float):
            if not math.isfinite(item):
                return Wrong(f"{shown(item)} is not a number vLLM can read", "Write a finite number")
        elif isinstance(item, int):
            if abs(item) >= 2**64:
                return Wrong(f"{shown(item)} does not fit into 64 bits", "Write a smaller number")
        elif item is not None and not isinstance(item, str):
            return Wrong(
                f"{shown(item)} cannot be written as JSON", "Use text, numbers, true, false, lists and dictionaries"
            )
    return None


def shown(value: Any) -> str:
    """A value for a message: short, on one line, and safe to print whatever it is."""
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) >= 2**64:
        return f"a number of {value.bit_length()} bits"
    if isinstance(value, (Mapping, list, tuple)):
        return "a dictionary" if isinstance(value, Mapping) else "a list"
    text = "null" if value is None else repr(value)
    if isinstance(value, bool):
        text = "true" if value else "false"
    return text if len(text) <= 60 else f"{text[:57]}…"
