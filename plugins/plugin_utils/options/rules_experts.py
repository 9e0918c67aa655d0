"""Rules on expert and context parallelism, microbatches, and where workers run."""

from __future__ import annotations

from ansible_collections.baremetal.vllm.plugins.plugin_utils.options.rule import Given, Rule
from ansible_collections.baremetal.vllm.plugins.plugin_utils.options.rule_forms import at_least, excludes, needs
from ansible_collections.baremetal.vllm.plugins.plugin_utils.options.rules_parallel import (
    external,
    spread,
    within,
    world,
)

_ENGINE = "engine/arg_utils.py: create_engine_config"
_PARALLEL = "config/parallel.py: ParallelConfig, config.py in 0.8.5 to 0.10.0"


def _beyond_host(given: Given) -> bool:
    """Whether one host has fewer GPUs than vLLM would start workers on it. Ray may find them on other hosts."""
    if given.gpus is None or spread(given) or given.text("distributed-executor-backend") == "ray":
        return False
    local = "data-parallel-size-local" if given.written("data-parallel-size-local") else "data-parallel-size"
    return within(given) * given.count(local) > given.gpus


def _microbatches(given: Given) -> int:
    return 2 if given.on("enable-dbo") else given.number("ubatch-size") or 0


def _small_thresholds(given: Given) -> bool:
    thresholds = (given.number("dbo-decode-token-threshold"), given.number("dbo-prefill-token-threshold"))
    return _microbatches(given) > 1 and any(t is not None and t < _microbatches(given) for t in thresholds)


EXPERTS = (
    needs("enable-eplb", "enable-expert-parallel", source=_PARALLEL, since="0.10.0"),
    Rule(
        at="enable-eplb",
        about=("enable-eplb",),
        broken=lambda given: given.on("enable-eplb") and world(given) // given.count("pipeline-parallel-size") == 1,
        reason="needs experts on more than one GPU",
        remedy="Write a tensor-parallel-size or data-parallel-size above 1",
        source=_PARALLEL,
        since="0.10.0",
    ),
    needs(
        "eplb-config.num_redundant_experts",
        "enable-eplb",
        remedy="Write `enable-eplb: true` too, or remove it",
        source=_PARALLEL,
        since="0.10.2",
    ),
    Rule(
        at="eplb-config.communicator",
        about=("eplb-config",),
        broken=lambda given: (
            given.key("eplb-config", "communicator") in ("torch_nccl", "pynccl")
            and given.setting("eplb-config", "use_async") is True
        ),
        reason="excludes asynchronous balancing",
        remedy="Write `use_async: false` beside it, or another communicator",
        source="config/parallel.py: EPLBConfig._validate_eplb_config",
        since="0.24.0",
    ),
    needs(
        "num-redundant-experts",
        "enable-eplb",
        remedy="Write `enable-eplb: true` too, or remove it",
        source=_PARALLEL,
        until="0.10.1.1",
    ),
    Rule(
        at="decode-context-parallel-size",
        about=("decode-context-parallel-size",),
        broken=lambda given: (
            given.count("prefill-context-parallel-size") == 1
            and given.count("tensor-parallel-size") % given.count("decode-context-parallel-size") != 0
        ),
        reason="does not divide tensor-parallel-size",
        remedy="Write a divisor of tensor-parallel-size",
        source=f"{_ENGINE}; from 0.26 on {_PARALLEL}",
        since="0.10.2",
    ),
    Rule(
        at="decode-context-parallel-size",
        about=("decode-context-parallel-size",),
        broken=lambda given: (
            given.count("prefill-context-parallel-size") > 1
            and given.count("decode-context-parallel-size")
            not in (
                1,
                given.count("prefill-context-parallel-size"),
                given.count("prefill-context-parallel-size") * given.count("tensor-parallel-size"),
            )
        ),
        reason="is neither prefill-context-parallel-size nor that times tensor-parallel-size",
        remedy="Write one of the two, or 1",
        source=_PARALLEL,
        since="0.26.0",
    ),
    # Of the sizes that take GPUs, placement counts all others.
    Rule(
        at="prefill-context-parallel-size",
        about=("prefill-context-parallel-size",),
        broken=lambda given: given.count("prefill-context-parallel-size") > 1 and _beyond_host(given),
        reason="and the other parallel sizes need more GPUs than `gpus` gives",
        remedy="Raise `gpus` to the product of the parallel sizes",
        source=f"{_PARALLEL}.__post_init__",
    ),
    needs("enable-elastic-ep", "enable-eplb", source=_PARALLEL, since="0.17.0"),
    Rule(
        at="enable-elastic-ep",
        about=("enable-elastic-ep",),
        broken=lambda given: given.on("enable-elastic-ep") and given.count("pipeline-parallel-size") > 1,
        reason="excludes a pipeline-parallel-size above 1",
        remedy="Remove one of the two",
        source=_PARALLEL,
        since="0.17.0",
    ),
    at_least("elastic-ep-max-dp-size", "data-parallel-size", source=_PARALLEL, since="0.30.0"),
    Rule(
        at="enable-fault-tolerance",
        about=("enable-fault-tolerance",),
        broken=lambda given: given.on("enable-fault-tolerance") and not external(given),
        reason="needs an external load balancer",
        remedy="Write data-parallel-external-lb or data-parallel-rank too",
        source=_ENGINE,
        since="0.27.0",
    ),
    excludes(
        "ray-workers-use-nsight",
        "distributed-executor-backend",
        *("mp", "uni", "external_launcher"),
        reason="needs `distributed-executor-backend: ray`",
        remedy="Write that too, or remove it",
        source=_PARALLEL,
    ),
    *(
        needs(option, "numa-bind", source=_PARALLEL, needs=("numa-bind",), since="0.20.0")
        for option in ("numa-bind-nodes", "numa-bind-cpus")
    ),
    *(
        Rule(
            at=option,
            about=(option,),
            broken=_small_thresholds,
            reason="is below the number of microbatches",
            remedy="Write at least 2, or ubatch-size where it is larger",
            source=f"{_PARALLEL}._verify_args",
            since="0.30.0",
        )
        for option in ("dbo-decode-token-threshold", "dbo-prefill-token-threshold")
    ),
    Rule(
        at="enable-hc-sp",
        about=("enable-hc-sp",),
        broken=lambda given: (
            given.on("enable-hc-sp")
            and given.count("tensor-parallel-size") > 1
            and given.count("pipeline-parallel-size") > 1
        ),
        reason="excludes a pipeline-parallel-size above 1",
        remedy="Remove one of the two",
        source="config/model.py: ModelConfig.verify_with_parallel_config",
        since="0.32.0",
    ),
)
