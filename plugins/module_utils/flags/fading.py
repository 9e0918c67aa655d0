"""Values that a release still takes, and that it does something else with than their name says."""

from __future__ import annotations

from typing import Any

from ansible_collections.baremetal.vllm.plugins.module_utils.catalogue.model import Release
from ansible_collections.baremetal.vllm.plugins.module_utils.flags.names import numbers
from ansible_collections.baremetal.vllm.plugins.module_utils.flags.plainness import Wrong
from ansible_collections.baremetal.vllm.plugins.module_utils.migration import fates


def fading(option: str, value: Any, release: Release) -> Wrong | None:
    """The warning for a value that is deprecated or without effect in `release` while its option is not (data/fates.yml)."""
    fate = fates.options().get(option) if isinstance(value, str) else None
    own = fate.values.get(value) if fate else None
    begun = [since for since in (own.deprecated, own.idle) if since] if own else []
    if own is None or not any(numbers(since) <= numbers(release.version) for since in begun):
        return None
    return Wrong(
        f"{value} is deprecated in vLLM {release.version} ({own.why})",
        "`migrate.yml` says what takes its place",
    )
