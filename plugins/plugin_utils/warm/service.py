"""What of a planned service compiled code depends on: everything it is started with, less what is known to matter to none.

What is not known counts: a cache that is missed costs minutes once, and one that is taken for another's would be looked for by
vLLM under a hash that it does not have. Left out are options and variables that vLLM 0.32.0 leaves out of its own hashes
(`ignored_factors` of `compile_factors` in vllm/envs.py and of ModelConfig, CacheConfig and ParallelConfig in vllm/config;
LoadConfig, ObservabilityConfig and StructuredOutputsConfig, which have no factors), and its front end's
(`FrontendArgs` in vllm/entrypoints/openai/cli_args.py), which no model sees.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from ansible_collections.baremetal.vllm.plugins.module_utils.warm.cache import CACHES
from ansible_collections.baremetal.vllm.plugins.module_utils.warm.key import CompiledFor
from ansible_collections.baremetal.vllm.plugins.plugin_utils.planned.service import Service

_FRONT_END = {
    *(
        "host",
        "port",
        "uds",
        "api-key",
        "api-server-count",
        "served-model-name",
        "root-path",
        "middleware",
        "response-role",
    ),
    *("ssl-keyfile", "ssl-certfile", "ssl-ca-certs", "ssl-cert-reqs", "ssl-ciphers", "enable-ssl-refresh"),
    *("allow-credentials", "allowed-origins", "allowed-methods", "allowed-headers"),
    *("uvicorn-log-level", "disable-uvicorn-access-log", "disable-access-log-for-endpoints", "log-config-file"),
    *(
        "max-log-len",
        "enable-log-requests",
        "enable-log-outputs",
        "enable-log-deltas",
        "disable-log-stats",
        "log-error-stack",
    ),
    *("chat-template", "chat-template-content-format", "default-chat-template-kwargs", "trust-request-chat-template"),
    *("enable-auto-tool-choice", "tool-call-parser", "tool-parser-plugin", "tool-server", "lora-modules"),
    *("return-tokens-as-token-ids", "enable-prompt-tokens-details", "enable-request-id-headers", "shutdown-timeout"),
    *(
        "enable-server-load-tracking",
        "enable-force-include-usage",
        "enable-tokenizer-info-endpoint",
        "disable-fastapi-docs",
    ),
    *("h11-max-incomplete-event-size", "h11-max-header-count", "enable-offline-docs"),
}
_OF_NO_FACTOR = {
    *("gpu-memory-utilization", "kv-cache-memory-bytes", "num-gpu-blocks-override"),
    *("enable-prefix-caching", "prefix-caching-hash-algo"),
    *("seed", "tokenizer", "tokenizer-mode", "tokenizer-revision", "allowed-local-media-path", "allowed-media-domains"),
    *("load-format", "download-dir", "safetensors-load-strategy", "ignore-patterns", "use-tqdm-on-load"),
    *("otlp-traces-endpoint", "collect-detailed-traces", "show-hidden-metrics-for-version"),
    *("reasoning-parser", "reasoning-parser-plugin"),
    # Of their ranks each has a directory of its own in a cache: ranks count, addresses do not.
    *("data-parallel-address", "data-parallel-rpc-port", "master-addr", "master-port"),
}
OPTIONS = frozenset(_FRONT_END | _OF_NO_FACTOR)
VARIABLES = frozenset(
    {
        # Where things lie; a service whose caches lie elsewhere has none that can be brought.
        *("HOME", "PATH", "XDG_CACHE_HOME", "VLLM_CACHE_ROOT", "TRITON_CACHE_DIR", "TORCHINDUCTOR_CACHE_DIR"),
        *(
            "VLLM_CONFIG_ROOT",
            "VLLM_ASSETS_CACHE",
            "VLLM_MEDIA_CACHE",
            "VLLM_RPC_BASE_PATH",
            "VLLM_TUNED_CONFIG_FOLDER",
        ),
        # Which GPUs of the host, and from where they are reached.
        *("CUDA_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES", "VLLM_HOST_IP", "VLLM_PORT", "VLLM_DP_MASTER_IP"),
        *("VLLM_DP_MASTER_PORT", "VLLM_NIXL_SIDE_CHANNEL_HOST", "HF_HUB_OFFLINE", "VLLM_API_KEY", "MAX_JOBS"),
        *("VLLM_NO_USAGE_STATS", "VLLM_DO_NOT_TRACK", "VLLM_USAGE_STATS_SERVER", "VLLM_SERVER_DEV_MODE", "NO_COLOR"),
        *("VLLM_LOG_STATS_INTERVAL", "VLLM_DEBUG_LOG_API_SERVER_RESPONSE", "VLLM_KEEP_ALIVE_ON_ENGINE_DEATH"),
        *("VLLM_HTTP_TIMEOUT_KEEP_ALIVE", "VLLM_EXECUTE_MODEL_TIMEOUT_SECONDS", "VLLM_IMAGE_FETCH_TIMEOUT"),
        *("VLLM_VIDEO_FETCH_TIMEOUT", "VLLM_AUDIO_FETCH_TIMEOUT", "VLLM_CPU_KVCACHE_SPACE", "VLLM_FORCE_AOT_LOAD"),
        "VLLM_ENABLE_STARTUP_PLAN",
    }
)
# Groups of variables; NCCL and Gloo carry tensors, and compile nothing.
PREFIXES = ("NCCL_", "GLOO_", "VLLM_LOGGING_", "S3_", "AWS_")
# Where a unit's caches lie, by the variables that say so.
_PLACES = {
    "HOME": str(CACHES),
    "XDG_CACHE_HOME": str(CACHES),
    "VLLM_CACHE_ROOT": f"{CACHES}/vllm",
    "TRITON_CACHE_DIR": f"{CACHES}/triton",
    "TORCHINDUCTOR_CACHE_DIR": f"{CACHES}/torchinductor",
}


def compiled_for(service: Service) -> CompiledFor | None:
    """What the compiled code of a service is for; None of one that has nothing to give or to take: on a CPU nothing is compiled
    without torch.compile, and caches that are turned off or lie elsewhere are their operator's."""
    options = dict(_options(service.argv))
    variables = service.environment
    elsewhere = any(variables.get(name) != place for name, place in _PLACES.items())
    off = variables.get("VLLM_DISABLE_COMPILE_CACHE", "0") != "0" or variables.get("TORCH_COMPILE_DISABLE", "0") != "0"
    if elsewhere or off or (service.accelerator == "cpu" and "enforce-eager" in options):
        return None
    return CompiledFor(
        release=service.release,
        accelerator=service.accelerator,
        weights=service.weights,
        revision=service.revision,
        options={name: words for name, words in options.items() if not _matters_to_none(name)},
        environment=_environment(variables),
    )


def _matters_to_none(option: str) -> bool:
    return option in OPTIONS or option.removeprefix("no-") in OPTIONS


def _environment(variables: Mapping[str, str]) -> dict[str, str]:
    return {
        name: value
        for name, value in sorted(variables.items())
        if name not in VARIABLES and not name.startswith(PREFIXES)
    }


def _options(argv: Sequence[str]) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Each option of a `vllm serve` as the plan writes it, with its words, in alphabetical order; of one that comes several times
    all of them."""
    found: dict[str, list[str]] = {}
    words: list[str] | None = None
    for word in argv:
        if word.startswith("--"):
            name, equals, value = word[2:].partition("=")
            words = found.setdefault(name, [])
            words += [value] if equals else []
        elif words is not None:
            words.append(word)
    for name in sorted(found):
        yield name, tuple(found[name])
