"""The record that a host has passed, or not, and for what it stands: /var/lib/vllm/acceptance.json."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Any

from ansible_collections.baremetal.vllm.plugins.module_utils.gpus.model import Facts

PATH = "/var/lib/vllm/acceptance.json"
# What dcgmi printed, word for word: what a vendor asks for before a GPU is replaced.
OUTPUT_PATH = "/var/lib/vllm/acceptance-dcgmi.txt"


@dataclass(frozen=True)
class Record:
    """`level` 0 is GPU health alone, 1 to 4 DCGM's. `finished` is UTC in ISO 8601, `seconds` how long it took.

    `gpus` are UUIDs, sorted; `tests` maps "memory" to "pass"; `failures` and `told` are findings in words, those that
    refused the host and the others. `dcgm` is "" at level 0.
    """

    passed: bool
    level: int
    finished: str
    seconds: int
    gpus: tuple[str, ...]
    driver: str
    dcgm: str = ""
    tests: dict[str, str] | None = None
    failures: tuple[str, ...] = ()
    told: tuple[str, ...] = ()


def uuids(facts: Facts | None) -> tuple[str, ...]:
    """The UUIDs of the GPUs, sorted; () where nothing could be read."""
    return tuple(sorted(gpu.uuid for gpu in facts.gpus)) if facts is not None else ()


def write(record: Record) -> str:
    """The text of the record's file: JSON, indented, with a line feed at its end."""
    return json.dumps(asdict(record), indent=2, ensure_ascii=False) + "\n"


def read(text: str) -> Record | None:
    """The record of such a file; None for one that is empty, cut off or not ours."""
    try:
        data: dict[str, Any] = json.loads(text)
        return Record(
            passed=data["passed"] is True,
            level=int(data["level"]),
            finished=str(data["finished"]),
            seconds=int(data.get("seconds", 0)),
            gpus=tuple(map(str, data["gpus"])),
            driver=str(data.get("driver", "")),
            dcgm=str(data.get("dcgm", "")),
            tests={str(name): str(status) for name, status in (data.get("tests") or {}).items()},
            failures=tuple(map(str, data.get("failures", ()))),
            told=tuple(map(str, data.get("told", ()))),
        )
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None


def why_not(record: Record | None, facts: Facts, level: int, again: str) -> str:
    """Why the record does not stand for this host as it is, in words; "" where it does.

    `again` says what voids it: other GPUs (hardware), also another driver (driver), or in any case (always).
    """
    if record is None:
        return "it was never tested"
    if not record.passed:
        return f"it failed on {record.finished} at level {record.level}: {'; '.join(record.failures) or 'no reason is kept'}"
    if record.level < level:
        return f"it passed at level {record.level} on {record.finished}, level {level} is asked for"
    now = set(uuids(facts))
    new, gone = sorted(now - set(record.gpus)), sorted(set(record.gpus) - now)
    if new or gone:
        names = {gpu.uuid: f"GPU {gpu.index} {gpu.uuid}" for gpu in facts.gpus}
        changes = [f"new: {', '.join(names[uuid] for uuid in new)}"] if new else []
        changes += [f"gone: {', '.join(gone)}"] if gone else []
        return f"its GPUs are others than those tested on {record.finished} ({'; '.join(changes)})"
    if again == "driver" and record.driver != facts.driver:
        return f"it was tested with driver {record.driver or 'of unknown version'}, now it runs {facts.driver}"
    return "acceptance_again: always" if again == "always" else ""
