"""Rules on the API server, its parsers and logs, and on LoRA adapters."""

from __future__ import annotations

from ansible_collections.baremetal.vllm.plugins.plugin_utils.options.rule import Given, Rule
from ansible_collections.baremetal.vllm.plugins.plugin_utils.options.rule_forms import (
    asks_for,
    at_least,
    excludes,
    needs,
)

_FRONTEND = "entrypoints/openai/cli_args.py, from 0.30 on entrypoints/common/cli_args.py: validate_parsed_serve_args"
_ENGINE = "engine/arg_utils.py: create_engine_config"
_LORA = "config/lora.py: LoRAConfig._validate_lora_config, config.py in 0.8.5 to 0.10.0"


def _drafts_beyond_batch(given: Given) -> bool:
    drafted = given.key("speculative-config", "num_speculative_tokens") or given.number("spec-tokens")
    batch, sequences = given.number("max-num-batched-tokens"), given.number("max-num-seqs")
    if not given.on("enable-lora") or not given.written("max-num-seqs") or not isinstance(drafted, int):
        return False
    return batch is not None and batch < (sequences or 0) * (drafted + 1)


SERVING = (
    asks_for(
        "enable-auto-tool-choice",
        "tool-call-parser",
        remedy="Name the parser of the model's family (hermes, llama3_json, …)",
        source=_FRONTEND,
    ),
    asks_for(
        "enable-reasoning",
        "reasoning-parser",
        remedy="Name the parser of the model's family (deepseek_r1, qwen3, …)",
        source=_FRONTEND,
    ),
    needs(
        "enable-log-outputs", "enable-log-requests", source=_FRONTEND, needs=("enable-log-requests",), since="0.11.0"
    ),
    excludes(
        "enable-per-request-metrics",
        "disable-log-stats",
        reason="needs the statistics that disable-log-stats switches off",
        remedy="Remove one of the two",
        source=_FRONTEND,
        since="0.25.0",
    ),
    Rule(
        at="sse-keep-alive-interval",
        about=("sse-keep-alive-interval",),
        broken=lambda given: given.negative("sse-keep-alive-interval"),
        reason="is negative",
        remedy="Write a number of seconds, or 0 for none",
        source=_FRONTEND,
        since="0.29.0",
    ),
    Rule(
        at="reasoning-effort-map",
        about=("reasoning-effort-map",),
        broken=lambda given: any(
            not isinstance(effort, str) for effort in given.mapping("reasoning-effort-map").values()
        ),
        reason="maps an effort to something else than text",
        remedy="Write one effort per key: {medium: low}",
        source="entrypoints/common/cli_args.py: validate_reasoning_effort_map",
        since="0.33.0",
    ),
    Rule(
        at="api-server-count",
        about=("api-server-count",),
        broken=lambda given: not given.number("api-server-count"),
        reason="leaves no API server, and every unit has an endpoint",
        remedy="Write 1 or more, or leave it out",
        source="entrypoints/cli/serve.py: ServeSubcommand.cmd runs headless below 1",
        since="0.9.1",
    ),
    needs(
        "lora-modules",
        "enable-lora",
        remedy="Write `enable-lora: true` too, or use the entry's `adapters`",
        source="v1/worker/lora_model_runner_mixin.py: add_lora",
    ),
    *(
        needs(
            option,
            "enable-lora",
            reason="has no effect without enable-lora",
            remedy="Write `enable-lora: true` too, or remove it",
            source=f"{_ENGINE} makes no LoRAConfig without it",
            warns=True,
        )
        for option in (
            "max-loras",
            "max-lora-rank",
            "max-cpu-loras",
            "lora-dtype",
            "lora-target-modules",
            "fully-sharded-loras",
            "default-mm-loras",
            "enable-tower-connector-lora",
        )
    ),
    # 0 stands for "as many as max-loras".
    at_least(
        "max-cpu-loras",
        "max-loras",
        lambda given: given.on("enable-lora"),
        remedy="Write at least max-loras, or leave it out",
        source=_LORA,
    ),
    Rule(
        at="max-num-batched-tokens",
        about=("max-num-batched-tokens",),
        broken=_drafts_beyond_batch,
        reason="is too small for max-num-seqs times the tokens drafted for each, which LoRA needs at once",
        remedy="Raise it, or lower max-num-seqs or num_speculative_tokens",
        source=_ENGINE,
        since="0.11.1",
    ),
)
