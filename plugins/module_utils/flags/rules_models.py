"""Rules on what an engine does with its model: structured outputs, media, pooling, transfer and traces."""

from __future__ import annotations

from ansible_collections.baremetal.vllm.plugins.module_utils.flags.rule import Rule

_STRUCTURED = "config/structured_outputs.py: StructuredOutputsConfig, DecodingConfig up to 0.10.2"
_MEDIA = "config/multimodal.py: MultiModalConfig._validate_multimodal_config"
_PROFILER = "config/profiler.py: ProfilerConfig._validate_profiler_config"


def _needs_backend(config: str, key: str, backends: tuple[str, ...]) -> Rule:
    return Rule(
        at=f"{config}.{key}",
        about=(config,),
        broken=lambda given: given.key(config, key) is True and given.key(config, "backend") not in backends,
        reason=f"needs the backend {' or '.join(backends)}",
        remedy=f"Write `backend: {backends[0]}` beside it",
        source=_STRUCTURED,
    )


def _guided(option: str, backends: tuple[str, ...]) -> Rule:
    return Rule(
        at=option,
        about=(option,),
        broken=lambda given: given.on(option) and given.text("guided-decoding-backend") not in backends,
        reason=f"needs the backend {' or '.join(backends)}",
        remedy=f"Write `guided-decoding-backend: {backends[0]}` too",
        source=_STRUCTURED,
        since="0.9.0",
        until="0.10.2",
    )


def _of_profiler(key: str, profiler: str, since: str) -> Rule:
    return Rule(
        at=f"profiler-config.{key}",
        about=("profiler-config",),
        broken=lambda given: (
            given.key("profiler-config", key)
            not in (None, "", given.release.configs["ProfilerConfig"].fields[key].default)
            and given.key("profiler-config", "profiler") != profiler
        ),
        reason=f"is a setting of the {profiler} profiler alone",
        remedy=f"Write `profiler: {profiler}` beside it",
        source=_PROFILER,
        since=since,
    )


def _profiles_into(key: str, profiler: str, since: str) -> Rule:
    return Rule(
        at=f"profiler-config.{key}",
        about=("profiler-config",),
        broken=lambda given: (
            given.key("profiler-config", "profiler") == profiler and not given.key("profiler-config", key)
        ),
        reason=f"is missing, and the {profiler} profiler needs it",
        remedy="Write a directory that the service may write to",
        source=_PROFILER,
        since=since,
    )


def _needs_role(config: str, connector: str, role: str) -> Rule:
    return Rule(
        at=f"{config}.{role}",
        about=(config,),
        broken=lambda given: given.key(config, connector) is not None and given.key(config, role) is None,
        reason=f"is missing, and {connector} needs it",
        remedy=f"Write {role} beside it",
        source=f"config/{config[:2]}_transfer.py, config.py in 0.8.5 to 0.10.0",
    )


MODELS = (
    _needs_backend("structured-outputs-config", "disable_any_whitespace", ("xgrammar", "guidance")),
    _needs_backend("structured-outputs-config", "disable_additional_properties", ("guidance",)),
    _guided("guided-decoding-disable-any-whitespace", ("xgrammar", "guidance")),
    _guided("guided-decoding-disable-additional-properties", ("guidance",)),
    _needs_role("kv-transfer-config", "kv_connector", "kv_role"),
    _needs_role("ec-transfer-config", "ec_connector", "ec_role"),
    Rule(
        at="collect-detailed-traces",
        about=("collect-detailed-traces",),
        broken=lambda given: given.has("collect-detailed-traces") and not given.has("otlp-traces-endpoint"),
        reason="needs otlp-traces-endpoint",
        remedy="Write the collector's address as otlp-traces-endpoint",
        source="config/observability.py: ObservabilityConfig._validate_tracing_config",
        since="0.11.1",
    ),
    Rule(
        at="mm-shm-cache-max-object-size-mb",
        about=("mm-shm-cache-max-object-size-mb",),
        broken=lambda given: (
            given.text("mm-processor-cache-type") != "shm"
            and given.number("mm-shm-cache-max-object-size-mb") != given.default("mm-shm-cache-max-object-size-mb")
        ),
        reason="is a setting of the cache in shared memory alone",
        remedy="Write `mm-processor-cache-type: shm` too, or remove it",
        source=_MEDIA,
        since="0.11.1",
    ),
    *(
        Rule(
            at=option,
            about=(option,),
            broken=lambda given, option=option: given.has(option) and given.text("mm-encoder-attn-dtype") != "fp8",  # type: ignore[misc]
            reason="needs an encoder that attends in fp8",
            remedy="Write `mm-encoder-attn-dtype: fp8` too",
            source=_MEDIA,
            since="0.21.0",
        )
        for option in ("mm-encoder-fp8-scale-path", "mm-encoder-fp8-scale-save-path")
    ),
    Rule(
        at="mm-encoder-fp8-scale-save-path",
        about=("mm-encoder-fp8-scale-save-path",),
        broken=lambda given: given.has("mm-encoder-fp8-scale-path"),
        reason="saves scales that mm-encoder-fp8-scale-path has fixed",
        remedy="Keep one of the two",
        source=_MEDIA,
        since="0.21.0",
    ),
    Rule(
        at="mm-tensor-ipc",
        about=("mm-tensor-ipc",),
        broken=lambda given: (
            given.text("mm-tensor-ipc") == "torch_shm"
            and any(given.count(f"{kind}-parallel-size") > 1 for kind in ("tensor", "pipeline", "data"))
        ),
        reason="is torch_shm, which excludes every parallel size above 1",
        remedy="Remove it, or the parallel sizes",
        source="config/model.py: ModelConfig.verify_with_parallel_config",
        since="0.19.0",
    ),
    Rule(
        at="language-model-only",
        about=("language-model-only",),
        broken=lambda given: (
            given.on("language-model-only") and given.key("compilation-config", "cudagraph_mm_encoder") is True
        ),
        reason="excludes compilation-config.cudagraph_mm_encoder",
        remedy="Remove one of the two",
        source="config/vllm.py: VllmConfig.__post_init__",
        since="0.29.0",
    ),
    Rule(
        at="return-sampling-mask",
        about=("return-sampling-mask",),
        broken=lambda given: given.on("return-sampling-mask") and given.text("logprobs-mode") != "processed_logprobs",
        reason="needs logprobs of what was sampled from",
        remedy="Write `logprobs-mode: processed_logprobs` too",
        source="config/vllm.py: VllmConfig._verify_sampling_replay_config",
        since="0.28.0",
    ),
    *(
        Rule(
            at=f"pooler-config.{key}",
            about=("pooler-config",),
            broken=lambda given, key=key: (
                bool(given.key("pooler-config", "pooling_type"))  # type: ignore[misc]
                and given.key("pooler-config", key) is not None
            ),
            reason="stands beside pooling_type",
            remedy="Keep one of the two",
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
        for key in ("profiler_dir", "context", "data", "backend", "mode", "hook", "output_format", "graph_attribution")
    ),
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
