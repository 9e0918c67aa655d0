"""Which installed releases may go."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

# Anything else below the root (a shared Python, a staging directory) is not a release and never a candidate.
_RELEASE = re.compile(r"\d+(\.\d+)+([a-z0-9.+_-]*)")


def is_release(name: str) -> bool:
    """Tell whether a directory's name is that of a release."""
    return _RELEASE.fullmatch(name) is not None


def prunable(present: Iterable[str], planned: Iterable[str], used: Mapping[str, Iterable[str]]) -> list[str]:
    """Return the releases to remove, sorted: present, neither planned nor used by anything.

    `used` maps a release to what uses it (a unit, a generation, a process); an empty list is no use.
    """
    keep = set(planned) | {release for release, users in used.items() if list(users)}
    return sorted(name for name in set(present) - keep if is_release(name))
