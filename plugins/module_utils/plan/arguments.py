"""`args` of a model entry, turned into the words of a `vllm serve` command line.

How vLLM's parser takes each form is from vLLM's argument parser (vllm/utils/argparse_utils.py and
vllm/entrypoints/openai/cli_args.py, releases 0.10.2 to 0.33.0): options that take several values are given once, with
all values after it; JSON options take one JSON text; `--middleware` alone is repeated.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from typing import Any

from ansible_collections.baremetal.vllm.plugins.module_utils.plan.problems import Problems

# Options that the plan itself writes, and the inventory key that decides them.
OWNED = {
    "model": "`model` of the entry",
    "revision": "`revision` of the entry",
    "host": "`vllm_address`",
    "port": "`port` of the entry",
    "served-model-name": "the entry's name, and `aliases` for further names",
    "download-dir": "nothing: weights are delivered before the start",
    "config": "`args` itself",
    "headless": "nothing: every unit has an endpoint",
    "grpc": "nothing: endpoints are proved over HTTP",
    "uds": "nothing: endpoints listen on an address and a port",
    "ssl-keyfile": "nothing: endpoints speak HTTP inside the fleet; TLS belongs to the proxy in front of them",
    "ssl-certfile": "nothing: endpoints speak HTTP inside the fleet; TLS belongs to the proxy in front of them",
}
# Readable by every user of the host in /proc/PID/cmdline, and printed by vLLM's own start-up log.
SECRET = {
    "api-key": "`vllm_api_key` (from a vault)",
    "hf-token": "`vllm_hf_token` (from a vault)",
}
# One JSON list in one word, where other options take several words.
_JSON_LISTS = {"allowed-origins", "allowed-methods", "allowed-headers"}
_REPEATED = {"middleware"}
# The kernel refuses a single argument above this (MAX_ARG_STRLEN, linux/binfmts.h: 32 pages, its final NUL included).
MAX_WORD = 32 * 4096 - 1

_OPTION = re.compile(r"[a-z0-9][a-z0-9-]*(\.[A-Za-z0-9_.-]+)?\+?")
_SECRET_VALUE = re.compile(r"\b(hf_[A-Za-z0-9]{16,}|sk-[A-Za-z0-9_-]{16,}|AKIA[A-Z0-9]{16})\b")
_SECRET_ENV = re.compile(r"(^|_)(TOKEN|SECRET|PASSWORD|PASSWD|API_KEY|ACCESS_KEY|CREDENTIALS?)(_|$)")
# Halves of surrogate pairs, and Unicode's noncharacters: systemd drops a line that holds one as "not UTF-8 clean", and
# D-Bus refuses to speak of such a unit (src/basic/utf8.c).
_NO_TEXT = re.compile(
    "[\ud800-\udfff\ufdd0-\ufdef" + "".join(chr(p << 16 | e) for p in range(17) for e in (0xFFFE, 0xFFFF)) + "]"
)
# Of the control characters, an environment may hold tab and line feed alone (systemd: env_value_is_valid).
_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f]")
_SIZE = re.compile(r"(\d+(?:\.\d+)?)([kKmMgG]?)")
_SCALE = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "K": 2**10, "M": 2**20, "G": 2**30}


def normal(option: str) -> str:
    """An option as vLLM compares it: no leading dashes, `_` as `-` up to the first dot."""
    head, dot, tail = option.strip().lstrip("-").partition(".")
    return head.replace("_", "-") + dot + tail


def read_arguments(at: str, args: Mapping[str, Any], problems: Problems) -> dict[str, Any]:
    """`args` keyed by normalised option; owned, secret and doubled options become problems."""
    read: dict[str, Any] = {}
    for raw, value in args.items():
        option, key = normal(raw), f"{at}.{raw}"
        if option.lower() in SECRET:
            problems.add(
                key, "is a secret, and every user of the host can read a command line", f"Use {SECRET[option.lower()]}"
            )
        elif option in OWNED:
            problems.add(key, "is written by the plan", f"It follows from {OWNED[option]}")
        elif not _OPTION.fullmatch(option):
            problems.add(
                key, "is not the name of a long option", "Write it as in `vllm serve --help`, without the dashes"
            )
        elif option in read:
            problems.add(key, "is given twice under two spellings", f"Keep one of them, as `{option}`")
        else:
            read[option] = value
    return read


def words(option: str, value: Any) -> list[str]:
    """The words for one option. True gives `--x`, False `--no-x`, None nothing, a mapping one JSON text.

    >>> words("max-model-len", "32k")
    ['--max-model-len', '32k']
    """
    flag = f"--{option}"
    if value is None:
        return []
    if isinstance(value, bool):
        return [flag if value else f"--no-{option}"]
    if isinstance(value, (list, tuple)):
        if option in _JSON_LISTS:
            return [flag, _word(list(value))]
        if option in _REPEATED:
            return [word for item in value for word in (flag, _word(item))]
        return [flag, *(_word(item) for item in value)] if value else []
    word = _word(value)
    # A word that begins with a dash would be taken for another option.
    return [f"{flag}={word}"] if word.startswith("-") else [flag, word]


def _word(value: Any) -> str:
    if isinstance(value, str):
        return str(value)
    if isinstance(value, (bool, Mapping, list, tuple)):
        return json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return repr(value) if isinstance(value, float) else str(value)


def check_value(key: str, option: str, value: Any, problems: Problems) -> bool:
    """Whether the value can stand on a command line at all; what it may be for this option is the catalogue's business."""
    try:
        written = words(option, value)
    except (TypeError, ValueError):
        problems.add(
            key, f"{value!r} cannot be written as JSON", "Use text, numbers, true, false, lists and dictionaries"
        )
        return False
    if isinstance(value, float) and not math.isfinite(value):
        problems.add(key, f"{value!r} is not a number vLLM can read", "Write a finite number")
        return False
    if isinstance(value, (list, tuple)) and any(_word(item).startswith("-") for item in value):
        problems.add(
            key, "has an item that begins with a dash, which would be read as an option", "Write it another way"
        )
        return False
    for word in written:
        if "\0" in word:
            problems.add(key, "contains a NUL character", "Remove it: no command line can carry one")
            return False
        if _NO_TEXT.search(word):
            problems.add(
                key, "contains a code point that is no character", "Remove it: systemd takes it for broken text"
            )
            return False
        if len(word.encode()) > MAX_WORD:
            problems.add(key, f"is longer than the kernel's {MAX_WORD} bytes for one argument", "Put it in a file")
            return False
        if _SECRET_VALUE.search(word):
            problems.add(
                key, "looks like a secret", "Use `vllm_api_key`, `vllm_hf_token` or `vllm_secret_env` (from a vault)"
            )
            return False
    return True


def check_environment(at: str, env: Mapping[str, str], problems: Problems) -> None:
    """Refuse secrets and what the plan decides itself."""
    for name, value in env.items():
        if _SECRET_ENV.search(name) or _SECRET_VALUE.search(value):
            problems.add(
                f"{at}.{name}",
                "looks like a secret, and unit files are readable by every user of the host",
                "Use `vllm_api_key`, `vllm_hf_token` or `vllm_secret_env` (from a vault)",
            )
        elif _NO_TEXT.search(value) or _CONTROL.search(value):
            problems.add(f"{at}.{name}", "contains a control character or no character at all", "Write plain text")
        elif name in ("CUDA_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES", "ROCR_VISIBLE_DEVICES"):
            problems.add(f"{at}.{name}", "is written by the plan", "Use `gpus`: a count or a list of indices")


def size(value: Any) -> int | None:
    """A size as vLLM reads it (`32k` = 32,000, `32K` = 32,768), else None; source: vLLM's `human_readable_int`."""
    match = _SIZE.fullmatch(str(value))
    if match is None or isinstance(value, bool):
        return None
    return int(float(match[1]) * _SCALE[match[2]])
