"""Whom a run has to wait for, by the record of who changes the fleet."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.baremetal.vllm.plugins.plugin_utils.fleet.holder import record, stands_aside

MINE = record("site")
OTHER: dict[str, Any] = {**MINE, "id": "0123456789ab", "node": "another control node"}


@pytest.mark.parametrize(
    ("holder", "take_over", "aside"),
    [
        (MINE, "", True),
        (OTHER, "", False),
        (OTHER, OTHER["id"], True),
        (OTHER, "ffffffffffff", False),
        # On this computer a process can be seen to be gone; where it runs, it holds.
        ({**OTHER, "node": MINE["node"], "started": "1"}, "", True),
        ({**OTHER, "node": MINE["node"]}, "", False),
    ],
)
def test_whom_a_run_waits_for(holder: dict[str, Any], take_over: str, aside: bool) -> None:
    assert stands_aside(holder, take_over) is aside
