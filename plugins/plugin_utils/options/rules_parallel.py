"""Rules on data parallelism, and on engines that span nodes."""

from __future__ import annotations

from ansible_collections.baremetal.vllm.plugins.plugin_utils.options.rule import Given, Rule
from ansible_collections.baremetal.vllm.plugins.plugin_utils.options.rule_forms import at_most, excludes

_ENGINE = "engine/arg_utils.py: create_engine_config"
_PARALLEL = "config/parallel.py: ParallelConfig, config.py in 0.8.5 to 0.10.0"
_SERVE = "entrypoints/cli/serve.py: ServeSubcommand.cmd"


def within(given: Given) -> int:
    """Processes of one data-parallel rank."""
    return (
        given.count("tensor-parallel-size")
        * given.count("pipeline-parallel-size")
        * given.count("prefill-context-parallel-size")
    )


def world(given: Given) -> int:
    """Processes of all ranks."""
    return within(given) * given.count("data-parallel-size")


def external(given: Given) -> bool:
    """Whether something outside of vLLM balances the load over the ranks."""
    return given.on("data-parallel-external-lb") or given.written("data-parallel-rank")


def spread(given: Given) -> bool:
    """Whether one engine spans several nodes."""
    return given.count("nnodes") > 1


def _rank_is_known(given: Given) -> bool:
    return given.written("data-parallel-rank") or (spread(given) and given.count("data-parallel-size") > 1)


PARALLEL = (
    at_most("data-parallel-size-local", "data-parallel-size", source=_PARALLEL, since="0.9.0"),
    Rule(
        at="data-parallel-rank",
        about=("data-parallel-rank",),
        broken=lambda given: (
            given.count("data-parallel-size") > 1
            and (
                given.negative("data-parallel-rank")
                or (given.number("data-parallel-rank") or 0) >= given.count("data-parallel-size")
            )
        ),
        reason="is not below data-parallel-size",
        remedy="Write a rank from 0 to data-parallel-size - 1",
        source=_PARALLEL,
        since="0.9.2",
    ),
    Rule(
        at="data-parallel-external-lb",
        about=("data-parallel-external-lb",),
        broken=lambda given: given.on("data-parallel-external-lb") and given.count("data-parallel-size") == 1,
        reason="needs a data-parallel-size above 1",
        remedy="Write data-parallel-size too, or remove it",
        source=_PARALLEL,
        since="0.9.2",
    ),
    Rule(
        at="data-parallel-external-lb",
        about=("data-parallel-external-lb",),
        broken=lambda given: (
            given.on("data-parallel-external-lb")
            and given.count("data-parallel-size") > 1
            and not _rank_is_known(given)
        ),
        reason="needs to know its rank",
        remedy="Write data-parallel-rank too",
        source=_ENGINE,
        since="0.12.0",
    ),
    Rule(
        at="data-parallel-size-local",
        about=("data-parallel-size-local",),
        broken=lambda given: external(given) and given.number("data-parallel-size-local") != 1,
        reason="is not 1, and with an external load balancer each engine is one rank",
        remedy="Write 1, or leave it out",
        source=_ENGINE,
        since="0.9.2",
    ),
    Rule(
        at="data-parallel-hybrid-lb",
        about=("data-parallel-hybrid-lb",),
        broken=lambda given: (
            given.on("data-parallel-hybrid-lb")
            and not external(given)
            and not spread(given)
            and not given.has("data-parallel-size-local")
        ),
        reason="needs data-parallel-size-local",
        remedy="Write how many ranks run on this host as data-parallel-size-local",
        source=_ENGINE,
        since="0.10.0",
    ),
    excludes("data-parallel-hybrid-lb", "data-parallel-external-lb", source=_ENGINE, since="0.11.1"),
    Rule(
        at="data-parallel-start-rank",
        about=("data-parallel-start-rank",),
        broken=lambda given: external(given) and not given.on("data-parallel-hybrid-lb"),
        reason="stands for a hybrid load balancer, and data-parallel-rank for an external one",
        remedy="Keep one of the two",
        source=_SERVE,
        since="0.22.0",
    ),
    excludes(
        "nnodes",
        "data-parallel-backend",
        "ray",
        when=spread,
        reason="is above 1, which excludes `data-parallel-backend: ray`",
        remedy="Write `data-parallel-backend: mp`, or remove nnodes",
        source=_ENGINE,
        since="0.11.1",
    ),
    excludes(
        "nnodes",
        "distributed-executor-backend",
        "ray",
        when=spread,
        reason="is above 1, which excludes `distributed-executor-backend: ray`",
        remedy="Write `distributed-executor-backend: mp`, or remove nnodes",
        source=_PARALLEL,
        since="0.11.1",
    ),
    Rule(
        at="nnodes",
        about=("nnodes",),
        broken=lambda given: spread(given) and world(given) % given.count("nnodes") != 0,
        reason="does not divide the product of the parallel sizes",
        remedy="Write parallel sizes whose product is a multiple of it",
        source=_ENGINE,
        since="0.11.1",
    ),
    Rule(
        at="node-rank",
        about=("node-rank",),
        broken=lambda given: spread(given) and (given.number("node-rank") or 0) >= given.count("nnodes"),
        reason="is not below nnodes",
        remedy="Write a rank from 0 to nnodes - 1",
        source=_ENGINE,
        since="0.11.1",
    ),
    *(
        Rule(
            at=option,
            about=(option,),
            broken=lambda given, option=option: given.text(option) == "ray",  # type: ignore[misc]
            reason="is ray, which vLLM brings no more since 0.18.0: an engine without it ends at its start",
            remedy="Add it to the engine (`wheelhouse_extra_requirements: [ray]`, or your own lock), or leave the option out",
            source="setup.py: get_requirements; Requires-Dist of the wheels of 0.17.1 and 0.18.0",
            since="0.18.0",
            warns=True,
        )
        for option in ("distributed-executor-backend", "data-parallel-backend")
    ),
)
