"""What an engine's log says of compiling: seconds, what was loaded from a cache, and where the caches lie. Pure.

The lines are vLLM's own. 0.32.0: `Starting torch.compile`, `torch.compile took 33.10 s in total` (vllm/compilation/monitor.py),
`Directly load AOT compilation from path …`, `Compiling model again due to a load failure from …`, `saved AOT compiled function
to …` (decorators.py), `Directly load the compiled graph(s) for compile range …`, `Compiling a graph for compile range …`, `Using
cache directory: …` (backends.py). A load is timed by the same line as a compilation: what came before says which it was. Before
AOT compilation: `torch.compile takes 33.10 s in total`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

# Each process of an engine logs its own: "(EngineCore_DP0 pid=5035) INFO …", "(Worker_TP1 pid=5036) INFO …".
_PROCESS = re.compile(r"^(?:\x1b\[[0-9;]*m)*\(([^()]*pid=\d+)\)")
_LOADED = re.compile(r"Directly load (AOT compilation from path|the compiled graph)")
_COMPILING = re.compile(r"Starting torch\.compile|Compiling a graph for|saved AOT compiled function to|Cache the graph")
_REFUSED = re.compile(r"Compiling model again due to a load failure from \S+, reason: (.*)")
_SECONDS = re.compile(r"torch\.compile (?:takes|took|and initial profiling/warmup run together took) ([\d.]+) s")
# A directory of one hash, below which each rank has its own.
_PLACE = re.compile(r"/\S*/torch_compile_cache/(?:torch_aot_compile/)?[0-9a-f]{8,64}(?=/|\s|$)")


@dataclass(frozen=True)
class Compiled:
    """`seconds` that compiling took (of the slowest process), 0 where nothing was; how many graphs were `loaded` from a cache;
    why a cache that was there was `refused`, "" where none was."""

    seconds: float
    loaded: int
    refused: str = ""

    @property
    def hit(self) -> bool:
        """Whether all came from a cache."""
        return self.loaded > 0 and self.seconds == 0


def compiled(lines: Sequence[str]) -> Compiled | None:
    """What a start has compiled, by its log; None of one that has nothing to say, as of an eager engine."""
    seconds: dict[str, float] = {}
    loaded: dict[str, int] = {}
    last: dict[str, bool] = {}
    refused = ""
    for line in lines:
        found = _PROCESS.match(line)
        process = found[1] if found else ""
        took = _SECONDS.search(line)
        if _LOADED.search(line):
            last.setdefault(process, True)
            loaded[process] = loaded.get(process, 0) + 1
        elif why := _REFUSED.search(line):
            refused = why[1].strip() or "no reason given"
        elif _COMPILING.search(line):
            last[process] = False
        elif took and not last.pop(process, True):
            seconds[process] = seconds.get(process, 0.0) + float(took[1])
    if not seconds and not loaded:
        return None
    return Compiled(round(max(seconds.values(), default=0.0), 2), max(loaded.values(), default=0), refused)


def places(lines: Sequence[str]) -> list[str]:
    """The directories of compiled graphs that a start has written or read, in the order in which it names them."""
    return list(dict.fromkeys(found for line in lines for found in _PLACE.findall(line)))
