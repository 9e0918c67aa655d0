"""A schedule in words for the terminal."""

from __future__ import annotations

from collections.abc import Mapping

from ansible_collections.baremetal.vllm.plugins.plugin_utils.fleet.schedule import Schedule
from ansible_collections.baremetal.vllm.plugins.plugin_utils.report.screen import CHANGED, PAPER, WRONG, Screen
from ansible_collections.baremetal.vllm.plugins.plugin_utils.report.table import Column, Row, counted, fleet_table

COLUMNS = (
    *(Column(name) for name in ("BATCH", "HOST", "WHAT")),
    Column("MODELS", wraps=True),
    Column("WHY", wraps=True),
)


def schedule_lines(schedule: Schedule, screen: Screen = PAPER) -> list[str]:
    """A table of the batches, then hosts that are left alone, then gaps, then how many of each."""
    hosts: list[tuple[str, list[Row]]] = []
    for number, batch in enumerate(schedule.batches, 1):
        for host in batch:
            turn = schedule.touched[host]
            values = (str(number), _action(schedule, host), ", ".join(turn.models), turn.why)
            hosts.append((host, [Row(values, CHANGED)]))
    for host, why in schedule.skipped.items():
        hosts.append((host, [Row(("-", "nothing", "", why), WRONG if host in schedule.lost else "")]))
    told = fleet_table(COLUMNS, hosts, screen, at=1) if hosts else []
    told += [screen.sentence(f"gap: {gap}") for gap in schedule.gaps]
    number = len(schedule.touched)
    count = len(schedule.batches)
    total = f"{counted(number, 'host')} in {count} batch{'es' * (count != 1)}, {len(schedule.skipped)} left alone"
    return [*told, "", total] if hosts else told


def document(schedule: Schedule) -> dict[str, object]:
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


def _plain(values: Mapping[str, object]) -> dict[str, object]:
    return {key: list(value) if isinstance(value, tuple) else value for key, value in values.items()}
