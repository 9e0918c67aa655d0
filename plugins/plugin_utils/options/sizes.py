"""Sizes as vLLM's `human_readable_int` reads them: `32k` is 32,000 and `32K` is 32,768."""

from __future__ import annotations

import re
from typing import Any

from ansible_collections.baremetal.vllm.plugins.module_utils.text.names import numbers

_SIZE = re.compile(r"([0-9]{1,30})(\.[0-9]{1,30})?([kKmMgGtT]?)")
_DECIMAL = {"k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12}
_BINARY = {"K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40}
# The pattern has t and T in every release, the factors only from this one on (vllm/engine/arg_utils.py).
_TERA_SINCE = (0, 13)


def size(value: Any, release: str | None = None) -> int | None:
    """The number that vLLM makes of a value such as 4096, "32k" or "25.6k"; None where it makes none.

    Decimals need a lower-case factor. Without a release, everything is read that the newest one reads.
    """
    match = None if isinstance(value, bool) else _SIZE.fullmatch(_text(value))
    if match is None:
        return None
    whole, decimals, factor = match.groups()
    if factor in ("t", "T") and release is not None and numbers(release) < _TERA_SINCE:
        return None
    if factor in _DECIMAL:
        # Through a float, as vLLM does it: 2.01k is 2,009.
        return int(float(whole + (decimals or "")) * _DECIMAL[factor])
    return None if decimals else int(whole) * _BINARY.get(factor, 1)


def _text(value: Any) -> str:
    """Text and whole numbers as text; nothing else is a size, nor is a number beyond 64 bits."""
    if isinstance(value, str):
        return value.strip()
    return str(value) if isinstance(value, int) and abs(value) < 2**64 else ""
