"""A process for each machine: the tests of a machine, a folder here, run in order, and beside those of the others."""

from __future__ import annotations

from typing import Any

from xdist.scheduler import LoadScopeScheduling


class ByMachine(LoadScopeScheduling):
    def _split_scope(self, nodeid: str) -> str:
        return nodeid.partition("::")[0].rpartition("/")[0]


def pytest_xdist_make_scheduler(config: Any, log: Any) -> ByMachine:
    return ByMachine(config, log)
