"""Names of options: how vLLM compares them, and which of them are not the operator's to write."""

from __future__ import annotations

import difflib
import re
from functools import cache, lru_cache

# Options that the plan itself writes, and the inventory key that decides them.
OWNED = {
    "model": "`model` of the entry",
    "revision": "`revision` of the entry",
    "host": "`vllm_address`",
    "port": "`port` of the entry",
    "served-model-name": "the entry's name, and `aliases` for further names",
    "download-dir": "nothing: weights are delivered before the start",
    "config": "`args` itself",
    "device-ids": "`gpus` of the entry: a count or a list of indices",
    "help": "nothing: a service prints no help",
    "headless": "nothing: every unit has an endpoint",
    "data-parallel-multi-port-external-lb": "nothing: every unit has one endpoint on one port",
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
# A long option; what follows the first dot is a key of its JSON value, spelled as vLLM spells it.
_OPTION = re.compile(r"[a-z0-9][a-z0-9-]*(\.[A-Za-z0-9_-]+)*")
# Fewer common letters than this, and a suggestion would mislead more than help.
_ALIKE = 0.7
_RELEASE = re.compile(r"\d+")


def written_by(option: str) -> str:
    """Who decides an option of OWNED, as a clause."""
    by = OWNED[option]
    if by.startswith("nothing"):
        return f"it has no place here{by[len('nothing') :]}"
    return f"the plan writes it, from {by}"


def normal(option: str) -> str:
    """An option as vLLM compares it: no leading dashes, `_` as `-` up to the first dot.

    Source: `FlexibleArgumentParser.parse_args` (vllm/utils.py in 0.9.1, vllm/utils/argparse_utils.py in 0.33.0).
    """
    head, dot, tail = option.strip().lstrip("-").partition(".")
    return head.replace("_", "-") + dot + tail


def is_name(option: str) -> bool:
    """Whether a normalised option can be one at all."""
    return _OPTION.fullmatch(option) is not None


@lru_cache(maxsize=4096)
def nearest(word: str, known: tuple[str, ...]) -> str | None:
    """The known word that `word` was most likely meant to be, if any is near; upper and lower case count as the same."""
    by_fold = {name.lower(): name for name in known}
    near = difflib.get_close_matches(word.lower(), by_fold, n=1, cutoff=_ALIKE)
    return by_fold[near[0]] if near else None


@cache
def numbers(release: str) -> tuple[int, ...]:
    """A release as numbers that compare in time: `0.8.5.post1` is later than `0.8.5`."""
    return tuple(int(part) for part in _RELEASE.findall(release))
