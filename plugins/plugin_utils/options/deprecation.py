"""Options and values that a release still takes and warns of, or that do something else than their name says."""

from __future__ import annotations

from typing import Any

from ansible_collections.baremetal.vllm.plugins.module_utils.text.names import numbers
from ansible_collections.baremetal.vllm.plugins.module_utils.text.safe_values import Wrong
from ansible_collections.baremetal.vllm.plugins.plugin_utils.options import deprecated, fates
from ansible_collections.baremetal.vllm.plugins.plugin_utils.options.follow import Way
from ansible_collections.baremetal.vllm.plugins.plugin_utils.options.model import Release


def deprecation(option: str, value: Any, release: Release) -> Wrong | None:
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


def outdated(option: str, value: Any, fact: str, release: Release) -> Wrong:
    """The warning for an option that `release` warns of: what to write instead. `fact` is what the catalogue says of it."""
    told = deprecated.changes({option: value}, Way(release))
    note = told[0].note if told else ""
    return Wrong(f"is deprecated in vLLM {release.version}", note or f"vLLM says: {fact}")
