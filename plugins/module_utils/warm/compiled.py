"""What an engine's log says of compiling: seconds, what was loaded from a cache, and where the caches lie. Pure.

The lines are vLLM's own. 0.32.0: `Starting torch.compile`, `torch.compile took 33.10 s in total` (vllm/compilation/monitor.py),
`Directly load AOT compilation from path …`, `Compiling model again due to a load failure from …`, `saved AOT compiled function
to …` (decorators.py), `Directly load the compiled graph(s) for compile range …`, `Compiling a graph for compile range …`, `Using
cache directory: …` (backends.py). A load is timed by the same line as a compilation: what came before says which it was. On a
CPU (its mode is DYNAMO_TRACE_ONCE, vllm/platforms/cpu.py) nothing is timed: there the time is that from `Warming up model for the
compilation...` (vllm/v1/worker/cpu_model_runner.py) to the saved function, by the log's own clock. Before AOT compilation:
`torch.compile takes 33.10 s in total`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

# Each process of an engine logs its own: "(EngineCore_DP0 pid=5035) INFO …", "(Worker_TP1 pid=5036) INFO …".
_PROCESS = re.compile(r"^(?:\x1b\[[0-9;]*m)*\(([^()]*pid=\d+)\)")
_CLOCK = re.compile(r"\b\d\d-\d\d (\d\d):(\d\d):(\d\d) \[")
_DAY = 24 * 60 * 60
_LOADED = re.compile(r"Directly load (AOT compilation from path|the compiled graph)")
_COMPILING = re.compile(r"Starting torch\.compile|Compiling a graph for|Cache the graph")
_WARMING = re.compile(r"Warming up model for the compilation")
_SAVED = re.compile(r"saved AOT compiled function to")
_REFUSED = re.compile(r"Compiling model again due to a load failure from \S+, reason: (.*)")
_SECONDS = re.compile(r"torch\.compile (?:takes|took|and initial profiling/warmup run together took) ([\d.]+) s")
# A directory of one hash, below which each rank has its own.
_PLACE = re.compile(r"/\S*/torch_compile_cache/(?:torch_aot_compile/)?[0-9a-f]{8,64}(?=/|\s|$)")


@dataclass(frozen=True)
class Compiled:
    """How many times a start `compiled` (of the process that did most), the `seconds` that it took (0 where the log does not
    tell), how many graphs were `loaded` from a cache, and why a cache that was there was `refused`, "" where none was."""

    compiled: int
    seconds: float
    loaded: int
    refused: str = ""


@dataclass
class _Process:
    """What one process has logged so far. `loading`: whether its next time is that of a load, None before it has begun either."""

    compiled: int = 0
    seconds: float = 0
    loaded: int = 0
    refused: list[str] = field(default_factory=list)
    loading: bool | None = None
    warming: int | None = None

    def read(self, line: str) -> None:
        """Take in a line."""
        if _LOADED.search(line):
            self.loaded += 1
            self.loading = self.loading is not False
        elif why := _REFUSED.search(line):
            self.refused.append(why[1].strip() or "no reason given")
        elif _COMPILING.search(line):
            self.loading = False
        elif _WARMING.search(line):
            self.warming = _clock(line)
        elif _SAVED.search(line) and self.loading is None:
            now = _clock(line)
            self._add(0 if now is None or self.warming is None else (now - self.warming) % _DAY)
        elif took := _SECONDS.search(line):
            if self.loading is False:
                self._add(float(took[1]))
            self.loading = None

    def _add(self, seconds: float) -> None:
        self.compiled += 1
        self.seconds += seconds


def compiled(lines: Sequence[str]) -> Compiled | None:
    """What a start has compiled, by its log; None of one that has nothing to say, as of an eager engine."""
    processes: dict[str, _Process] = {}
    for line in lines:
        found = _PROCESS.match(line)
        processes.setdefault(found[1] if found else "", _Process()).read(line)
    told = [each for each in processes.values() if each.compiled or each.loaded]
    if not told:
        return None
    return Compiled(
        max(each.compiled for each in told),
        round(max(each.seconds for each in told), 2),
        max(each.loaded for each in told),
        next((why for each in processes.values() for why in each.refused), ""),
    )


def places(lines: Sequence[str]) -> list[str]:
    """The directories of compiled graphs that a start has written or read, in the order in which it names them."""
    return list(dict.fromkeys(found for line in lines for found in _PLACE.findall(line)))


def _clock(line: str) -> int | None:
    """Seconds since midnight, by the line itself."""
    found = _CLOCK.search(line)
    return None if found is None else int(found[1]) * 3600 + int(found[2]) * 60 + int(found[3])
