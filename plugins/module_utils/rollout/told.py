"""A schedule in words for the terminal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible_collections.baremetal.vllm.plugins.module_utils.plan.table import table
from ansible_collections.baremetal.vllm.plugins.module_utils.rollout.schedule import Schedule


def schedule_lines(schedule: Schedule) -> list[str]:
    """A table of the batches, then hosts that are left alone, then gaps."""
    rows = [
        (
            f"{number}",
            host,
            _action(schedule, host),
            ", ".join(schedule.touched[host].models),
            schedule.touched[host].why,
        )
        for number, batch in enumerate(schedule.batches, 1)
        for host in batch
    ]
    rows += [("-", host, "nothing", "", why) for host, why in schedule.skipped.items()]
    told = table(("BATCH", "HOST", "WHAT", "MODELS", "WHY"), rows).splitlines() if rows else []
    return [*told, *(f"gap: {gap}" for gap in schedule.gaps)]


def document(schedule: Schedule) -> dict[str, Any]:
    """The schedule as the tasks of a rollout read it. No key is one that Ansible reads as its own (`unreachable`)."""
    return {
        "order": list(schedule.order),
        "sizes": list(schedule.sizes),
        "batches": schedule.batches,
        "first": schedule.first,
        "hosts": {host: _plain(vars(turn)) for host, turn in schedule.touched.items()},
        "resumed": list(schedule.resumed),
        "left": dict(schedule.skipped),
        "lost": list(schedule.lost),
        "gaps": list(schedule.gaps),
    }


def _action(schedule: Schedule, host: str) -> str:
    turn = schedule.touched[host]
    return turn.action.replace("_", " ") + (" (canary)" if turn.canary else "")


def _plain(values: Mapping[str, Any]) -> dict[str, Any]:
    return {key: list(value) if isinstance(value, tuple) else value for key, value in values.items()}
