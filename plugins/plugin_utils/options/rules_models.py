"""Rules on media, guided decoding and traces."""

from __future__ import annotations

from typing import Any

from ansible_collections.baremetal.vllm.plugins.plugin_utils.options.rule import Rule
from ansible_collections.baremetal.vllm.plugins.plugin_utils.options.rule_forms import excludes, needs

_STRUCTURED = "config/structured_outputs.py: StructuredOutputsConfig, DecodingConfig up to 0.10.2"
_MEDIA = "config/multimodal.py: MultiModalConfig._validate_multimodal_config"


def _guided(option: str, *backends: str) -> Rule:
    reason = f"needs the backend {' or '.join(backends)}"
    more: dict[str, Any] = {"source": _STRUCTURED, "since": "0.9.0", "until": "0.10.2"}
    return needs(option, "guided-decoding-backend", *backends, reason=reason, **more)


MODELS = (
    _guided("guided-decoding-disable-any-whitespace", "xgrammar", "guidance"),
    _guided("guided-decoding-disable-additional-properties", "guidance"),
    needs(
        "collect-detailed-traces",
        "otlp-traces-endpoint",
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
        needs(
            option,
            "mm-encoder-attn-dtype",
            "fp8",
            reason="needs an encoder that attends in fp8",
            source=_MEDIA,
            since="0.21.0",
        )
        for option in ("mm-encoder-fp8-scale-path", "mm-encoder-fp8-scale-save-path")
    ),
    excludes(
        "mm-encoder-fp8-scale-save-path",
        "mm-encoder-fp8-scale-path",
        reason="saves scales that mm-encoder-fp8-scale-path has fixed",
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
    excludes(
        "language-model-only",
        "compilation-config.cudagraph_mm_encoder",
        remedy="Remove one of the two",
        source="config/vllm.py: VllmConfig.__post_init__",
        since="0.29.0",
    ),
    needs(
        "return-sampling-mask",
        "logprobs-mode",
        "processed_logprobs",
        reason="needs logprobs of what was sampled from",
        source="config/vllm.py: VllmConfig._verify_sampling_replay_config",
        since="0.28.0",
    ),
)
