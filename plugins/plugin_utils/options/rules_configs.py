"""Rules inside of one JSON option: keys that need or exclude each other."""

from __future__ import annotations

from collections.abc import Callable

from ansible_collections.baremetal.vllm.plugins.plugin_utils.options.rule import Given, Rule
from ansible_collections.baremetal.vllm.plugins.plugin_utils.options.rule_forms import asks_for, excludes, needs

_STRUCTURED = "config/structured_outputs.py: StructuredOutputsConfig, DecodingConfig up to 0.10.2"
_PROFILER = "config/profiler.py: ProfilerConfig._validate_profiler_config"


def _needs_backend(key: str, *backends: str) -> Rule:
    config, reason = "structured-outputs-config", f"needs the backend {' or '.join(backends)}"
    return needs(f"{config}.{key}", f"{config}.backend", *backends, reason=reason, source=_STRUCTURED)


def _of_profiler(key: str, profiler: str, since: str) -> Rule:
    reason = f"is a setting of the {profiler} profiler alone"
    return needs(
        f"profiler-config.{key}", "profiler-config.profiler", profiler, reason=reason, source=_PROFILER, since=since
    )


def _profiles_into(key: str, profiler: str, since: str) -> Rule:
    return asks_for(
        "profiler-config.profiler",
        f"profiler-config.{key}",
        profiler,
        reason=f"is missing, and the {profiler} profiler needs it",
        remedy="Write a directory that the service may write to",
        source=_PROFILER,
        since=since,
    )


def _needs_role(config: str, connector: str, role: str) -> Rule:
    source = f"config/{config[:2]}_transfer.py, config.py in 0.8.5 to 0.10.0"
    return asks_for(f"{config}.{connector}", f"{config}.{role}", remedy=f"Write {role} beside it", source=source)


def _engram(key: str, broken: Callable[[Given], bool], reason: str, remedy: str, since: str) -> Rule:
    return Rule(
        at=f"engram-config.{key}",
        about=("engram-config",),
        broken=lambda given: given.key("engram-config", key) is True and broken(given),
        reason=reason,
        remedy=remedy,
        source="config/engram.py: EngramConfig._validate_shared_memory",
        since=since,
    )


CONFIGS = (
    _needs_backend("disable_any_whitespace", "xgrammar", "guidance"),
    _needs_backend("disable_additional_properties", "guidance"),
    _needs_role("kv-transfer-config", "kv_connector", "kv_role"),
    _needs_role("ec-transfer-config", "ec_connector", "ec_role"),
    # A choice of the dataclass itself from 0.9.0 on.
    Rule(
        at="kv-transfer-config.kv_role",
        about=("kv-transfer-config",),
        broken=lambda given: (
            given.key("kv-transfer-config", "kv_role") not in (None, "kv_producer", "kv_consumer", "kv_both")
        ),
        reason="is no role",
        remedy="Write kv_producer, kv_consumer or kv_both",
        source="config.py: KVTransferConfig.model_post_init",
        until="0.8.5.post1",
    ),
    _engram(
        "dp_shared_memory",
        lambda given: given.key("engram-config", "cpu_offload") is False,
        "needs cpu_offload",
        "Remove `cpu_offload: false` beside it",
        "0.30.0",
    ),
    _engram(
        "use_thp",
        lambda given: (
            given.key("engram-config", "cpu_offload") is False or given.key("engram-config", "dp_shared_memory") is True
        ),
        "needs cpu_offload, and excludes dp_shared_memory",
        "Remove `cpu_offload: false` or `dp_shared_memory: true` beside it",
        "0.31.0",
    ),
    *(
        excludes(
            f"pooler-config.{key}",
            "pooler-config.pooling_type",
            reason="stands beside pooling_type",
            source="config/pooler.py: PoolerConfig.__post_init__",
            since="0.14.0",
        )
        for key in ("seq_pooling_type", "tok_pooling_type")
    ),
    Rule(
        at="pooler-config.logit_sigma",
        about=("pooler-config",),
        broken=lambda given: given.key("pooler-config", "logit_sigma") == 0,
        reason="is 0, and logits are divided by it",
        remedy="Write another number",
        source="config/pooler.py: PoolerConfig.__post_init__",
        since="0.20.0",
    ),
    Rule(
        at="ec-manager-config.manager_config",
        about=("ec-manager-config",),
        broken=lambda given: (
            bool(given.key("ec-manager-config", "manager_config"))
            and given.key("ec-manager-config", "encoder_cache_manager_cls") is None
        ),
        reason="needs encoder_cache_manager_cls",
        remedy="Write the manager's class beside it",
        source="config/ec_manager_config.py: EncoderCacheManagerConfig",
        since="0.28.0",
    ),
    _profiles_into("torch_profiler_dir", "torch", "0.13.0"),
    _profiles_into("proton_profiler_dir", "proton", "0.28.0"),
    _of_profiler("torch_profiler_dir", "torch", "0.13.0"),
    _of_profiler("capture_torch_profiler", "torch", "0.26.0"),
    _of_profiler("torch_profiler_activities", "torch", "0.31.0"),
    *(
        _of_profiler(f"proton_{key}", "proton", "0.28.0")
        for key in ("profiler_dir", "context", "data", "backend", "mode", "hook", "output_format")
    ),
    _of_profiler("proton_graph_attribution", "proton", "0.30.0"),
    Rule(
        at="quantization-config.targets",
        about=("quantization-config",),
        broken=lambda given: (
            given.key("quantization-config", "targets") is not None
            and any(given.key("quantization-config", key) is not None for key in ("linear", "moe"))
        ),
        reason="excludes linear and moe",
        remedy="Keep `targets`, or the other two",
        source="config/quantization.py: QuantizationConfigArgs._validate_targets_exclusivity",
        since="0.30.0",
    ),
)
