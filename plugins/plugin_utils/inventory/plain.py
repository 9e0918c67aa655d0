"""What an inventory holds, as the plain Python data that pure code expects."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any


def plain(value: Any) -> Any:
    """Ansible's tagged and lazy values as exact built-in types; anything else (a date, say) as its text."""
    if isinstance(value, Mapping):
        return {plain(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if value is None or isinstance(value, bool):
        return value
    for kind in (str, int, float):
        if isinstance(value, kind):
            return kind(value)
    return str(value)


def whole(value: Any) -> int | None:
    """An integer as YAML, JSON or `-e` give it (`8`, `"8"`), else None. Booleans are no integers here."""
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return value
    return int(value) if isinstance(value, str) and re.fullmatch(r"\d{1,18}", value) else None


def names(value: Any) -> tuple[str, ...]:
    """A list of names as YAML gives it, or as `-e x=a,b` does.

    >>> names(["xid-48", "gpu-lost,fewer-gpus"])
    ('xid-48', 'gpu-lost', 'fewer-gpus')
    """
    items = value if isinstance(value, (list, tuple)) else [value or ""]
    return tuple(name for item in items for name in re.split(r"[,\s]+", str(item)) if name)
