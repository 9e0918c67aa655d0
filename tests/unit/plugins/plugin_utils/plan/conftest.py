"""What the tests of the plan share: a fleet of one host, and the plan of a menu on it."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.baremetal.vllm.plugins.plugin_utils.plan.fleet import Inventory, Outcome, plan_fleet
from ansible_collections.baremetal.vllm.plugins.plugin_utils.plan.menu import read_menu

COMMIT = "495f39366efef23836d0cfae4fbe635880d2be31"


class Fleet:
    """`chat`: a sound entry; `gpu_host`: a sound host; `plan`: the outcome for a menu."""

    chat: dict[str, Any] = {"model": "Qwen/Qwen2.5-72B-Instruct", "revision": COMMIT, "kind": "chat"}  # noqa: RUF012
    gpu_host: dict[str, Any] = {"vllm_accelerator": "cuda", "vllm_version": "0.33.0", "gpu_count": 8}  # noqa: RUF012

    def plan(self, models: Any, hosts: Any = None, **more: Any) -> Outcome:
        hosts = {"gpu1": self.gpu_host} if hosts is None else hosts

        def match(pattern: str) -> list[str]:
            return [name for name in [*hosts, "stranger"] if name in pattern.split(",")]

        return plan_fleet(Inventory(menu=read_menu(models), hosts=hosts, match=match, keyed=True, **more))

    def told(self, models: Any, hosts: Any = None, **more: Any) -> list[str]:
        """Every problem as the operator reads it."""
        return [str(problem) for problem in self.plan(models, hosts, **more).problems]


@pytest.fixture
def fleet() -> Fleet:
    return Fleet()
