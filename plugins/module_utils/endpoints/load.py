"""What vLLM counts about its own work, read from its /metrics.

The format is Prometheus' text exposition format 0.0.4 (prometheus.io/docs/instrumenting/exposition_formats); the names are
those of vllm/v1/metrics/loggers.py, seen in 0.31.0 and 0.32.0; before 0.9 the cache was gpu_cache_usage_perc.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass

RUNNING, WAITING = "vllm:num_requests_running", "vllm:num_requests_waiting"
# Where an engine that works moves. The numbers of requests do not tell: clients move those where nothing works.
WORK = (
    *("vllm:generation_tokens_total", "vllm:prompt_tokens_total", "vllm:request_success_total"),
    *("vllm:iteration_tokens_total_count", "vllm:kv_cache_usage_perc", "vllm:gpu_cache_usage_perc"),
)
_SAMPLE = re.compile(
    r'(?P<name>[a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(?:[^"}]|"(?:[^"\\]|\\.)*")*\})?[ \t]+(?P<value>\S+)(?:[ \t]+-?\d+)?[ \t]*'
)


@dataclass(frozen=True)
class Load:
    """Requests being worked on and waiting for their turn, and how far the work has come."""

    running: int
    waiting: int
    work: tuple[float, ...]

    @property
    def requests(self) -> int:
        """Requests that are not answered yet, whether worked on or waiting."""
        return self.running + self.waiting


def parse_metrics(text: str) -> dict[str, float]:
    """The sum of each metric over all its labels (an engine with several ranks counts each by itself); lines that are no
    samples are passed over, and so are values that are no numbers."""
    sums: dict[str, float] = {}
    # Lines end with a line feed and nothing else: a label may hold any other character.
    for line in text.split("\n"):
        found = _SAMPLE.fullmatch(line)
        value = _number(found["value"]) if found else None
        if found and value is not None:
            sums[found["name"]] = sums.get(found["name"], 0.0) + value
    return sums


def _number(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def read_load(text: str) -> Load | None:
    """The load as /metrics tells it; None where it says nothing about requests (another server, an engine without stats)."""
    sums = parse_metrics(text)
    return load_of(sums) if RUNNING in sums or WAITING in sums else None


def load_of(sums: Mapping[str, float]) -> Load:
    """The load from sums by metric, as of `parse_metrics`; a metric that is missing counts 0."""
    return Load(
        running=round(sums.get(RUNNING, 0.0)),
        waiting=round(sums.get(WAITING, 0.0)),
        work=tuple(sums.get(name, 0.0) for name in WORK),
    )
