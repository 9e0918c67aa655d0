"""Filters on what the endpoints have proved."""

from __future__ import annotations

from typing import Any, Callable

from ansible_collections.baremetal.vllm.plugins.plugin_utils.report.endpoints import failed_checks


class FilterModule:
    """`failed_checks`: from the results of a host's endpoints to one line for each failed check."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"failed_checks": failed_checks}
