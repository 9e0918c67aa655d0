"""Rules on batches, CUDA graphs, caches, offloading and backends."""

from __future__ import annotations

from ansible_collections.baremetal.vllm.plugins.plugin_utils.options.rule import Given, Rule
from ansible_collections.baremetal.vllm.plugins.plugin_utils.options.rule_forms import at_least, at_most, needs, once

_SCHEDULER = "config/scheduler.py: SchedulerConfig.verify_max_model_len, config.py in 0.8.5 to 0.10.0"
_ENGINE = "engine/arg_utils.py: create_engine_config"
_VLLM = "config/vllm.py: VllmConfig"


def _positive(key: str, since: str) -> Rule:
    return Rule(
        at=f"compilation-config.{key}",
        about=("compilation-config",),
        broken=lambda given: any(item < 1 for item in given.key("compilation-config", key) or []),
        reason="holds a number below 1",
        remedy="Write numbers of 1 or more",
        source="config/compilation.py: CompilationConfig.__post_init__",
        since=since,
    )


def _is_not_largest(given: Given) -> bool:
    sizes, largest = given.items("cudagraph-capture-sizes"), given.number("max-cudagraph-capture-size")
    return largest is not None and all(isinstance(size, int) for size in sizes) and max(sizes) != largest


def _names_no_operation(given: Given) -> bool:
    operations = given.key("compilation-config", "custom_ops") or []
    return any(op not in ("all", "none") and (len(op) < 2 or op[0] not in "+-") for op in operations)


SCHEDULING = (
    Rule(
        at="max-num-batched-tokens",
        about=("max-num-batched-tokens",),
        broken=lambda given: (
            given.off("enable-chunked-prefill") and given.above("max-model-len", "max-num-batched-tokens")
        ),
        reason="is below max-model-len, and without chunked prefill a prompt must fit into one batch",
        remedy="Write at least max-model-len, or remove `enable-chunked-prefill: false`",
        source=_SCHEDULER,
    ),
    at_least(
        "max-num-batched-tokens",
        "max-num-seqs",
        lambda given: given.written("max-num-seqs"),
        reason="is below max-num-seqs, and each sequence needs a token of every batch",
        source=_SCHEDULER,
    ),
    at_most(
        "max-num-active-seqs",
        "max-num-seqs",
        lambda given: given.written("max-num-seqs"),
        source=_SCHEDULER,
        since="0.31.0",
    ),
    at_most("long-prefill-token-threshold", "max-model-len", source=_SCHEDULER, since="0.27.0"),
    Rule(
        at="max-num-partial-prefills",
        about=("max-num-partial-prefills",),
        broken=lambda given: given.off("enable-chunked-prefill") and given.count("max-num-partial-prefills") > 1,
        reason="is above 1, which needs chunked prefill",
        remedy="Remove `enable-chunked-prefill: false`, or write 1",
        source=_SCHEDULER,
        until="0.26.9999",
    ),
    at_most("max-long-partial-prefills", "max-num-partial-prefills", source=_SCHEDULER, until="0.26.9999"),
    Rule(
        at="num-scheduler-steps",
        about=("num-scheduler-steps",),
        broken=lambda given: given.count("num-scheduler-steps") > 1 and given.has("speculative-config"),
        reason="is above 1, which excludes speculative decoding",
        remedy="Remove one of the two",
        source=_ENGINE,
        until="0.10.0",
    ),
    once("cudagraph-capture-sizes", "compilation-config.cudagraph_capture_sizes", source=_ENGINE, since="0.11.1"),
    once("cuda-graph-sizes", "compilation-config.cudagraph_capture_sizes", source=_ENGINE, since="0.11.1"),
    once("max-cudagraph-capture-size", "compilation-config.max_cudagraph_capture_size", source=_ENGINE, since="0.11.1"),
    once("attention-backend", "attention-config.backend", source=_ENGINE, since="0.13.0"),
    once("enable-flashinfer-autotune", "kernel-config.enable_flashinfer_autotune", source=_ENGINE, since="0.16.0"),
    Rule(
        at="max-cudagraph-capture-size",
        about=("max-cudagraph-capture-size",),
        broken=lambda given: (
            given.has("cudagraph-capture-sizes") and not given.on("enforce-eager") and _is_not_largest(given)
        ),
        reason="is not the largest of cudagraph-capture-sizes",
        remedy="Remove one of the two",
        source=f"{_VLLM}._set_cudagraph_sizes",
        since="0.11.1",
    ),
    Rule(
        at="compilation-config.custom_ops",
        about=("compilation-config",),
        broken=_names_no_operation,
        reason="holds an item that neither switches an operation on nor off",
        remedy="Write all, none, +operation or -operation",
        source="config/compilation.py: CompilationConfig.__post_init__",
        since="0.11.0",
    ),
    _positive("decoder_replay_cudagraph_capture_sizes", "0.32.0"),
    _positive("encoder_cudagraph_token_budgets", "0.22.0"),
    Rule(
        at="mamba-block-size",
        about=("mamba-block-size",),
        broken=lambda given: (
            given.off("enable-prefix-caching") and given.number("mamba-block-size") != given.number("max-model-len")
        ),
        reason="needs prefix caching",
        remedy="Remove it, or `enable-prefix-caching: false`",
        source=f"{_VLLM}.validate_mamba_block_size",
        since="0.11.1",
    ),
    needs(
        "enable-mamba-cache-stochastic-rounding",
        "mamba-ssm-cache-dtype",
        "float16",
        reason="needs an SSM cache of float16",
        source=f"{_VLLM}.__post_init__",
        since="0.20.0",
    ),
    Rule(
        at="mamba-ssu-algorithm",
        about=("mamba-ssu-algorithm",),
        broken=lambda given: (given.text("mamba-backend") or "").lower() != "flashinfer",
        reason="is a choice of the FlashInfer backend alone",
        remedy="Write `mamba-backend: flashinfer` too",
        source="config/mamba.py: MambaConfig.validate_ssu_algorithm",
        needs=("mamba-backend",),
        since="0.27.0",
    ),
    at_most(
        "offload-num-in-group",
        "offload-group-size",
        source="config/offload.py: OffloadConfig.validate_offload_config",
        since="0.17.0",
    ),
    Rule(
        at="offload-prefetch-step",
        about=("offload-prefetch-step",),
        broken=lambda given: bool(given.number("offload-group-size")) and given.number("offload-prefetch-step") == 0,
        reason="is 0, and offloading with offload-group-size prefetches at least one step ahead",
        remedy="Write 1 or more",
        source="config/offload.py: OffloadConfig.validate_offload_config",
        since="0.17.0",
    ),
)
