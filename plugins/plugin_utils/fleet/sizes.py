"""How many hosts are switched at once: Ansible's `serial`, read once and refused where it is none."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from ansible_collections.baremetal.vllm.plugins.plugin_utils.inventory.plain import whole

REMEDY = 'Write a number of hosts, a percentage ("25%"), or a list of these: [1, "25%"]'


class SerialError(ValueError):
    """`rollout_serial` is no serial; the message says what to write."""


def read_serial(value: Any, hosts: int) -> list[int]:
    """Sizes of the batches, each ≥ 1; the last one holds for all further batches.

    A percentage is of `hosts`, rounded down and never below 1, as Ansible does it (utils/helpers.py, pct_to_int).

    Raises SerialError: for an empty list, and for what is neither a count nor a percentage.
    """
    items: Sequence[Any] = value if isinstance(value, (list, tuple)) else [value]
    if not items:
        raise SerialError(f"rollout_serial: an empty list says nothing. {REMEDY}.")
    return [_size(item, hosts) for item in items]


def _size(item: Any, hosts: int) -> int:
    percent = re.fullmatch(r"(\d{1,3}(?:\.\d+)?)%", item) if isinstance(item, str) else None
    size = whole(item)
    if percent and 0 < float(percent[1]) <= 100:
        size = max(1, int(float(percent[1]) / 100 * hosts))
    if not size or size < 1:
        raise SerialError(f"rollout_serial: {item!r} is no size of a batch. {REMEDY}.")
    return size
