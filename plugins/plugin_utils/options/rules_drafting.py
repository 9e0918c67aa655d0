"""Rules on speculative decoding: how many tokens are drafted, by what, and on which GPUs."""

from __future__ import annotations

from typing import Any

from ansible_collections.baremetal.vllm.plugins.plugin_utils.options.rule import Given, Rule
from ansible_collections.baremetal.vllm.plugins.plugin_utils.options.rule_forms import once

_SPECULATIVE = "config/speculative.py: SpeculativeConfig, config.py in 0.8.5 to 0.10.0"
# Methods that look tokens up in the prompt, and need no draft model.
_LOOKUP = ("ngram", "[ngram]", "ngram_gpu")
# Methods that draft with a model of their own.
_MODELLED = ("draft_model", "eagle", "eagle3", "medusa", "mlp_speculator", "dflash")


def _drafting(given: Given) -> bool:
    return given.has("speculative-config", "spec-method", "spec-model", "spec-tokens")


def _drafted(given: Given, key: str, option: str) -> Any:
    """One setting of speculative decoding, from the JSON or from the option that stands for it since 0.22."""
    value = given.key("speculative-config", key)
    return given.args.get(option) if value is None else value


def _looks_up(given: Given) -> bool:
    named = (_drafted(given, "method", "spec-method"), _drafted(given, "model", "spec-model"))
    return any(name in _LOOKUP for name in named)


def _wider(given: Given, low: str, high: str) -> bool:
    least, most = given.key("speculative-config", low), given.key("speculative-config", high)
    return isinstance(least, int) and isinstance(most, int) and least > most


def _draft_is_longer(given: Given) -> bool:
    draft, target = given.key("speculative-config", "max_model_len"), given.number("max-model-len")
    return isinstance(draft, int) and target is not None and draft > target > 0


def _draft_is_spread(given: Given) -> bool:
    draft = given.key("speculative-config", "draft_tensor_parallel_size")
    return isinstance(draft, int) and draft not in (1, given.count("tensor-parallel-size"))


DRAFTING = (
    *(
        once(
            option,
            f"speculative-config.{key}",
            source="engine/arg_utils.py: create_speculative_config",
            since="0.22.0",
        )
        for option, key in (
            ("spec-method", "method"),
            ("spec-model", "model"),
            ("spec-tokens", "num_speculative_tokens"),
        )
    ),
    Rule(
        at="speculative-config",
        about=("speculative-config",),
        broken=lambda given: (
            _drafted(given, "num_speculative_tokens", "spec-tokens") is not None
            and _drafted(given, "model", "spec-model") is None
            and _drafted(given, "method", "spec-method") is None
        ),
        reason="names neither a model nor a method to draft with",
        remedy="Write `model` or `method` (ngram, mtp, …) into it",
        source=_SPECULATIVE,
        since="0.11.0",
    ),
    Rule(
        at="speculative-config",
        about=("speculative-config", "spec-method"),
        broken=lambda given: (
            _drafted(given, "method", "spec-method") in _MODELLED and _drafted(given, "model", "spec-model") is None
        ),
        reason="names a method that drafts with a model of its own, and no model",
        remedy="Write `model` into it: a hub id, or a path on the host",
        source=f"{_SPECULATIVE}.__post_init__",
        since="0.11.0",
    ),
    Rule(
        at="speculative-config",
        about=("speculative-config", "spec-method"),
        broken=lambda given: _looks_up(given) and _drafted(given, "num_speculative_tokens", "spec-tokens") is None,
        reason="does not say how many tokens to draft",
        remedy="Write `num_speculative_tokens` into it",
        source=_SPECULATIVE,
    ),
    Rule(
        at="speculative-config.prompt_lookup_min",
        about=("speculative-config",),
        broken=lambda given: _looks_up(given) and _wider(given, "prompt_lookup_min", "prompt_lookup_max"),
        reason="is above prompt_lookup_max",
        remedy="Write at most prompt_lookup_max",
        source=_SPECULATIVE,
    ),
    Rule(
        at="speculative-config.tensor_parallel_size",
        about=("speculative-config",),
        broken=lambda given: given.key("speculative-config", "tensor_parallel_size") is not None,
        reason="is not the draft model's to set",
        remedy="Write `draft_tensor_parallel_size` instead",
        source=_SPECULATIVE,
        since="0.15.0",
    ),
    Rule(
        at="speculative-config.draft_tensor_parallel_size",
        about=("speculative-config",),
        broken=_draft_is_spread,
        reason="is neither 1 nor tensor-parallel-size",
        remedy="Write one of the two",
        source=_SPECULATIVE,
    ),
    Rule(
        at="speculative-config.max_model_len",
        about=("speculative-config",),
        broken=_draft_is_longer,
        reason="is above the model's own max-model-len",
        remedy="Write at most max-model-len",
        source=_SPECULATIVE,
    ),
    Rule(
        at="per-request-spec-decode-metrics",
        about=("per-request-spec-decode-metrics",),
        broken=lambda given: given.text("per-request-spec-decode-metrics") != "none" and not _drafting(given),
        reason="needs speculative decoding",
        remedy="Write speculative-config too, or remove it",
        source="config/vllm.py: VllmConfig.__post_init__",
        since="0.29.0",
    ),
)
