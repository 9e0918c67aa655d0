"""What an engine compiled, as its log says it: `logs/` holds the lines of real starts."""

from __future__ import annotations

import pytest
from ansible_collections.baremetal.vllm.plugins.module_utils.warm.compiled import Compiled, compiled, places

ROOT = "/var/cache/vllm/vllm/torch_compile_cache"
AOT = f"{ROOT}/torch_aot_compile/{'ab' * 32}"


def lines(*texts: str, process: str = "EngineCore pid=7") -> list[str]:
    return [f"({process}) INFO 11-30 12:00:00 [monitor.py:70] {text}" for text in texts]


LOADED = (f"Directly load AOT compilation from path {AOT}/rank_0_0/model", "torch.compile took 0.42 s in total")
COMPILED = ("Starting torch.compile", "Dynamo bytecode transform time: 3.20 s", "torch.compile took 33.10 s in total")
REFUSED = (
    f"Compiling model again due to a load failure from {AOT}/rank_0_0/model, reason: Compile cache file corrupted."
)


@pytest.mark.parametrize(
    ("log", "found"),
    [
        ([], None),
        (["WARNING Enforce eager set, disabling torch.compile"], None),
        (lines(*LOADED), Compiled(0, 0, 1)),
        (lines(*COMPILED), Compiled(1, 33.1, 0)),
        # A draft model beside the model itself.
        (lines(*LOADED, *COMPILED), Compiled(1, 33.1, 1)),
        (lines(*LOADED, *LOADED), Compiled(0, 0, 2)),
        (lines(*COMPILED, *COMPILED), Compiled(2, 66.2, 0)),
        (lines(REFUSED, *COMPILED), Compiled(1, 33.1, 0, "Compile cache file corrupted.")),
        # A graph that was found does not make up for Dynamo's work.
        (
            lines(
                "Starting torch.compile", "Directly load the compiled graph(s) for compile range (1, 8) from the cache"
            )
            + lines("torch.compile took 5.00 s in total"),
            Compiled(1, 5, 1),
        ),
        # vLLM 0.11, before AOT compilation.
        (
            lines("Directly load the compiled graph(s) for dynamic shape from the cache, took 1.0 s")
            + lines("torch.compile takes 4.10 s in total"),
            Compiled(0, 0, 1),
        ),
        (
            lines("Compiling a graph for dynamic shape takes 20.00 s", "torch.compile takes 24.00 s in total"),
            Compiled(1, 24, 0),
        ),
    ],
)
def test_what_was_compiled(log: list[str], found: Compiled | None) -> None:
    assert compiled(log) == found


def test_processes_compile_at_once_and_the_slowest_counts() -> None:
    workers = [lines(*texts, process=f"Worker_TP{n} pid={n}") for n, texts in enumerate((COMPILED, LOADED, COMPILED))]
    assert compiled(workers[0] + workers[1] + workers[2]) == Compiled(1, 33.1, 1)
    # Line by line in turn.
    assert compiled([line for several in zip(workers[0], workers[2]) for line in several]) == Compiled(1, 33.1, 0)
    hit = lines(*LOADED, process="Worker_TP0 pid=1") + lines(*LOADED, process="Worker_TP1 pid=2")
    assert compiled([hit[0], hit[2], hit[1], hit[3]]) == Compiled(0, 0, 1)


WARMING = "Warming up model for the compilation..."
SAVED = f"[backbone] saved AOT compiled function to {AOT}/rank_0_0/model"


@pytest.mark.parametrize(
    ("log", "found"),
    [
        (
            "{w} INFO 11-30 13:20:05 [x.py:87] {warming}\n{w} INFO 11-30 13:22:55 [x.py:743] {saved}",
            Compiled(1, 170, 0),
        ),
        ("{w} INFO 12-31 23:59:30 [x.py:87] {warming}\n{w} INFO 01-01 00:00:10 [x.py:743] {saved}", Compiled(1, 40, 0)),
        ("{w} INFO {warming}\n{w} INFO {saved}", Compiled(1, 0, 0)),
        ("{w} INFO 11-30 13:20:05 [x.py:87] {warming}\n{w} INFO 11-30 13:20:06 [x.py:320] {loaded}", Compiled(0, 0, 1)),
    ],
    ids=["by the clock", "over midnight", "without a clock", "loaded"],
)
def test_a_cpu_is_timed_by_the_clock(log: str, found: Compiled) -> None:
    text = log.format(w="(Worker pid=26191)", warming=WARMING, saved=SAVED, loaded=LOADED[0])
    assert compiled(text.splitlines()) == found


@pytest.mark.parametrize(
    ("line", "found"),
    [
        (f"saved AOT compiled function to {AOT}/rank_0_0/model", [AOT]),
        (
            f"Using cache directory: {ROOT}/0123456789/rank_0_0/backbone for vLLM's torch.compile",
            [f"{ROOT}/0123456789"],
        ),
        (f"saved AOT compiled function to {ROOT}/../../../etc/x", []),
        ("nothing", []),
    ],
)
def test_where_its_graphs_lie(line: str, found: list[str]) -> None:
    assert places(lines(line, line)) == found
