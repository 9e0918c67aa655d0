"""Old args and what they become: one case at least for every translation, newer and older."""

from __future__ import annotations

import json
from typing import Any

import pytest
from ansible_collections.baremetal.vllm.plugins.plugin_utils.migration.move import move, move_entry
from ansible_collections.baremetal.vllm.plugins.plugin_utils.options.change import OptionChange
from ansible_collections.baremetal.vllm.plugins.plugin_utils.options.extras import Extras

YARN = {"rope_type": "yarn", "factor": 4.0}
# args, the release moved to, new args
FORWARD: list[tuple[dict[str, Any], str, dict[str, Any]]] = [
    # task, by value and by release
    ({"task": "auto"}, "0.33.0", {}),
    ({"task": "generate"}, "0.33.0", {"runner": "generate"}),
    ({"task": "transcription"}, "0.33.0", {"runner": "generate"}),
    ({"task": "embed"}, "0.33.0", {"runner": "pooling", "convert": "embed"}),
    ({"task": "embedding"}, "0.13.0", {"runner": "pooling", "convert": "embed"}),
    ({"task": "classify"}, "0.33.0", {"runner": "pooling", "convert": "classify"}),
    ({"task": "score"}, "0.33.0", {"runner": "pooling"}),
    ({"task": "reward"}, "0.33.0", {"runner": "pooling", "convert": "embed"}),
    ({"task": "reward"}, "0.14.1", {"runner": "pooling", "convert": "reward"}),
    ({"task": "draft"}, "0.33.0", {"runner": "draft"}),
    ({"task": "embed"}, "0.12.0", {"task": "embed"}),
    ({"convert": "reward"}, "0.16.0", {"convert": "embed"}),
    ({"convert": "mm_encoder_only"}, "0.16.0", {"mm-encoder-only": True}),
    # seven old options, three for n-grams, and the samplers': one JSON
    (
        {
            "speculative-model": "org/draft",
            "speculative-model-quantization": "awq",
            "num-speculative-tokens": 5,
            "speculative-draft-tensor-parallel-size": 1,
            "speculative-max-model-len": 2048,
            "speculative-disable-by-batch-size": 8,
            "speculative-disable-mqa-scorer": True,
            "spec-decoding-acceptance-method": "typical_acceptance_sampler",
            "typical-acceptance-sampler-posterior-threshold": 0.09,
            "typical-acceptance-sampler-posterior-alpha": 0.3,
            "disable-logprobs-during-spec-decoding": False,
        },
        "0.9.2",
        {
            "speculative-config": {
                "model": "org/draft",
                "quantization": "awq",
                "num_speculative_tokens": 5,
                "draft_tensor_parallel_size": 1,
                "max_model_len": 2048,
                "disable_by_batch_size": 8,
                "disable_mqa_scorer": True,
                "acceptance_method": "typical_acceptance_sampler",
                "posterior_threshold": 0.09,
                "posterior_alpha": 0.3,
                "disable_logprobs": False,
            }
        },
    ),
    (
        {"speculative-model": "[ngram]", "num-speculative-tokens": 5, "ngram-prompt-lookup-max": 4, "ngram-prompt-lookup-min": 2},
        "0.33.0",
        {"speculative-config": {"method": "ngram", "num_speculative_tokens": 5, "prompt_lookup_max": 4, "prompt_lookup_min": 2}},
    ),
    ({"spec-decoding-acceptance-method": "rejection_sampler"}, "0.33.0", {}),
    (
        {"speculative-config": '{"model": "a/b", "num_speculative_tokens": 3, "disable_by_batch_size": 4}'},
        "0.17.0",
        {"speculative-config": {"model": "a/b", "num_speculative_tokens": 3}},
    ),
    (
        {"speculative-config": {"num_speculative_tokens": 3, "method": "eagle3", "model": "a/b", "rejection_sample_method": "probabilistic"}},
        "0.33.0",
        {
            "speculative-config": {
                "num_speculative_tokens": 3,
                "method": "eagle3",
                "model": "a/b",
                "rejection_sample_method": "standard",
                "draft_sample_method": "probabilistic",
            }
        },
    ),
    # structured outputs
    (
        {"guided-decoding-backend": "xgrammar", "guided-decoding-disable-any-whitespace": True},
        "0.32.0",
        {"structured-outputs-config": {"backend": "xgrammar", "disable_any_whitespace": True}},
    ),
    (
        {"guided-decoding-backend": "guidance", "guided-decoding-disable-additional-properties": True},
        "0.12.0",
        {"structured-outputs-config": {"backend": "guidance", "disable_additional_properties": True}},
    ),
    (
        {"guided-decoding-backend": "xgrammar:disable-any-whitespace"},
        "0.33.0",
        {"structured-outputs-config": {"backend": "xgrammar", "disable_any_whitespace": True}},
    ),
    ({"guided-decoding-backend": "guidance:no-fallback"}, "0.33.0", {"structured-outputs-config": {"backend": "guidance"}}),
    ({"guided-decoding-disable-fallback": True}, "0.17.1", {"structured-outputs-config": {"disable_fallback": True}}),
    ({"guided-decoding-disable-fallback": True}, "0.18.0", {}),
    ({"guided-decoding-backend": "lm-format-enforcer"}, "0.10.1.1", {}),
    ({"guided-decoding-backend": "lm-format-enforcer"}, "0.33.0", {"structured-outputs-config": {"backend": "lm-format-enforcer"}}),
    ({"enable-reasoning": True, "reasoning-parser": "deepseek_r1"}, "0.33.0", {"reasoning-parser": "deepseek_r1"}),
    ({"reasoning-parser": "GptOss"}, "0.33.0", {"reasoning-parser": "openai_gptoss"}),
    ({"reasoning-parser": "glm4_moe"}, "0.33.0", {"reasoning-parser": "glm45"}),
    (
        {"enable-auto-tool-choice": True, "tool-call-parser": "glm4_moe"},
        "0.33.0",
        {"enable-auto-tool-choice": True, "tool-call-parser": "glm45"},
    ),
    ({"expand-tools-even-if-tool-choice-none": True}, "0.33.0", {}),
    # the model's own configuration
    ({"rope-scaling": YARN}, "0.11.1", {"hf-overrides": {"rope_scaling": YARN}}),
    ({"rope-scaling": '{"rope_type": "yarn", "factor": 4.0}'}, "0.23.0", {"hf-overrides": {"rope_scaling": YARN}}),
    ({"rope-scaling": YARN}, "0.24.0", {"hf-overrides": {"rope_parameters": YARN}}),
    ({"rope-scaling": YARN, "rope-theta": 1e6}, "0.33.0", {"hf-overrides": {"rope_parameters": {**YARN, "rope_theta": 1e6}}}),
    ({"rope-theta": 1e6, "hf-overrides": {"x": 1}}, "0.12.0", {"hf-overrides": {"x": 1, "rope_theta": 1e6}}),
    ({"rope-scaling.rope_type": "yarn", "rope-scaling.factor": 4.0}, "0.12.0", {"hf-overrides": {"rope_scaling": YARN}}),
    ({"override-pooler-config": {"pooling_type": "MEAN"}}, "0.33.0", {"pooler-config": {"pooling_type": "MEAN"}}),
    (
        {"override-pooler-config": '{"pooling_type": "LAST", "normalize": false}'},
        "0.16.0",
        {"pooler-config": {"pooling_type": "LAST", "use_activation": False}},
    ),
    ({"pooler-config": {"softmax": 1}}, "0.33.0", {"pooler-config": {"use_activation": True}}),
    ({"pooler-config": {"logit_bias": 0.5, "logit_scale": 2.0}}, "0.23.0", {"pooler-config": {"logit_mean": 0.5, "logit_sigma": 0.5}}),
    ({"tokenizer-mode": "slow"}, "0.33.0", {"tokenizer-mode": "hf"}),
    ({"tokenizer-mode": "custom"}, "0.33.0", {}),
    ({"quantization": "nvfp4"}, "0.9.0", {"quantization": "modelopt_fp4"}),
    ({"quantization": "auto-round"}, "0.33.0", {"quantization": "inc"}),
    ({"quantization": "ptpc_fp8"}, "0.20.0", {"quantization": "fp8"}),
    ({"quantization": "ptpc_fp8"}, "0.24.0", {"quantization": "fp8_per_channel"}),
    ({"quantization": "bitsandbytes", "load-format": "bitsandbytes"}, "0.28.0", {}),
    ({"quantization": "gguf", "load-format": "gguf"}, "0.24.0", {}),
    ({"quantization": "awq"}, "0.33.0", {"quantization": "awq"}),
    # a word after a dot is what vLLM makes of it, before anything is asked of it
    ({"compilation-config.level": "3"}, "0.33.0", {"compilation-config": {"mode": 3}}),
    ({"compilation-config": {"level": "3"}}, "0.33.0", {"compilation-config": {"mode": 3}}),
    ({"compilation-config": {"full_cuda_graph": "true"}}, "0.33.0", {"compilation-config": {"cudagraph_mode": "FULL"}}),
    ({"compilation-config.use_inductor": "false"}, "0.33.0", {"compilation-config": {"backend": "eager"}}),
    ({"compilation-config.full_cuda_graph": "True"}, "0.33.0", {"compilation-config": {"cudagraph_mode": "FULL"}}),
    ({"compilation-config.cudagraph_capture_sizes": "[1, 2]"}, "0.33.0", {"compilation-config.cudagraph_capture_sizes": [1, 2]}),
    ({"limit-mm-per-prompt.image": "4"}, "0.33.0", {"limit-mm-per-prompt.image": 4}),
    ({"speculative-config.max_model_len": "4k"}, "0.33.0", {"speculative-config.max_model_len": 4000}),
    ({"rope-scaling.rope_type": "yarn", "rope-scaling.factor": "4.0"}, "0.12.0", {"hf-overrides": {"rope_scaling": YARN}}),
    ({"hf-overrides.name": "4k"}, "0.33.0", {"hf-overrides.name": "4k"}),
    ({"structured-outputs-config.reasoning_parser": "3"}, "0.33.0", {"structured-outputs-config.reasoning_parser": "3"}),
    # what only the V0 engine had, or nobody reads
    ({"device": "cuda"}, "0.33.0", {}),
    ({"swap-space": 4}, "0.17.1", {"swap-space": 4}),
    ({"swap-space": 4, "preemption-mode": "swap", "scheduler-delay-factor": 0.5}, "0.18.0", {}),
    ({"num-scheduler-steps": 8, "multi-step-stream-outputs": False}, "0.10.1", {}),
    ({"use-v2-block-manager": True, "disable-async-output-proc": True}, "0.33.0", {}),
    ({"max-num-partial-prefills": 2, "max-long-partial-prefills": 1}, "0.27.0", {}),
    ({"num-lookahead-slots": 4}, "0.12.0", {}),
    ({"scheduler-cls": "vllm.core.scheduler.Scheduler"}, "0.8.5", {"scheduler-cls": "vllm.core.scheduler.Scheduler"}),
    ({"tokenizer-pool-size": 2, "tokenizer-pool-type": "ray", "tokenizer-pool-extra-config": {}}, "0.10.0", {}),
    ({"max-seq-len-to-capture": 8192}, "0.33.0", {}),
    ({"cuda-graph-sizes": [1, 2, 4]}, "0.33.0", {"cudagraph-capture-sizes": [1, 2, 4]}),
    ({"cuda-graph-sizes": [512]}, "0.33.0", {"max-cudagraph-capture-size": 512}),
    ({"cuda-graph-sizes": [512]}, "0.12.0", {"cuda-graph-sizes": [512]}),
    ({"calculate-kv-scales": True}, "0.28.0", {}),
    ({"override-attention-dtype": "bfloat16"}, "0.28.0", {}),
    # multi-modal input
    ({"disable-mm-preprocessor-cache": True}, "0.33.0", {"mm-processor-cache-gb": 0}),
    ({"disable-mm-preprocessor-cache": False}, "0.33.0", {}),
    ({"limit-mm-per-prompt": "image=16,video=2"}, "0.33.0", {"limit-mm-per-prompt": {"image": 16, "video": 2}}),
    ({"limit-mm-per-prompt": "image=16"}, "0.9.2", {"limit-mm-per-prompt": "image=16"}),
    ({"enable-multimodal-encoder-data-parallel": True}, "0.13.0", {"mm-encoder-tp-mode": "data"}),
    # adapters
    ({"enable-lora": True, "lora-extra-vocab-size": 256, "enable-lora-bias": False}, "0.12.0", {"enable-lora": True}),
    ({"enable-prompt-adapter": True, "max-prompt-adapters": 2, "max-prompt-adapter-token": 8}, "0.33.0", {}),
    # experts
    (
        {"num-redundant-experts": 8, "eplb-window-size": 500, "eplb-step-interval": 100, "eplb-log-balancedness": True},
        "0.12.0",
        {"eplb-config": {"num_redundant_experts": 8, "window_size": 500, "step_interval": 100, "log_balancedness": True}},
    ),
    ({"all2all-backend": "mori"}, "0.23.0", {"all2all-backend": "mori_high_throughput"}),
    # the log
    ({"disable-log-requests": True}, "0.32.0", {}),
    ({"disable-log-requests": False}, "0.17.0", {"enable-log-requests": True}),
    # compilation
    ({"compilation-config": 3}, "0.10.0", {"compilation-config": {"level": 3}}),
    ({"compilation-config": "3"}, "0.33.0", {"compilation-config": {"mode": 3}}),
    ({"compilation-config": {"level": 3, "use_cudagraph": False}}, "0.33.0", {"compilation-config": {"mode": 3, "cudagraph_mode": "NONE"}}),
    ({"compilation-config": {"full_cuda_graph": True}}, "0.11.1", {"compilation-config": {"cudagraph_mode": "FULL"}}),
    ({"compilation-config": {"use_inductor": False}}, "0.12.0", {"compilation-config": {"backend": "eager"}}),
    (
        {"compilation-config": {"pass_config": {"enable_fusion": True, "enable_noop": True}}},
        "0.13.0",
        {"compilation-config": {"pass_config": {"fuse_norm_quant": True, "fuse_act_quant": True, "eliminate_noops": True}}},
    ),
    ({"compilation-config": {"pass_config": {"enable_async_tp": True}}}, "0.32.0", {}),
    ({"attention-config": {"disable_flashinfer_prefill": True}}, "0.33.0", {"attention-config": {"mla_prefill_backend": "FLASH_ATTN"}}),
    ({"attention-config": {"use_fp4_indexer_cache": True}}, "0.33.0", {"attention-config": {"indexer_kv_dtype": "mxfp4"}}),
    ({"kv-transfer-config": {"kv_connector": "NixlConnector", "kv_role": "kv_both", "kv_rank": 0}}, "0.33.0",
     {"kv-transfer-config": {"kv_connector": "NixlConnector", "kv_role": "kv_both"}}),
    ({"prefix-caching-hash-algo": "builtin"}, "0.33.0", {"prefix-caching-hash-algo": "sha256"}),
]  # fmt: skip
BACKWARD: list[tuple[dict[str, Any], str, dict[str, Any]]] = [
    ({"runner": "pooling", "convert": "embed"}, "0.9.2", {"task": "embed"}),
    ({"runner": "generate"}, "0.10.0", {"task": "generate"}),
    ({"structured-outputs-config": {"backend": "xgrammar", "disable_any_whitespace": True}}, "0.10.2",
     {"guided-decoding-backend": "xgrammar", "guided-decoding-disable-any-whitespace": True}),
    ({"pooler-config": {"pooling_type": "MEAN"}}, "0.10.2", {"override-pooler-config": {"pooling_type": "MEAN"}}),
    ({"compilation-config": {"mode": 3, "pass_config": {"fuse_attn_quant": True}}}, "0.9.2",
     {"compilation-config": {"level": 3, "pass_config": {"enable_attn_fusion": True}}}),
    ({"mm-processor-cache-gb": 0}, "0.10.0", {"disable-mm-preprocessor-cache": True}),
    ({"mm-processor-cache-gb": 8}, "0.10.0", {}),
    ({"eplb-config": {"window_size": 500}}, "0.9.2", {"eplb-window-size": 500}),
    ({"enable-log-requests": True}, "0.9.2", {}),
    ({"enable-log-requests": False}, "0.9.2", {"disable-log-requests": True}),
    ({"async-scheduling": True, "max-model-len": "32k"}, "0.9.2", {"max-model-len": "32k"}),
    ({"max-model-len": "auto"}, "0.13.0", {}),
]  # fmt: skip


# Numbers and truth values as text within JSON, which vLLM's dataclasses take and an entry says as what they are.
MENDED: list[tuple[dict[str, Any], str, dict[str, Any]]] = [
    ({"eplb-config": '{"window_size": "1000", "log_balancedness": "False"}'}, "0.11.0", {"eplb-config": {"window_size": 1000, "log_balancedness": False}}),
    ({"eplb-config": {"log_balancedness": 1}}, "0.33.0", {"eplb-config": {"log_balancedness": True}}),
    ({"eplb-config.window_size": "1000"}, "0.33.0", {"eplb-config.window_size": 1000}),
    ({"compilation-config": {"pass_config": {"enable_noop": "true"}}}, "0.11.0", {"compilation-config": {"pass_config": {"enable_noop": True}}}),
    ({"kv-transfer-config": {"kv_connector": "NixlConnector", "kv_role": "kv_both", "kv_parallel_size": "2"}}, "0.11.0",
     {"kv-transfer-config": {"kv_connector": "NixlConnector", "kv_role": "kv_both", "kv_parallel_size": 2}}),
    ({"speculative-config": {"method": "ngram", "num_speculative_tokens": "5"}}, "0.11.0",
     {"speculative-config": {"method": "ngram", "num_speculative_tokens": 5}}),
    ({"speculative-model": "[ngram]", "num-speculative-tokens": "5"}, "0.33.0", {"speculative-config": {"method": "ngram", "num_speculative_tokens": 5}}),
    ({"eplb-config": {"window_size": "many"}}, "0.33.0", {}),
]  # fmt: skip


@pytest.mark.parametrize(("args", "to", "expected"), [*FORWARD, *BACKWARD, *MENDED])
def test_args_become_what_the_release_takes(args: dict[str, Any], to: str, expected: dict[str, Any]) -> None:
    moved, changes = move(args, to)
    # 1 and true are equal, and two things.
    assert json.dumps(moved) == json.dumps(expected)
    assert moved == args or any(change.kind in ("renamed", "replaced", "gone") for change in changes)


# The release that began it, for the first change of each case.
SINCE: list[tuple[dict[str, Any], str, str, str]] = [
    ({"task": "embed"}, "0.33.0", "0.13.0", "replaced"),
    ({"override-pooler-config": {"pooling_type": "MEAN"}}, "0.33.0", "0.12.0", "renamed"),
    ({"swap-space": 4}, "0.33.0", "0.18.0", "gone"),
    ({"speculative-model": "a/b"}, "0.33.0", "0.8.3", "replaced"),
    ({"compilation-config": {"level": 3}}, "0.33.0", "0.18.0", "renamed"),
    ({"compilation-config": {"level": 3}}, "0.17.0", "0.11.1", "deprecated"),
    ({"quantization": "gguf"}, "0.33.0", "0.24.0", "gone"),
    ({"runner": "pooling"}, "0.9.2", "0.10.1", "gone"),
    ({"max-model-len": "auto"}, "0.13.0", "", "gone"),
    ({"disable-cascade-attn": True}, "0.33.0", "0.32.0", "deprecated"),
    ({"task": "embed"}, "0.11.0", "0.10.1", "deprecated"),
    ({"swap-space": 4}, "0.12.0", "0.11.0", "deprecated"),
    ({"log-config-file": "/x"}, "0.33.0", "0.31.0", "deprecated"),
]


@pytest.mark.parametrize(("args", "to", "since", "kind"), SINCE)
def test_a_change_says_since_when(args: dict[str, Any], to: str, since: str, kind: str) -> None:
    __, changes = move(args, to)
    assert (changes[0].since, changes[0].kind) == (since, kind)
    assert changes[0].written == next(iter(args.values())) or "." in changes[0].option


def test_the_same_number_of_sizes_means_another_thing_from_0_11_1_on() -> None:
    # Up to 0.11.0 one size was the largest of a series; in 0.11.1 and 0.11.2 vLLM captured it alone.
    assert move({"cuda-graph-sizes": [512]}, "0.33.0", "0.11.0")[0] == {"max-cudagraph-capture-size": 512}
    assert move({"cuda-graph-sizes": [512]}, "0.33.0", "0.11.2")[0] == {"cudagraph-capture-sizes": [512]}


def test_a_spelling_means_what_it_meant_where_it_came_from() -> None:
    # In 0.33.0 it switches enable-log-requests off, as one says there with `false`.
    assert move({"disable-log-requests": True}, "0.33.0", "0.16.0")[0] == {}
    assert move({"disable-log-requests": False}, "0.33.0", "0.16.0")[0] == {"enable-log-requests": True}
    assert move({"disable-log-requests": True}, "0.33.0")[0] == {"enable-log-requests": False}


def told(
    args: dict[str, Any], to: str, came_from: str, env: dict[str, Any] | None = None, accelerator: str = "cuda"
) -> dict[str, OptionChange]:
    moved = move_entry(args, env or {}, to, came_from, accelerators=[accelerator])
    return {change.option: change for change in moved.changes if change.kind == "meaning"}


def test_a_default_that_changed_is_told_with_what_keeps_it() -> None:
    changes = told({"max-model-len": 4096}, "0.33.0", "0.31.0")
    assert list(changes) == ["allowed-origins"]
    assert changes["allowed-origins"].since == "0.32.0"
    assert '`allowed-origins: ["*"]` keeps it' in changes["allowed-origins"].note
    assert told({"allowed-origins": ["https://a"]}, "0.33.0", "0.31.0") == {}
    assert "Before 0.32.0 this is not so" in told({}, "0.31.0", "0.33.0")["allowed-origins"].note


def test_a_default_is_told_only_where_it_matters() -> None:
    assert "enable-log-requests" in told({}, "0.12.0", "0.9.2")
    assert "enable-log-requests" not in told({"disable-log-requests": True}, "0.33.0", "0.9.2")
    assert "speculative-config.rejection_sample_method" not in told({}, "0.33.0", "0.18.0")
    drafting = {"speculative-config": {"model": "a/b", "num_speculative_tokens": 3}}
    assert "speculative-config.rejection_sample_method" in told(drafting, "0.33.0", "0.18.0")
    assert "api-server-count" in told({"data-parallel-size": 2}, "0.15.0", "0.14.1")
    assert "api-server-count" not in told({}, "0.15.0", "0.14.1")


def test_a_variable_whose_default_changed_is_told_where_it_is_not_set() -> None:
    name = "VLLM_MEMORY_PROFILER_ESTIMATE_CUDAGRAPHS"
    assert f'`{name}: "0"` in `env` keeps it' in told({}, "0.33.0", "0.18.0")[name].note
    # It came later than the release that the entry comes from, with what it switches on off.
    assert name in told({}, "0.33.0", "0.10.0")
    assert name not in told({}, "0.33.0", "0.18.0", {name: "1"})
    assert name not in told({}, "0.33.0", "0.20.0")
    shared = "VLLM_ROCM_USE_AITER_FUSION_SHARED_EXPERTS"
    assert shared in told({}, "0.33.0", "0.11.2", accelerator="rocm")
    assert shared not in told({}, "0.33.0", "0.10.0", accelerator="rocm")
    assert shared not in told({}, "0.33.0", "0.11.2", accelerator="cuda")
    assert "VLLM_ENFORCE_STRICT_TOOL_CALLING" not in told({}, "0.33.0", "0.23.0")
    tools = {"enable-auto-tool-choice": True, "tool-call-parser": "hermes"}
    assert "VLLM_ENFORCE_STRICT_TOOL_CALLING" in told(tools, "0.33.0", "0.23.0")


def test_a_key_whose_default_changed_is_told_where_its_option_has_effect_unwritten() -> None:
    assert "attention-config.indexer_kv_dtype" in told({}, "0.33.0", "0.24.0")
    assert "attention-config.indexer_kv_dtype" not in told(
        {"attention-config.indexer_kv_dtype": "bf16"}, "0.33.0", "0.24.0"
    )
    assert "reasoning-config.reasoning_start_str" not in told({}, "0.33.0", "0.19.0")


def test_what_transformers_5_makes_of_rope_scaling_is_told() -> None:
    overrides = {"hf-overrides": {"rope_scaling": YARN, "rope_theta": 1e6}}
    changes = told(overrides, "0.33.0", "0.12.0")
    assert {"hf-overrides.rope_scaling", "hf-overrides.rope_theta"} <= set(changes)
    assert changes["hf-overrides.rope_theta"].since == "0.24.0"


def test_what_is_deprecated_is_told_by_whichever_key_it_is_written() -> None:
    changes = move(
        {"ir-op-priority.rms_norm": "vllm_c,native", "ir-op-priority.fused_add_rms_norm": "native"}, "0.33.0"
    )[1]
    assert [change.option for change in changes if change.kind == "deprecated"] == ["ir-op-priority"]


def test_nothing_is_overwritten_where_two_options_become_one() -> None:
    args = {"structured-outputs-config": {"backend": "guidance"}, "guided-decoding-backend": "xgrammar"}
    moved, changes = move(args, "0.33.0")
    assert moved == {"structured-outputs-config": {"backend": "guidance"}}
    (change,) = changes
    assert (change.option, change.kind) == ("guided-decoding-backend", "gone")
    assert "guidance is written there: that stays" in change.note


def test_keys_join_a_dictionary_that_is_written_as_text() -> None:
    args = {"hf-overrides": '{"a": 1}', "rope-theta": 1e6}
    assert move(args, "0.12.0")[0] == {"hf-overrides": {"a": 1, "rope_theta": 1e6}}


def test_what_is_kept_is_kept_in_its_own_spelling() -> None:
    args = {"max_model_len": "32k", "--tensor-parallel-size": 2, "hf-overrides": '{"a": 1}', "speculative-config.method": "ngram",
            "speculative-config.num_speculative_tokens": 2, "seed": None}  # fmt: skip
    moved, changes = move({**args, "swap-space": 1}, "0.33.0")
    assert moved == args
    assert [change.option for change in changes] == ["swap-space"]


SPELLINGS: list[tuple[dict[str, Any], dict[str, Any], str]] = [
    ({"tp": 2}, {"tensor-parallel-size": 2}, "written in full"),
    ({"no-enable-prefix-caching": True}, {"enable-prefix-caching": False}, "`enable-prefix-caching: false`"),
    ({"gpu-memory-util": 0.5}, {"gpu-memory-utilization": 0.5}, "written in full"),
    ({"max-model-length": 1}, {}, 'Did you mean "max-model-len"'),
    ({"my-own-option": 1}, {}, "No known release of vLLM takes this"),
    ({"max-model-len": 1, "max_model_len": 2}, {"max-model-len": 1}, "it is given twice"),
    ({"max-num-seqs": "many"}, {}, "Left out, for its value 'many' is not a whole number"),
    ({"port": 8000}, {}, "`port` of the entry"),
    ({"gpu-memory-utilization": 1.5}, {}, "out of bounds"),
]


@pytest.mark.parametrize(("args", "expected", "said"), SPELLINGS)
def test_an_inventory_that_was_never_valid_is_moved_all_the_same(
    args: dict[str, Any], expected: dict[str, Any], said: str
) -> None:
    moved, changes = move(args, "0.33.0", "0.9.2")
    assert moved == expected
    assert said in " ".join(change.note for change in changes)


def test_a_secret_is_neither_kept_nor_shown() -> None:
    moved, changes = move({"api-key": "geheim", "hf_token": "geheim"}, "0.33.0")
    assert moved == {}
    assert "geheim" not in repr(changes)
    assert "vllm_api_key" in changes[0].note


def test_what_plug_ins_add_stays() -> None:
    extras = Extras(options={"my-option": {}}, choices={"quantization": ("gguf",)}, environment=("VLLM_MINE",))
    args = {"my-option": 1, "quantization": "gguf"}
    moved = move_entry(args, {"VLLM_MINE": "1"}, "0.33.0", "0.9.2", extras)
    assert (moved.args, moved.env) == (args, {"VLLM_MINE": "1"})


@pytest.mark.parametrize("option", ["reasoning-parser", "tool-call-parser"])
def test_a_parser_stays_where_a_plug_in_file_provides_it(option: str) -> None:
    plugin = {"reasoning-parser": "reasoning-parser-plugin", "tool-call-parser": "tool-parser-plugin"}[option]
    args = {plugin: "nano_v3.py", option: "nano_v3", **({"enable-auto-tool-choice": True} if "tool" in option else {})}
    assert move(args, "0.33.0") == (args, [])
    assert option not in move({option: "nano_v3"}, "0.33.0")[0]


@pytest.mark.parametrize("value", [["a"], {"a": 1}, None])
def test_what_cannot_be_a_parser_s_name_is_no_reason_to_stop(value: Any) -> None:
    moved, __ = move({"reasoning-parser-plugin": "x.py", "reasoning-parser": value, "seed": 1}, "0.33.0")
    assert (moved["seed"], moved.get("reasoning-parser")) == (1, None)


@pytest.mark.parametrize(("option", "said"), [("headless", "It has no place here"), ("host", "from `vllm_address`")])
def test_what_the_plan_decides_is_told_with_what_decides_it(option: str, said: str) -> None:
    __, (change,) = move({option: "x"}, "0.33.0")
    assert said in change.note
    assert "nothing" not in change.note


def test_what_is_left_out_is_told_with_all_that_is_wrong_of_it() -> None:
    args, changes = move(
        {"kv-transfer-config": {"kv_connector": "NixlConnector", "enable_permute_local_kv": "maybe"}},
        "0.33.0",
        "0.33.0",
    )
    assert args == {}
    (note,) = (change.note for change in changes if change.kind == "gone")
    assert "is not true or false" in note
    assert "kv-transfer-config.kv_role is missing, and kv_connector needs it" in note


def test_a_combination_that_is_left_is_told() -> None:
    moved, changes = move({"enable-auto-tool-choice": True, "tool-call-parser": "minimax"}, "0.33.0", "0.20.0")
    assert moved == {"enable-auto-tool-choice": True}
    assert {"gone", "conflict"} <= {change.kind for change in changes}


ENVIRONMENT: list[tuple[dict[str, Any], str, dict[str, Any], dict[str, Any]]] = [
    ({"VLLM_ATTENTION_BACKEND": "FLASHINFER"}, "0.33.0", {"attention-backend": "FLASHINFER"}, {}),
    ({"VLLM_ATTENTION_BACKEND": "TRITON_ATTN_VLLM_V1"}, "0.33.0", {"attention-backend": "TRITON_ATTN"}, {}),
    ({"VLLM_ATTENTION_BACKEND": "XFORMERS"}, "0.33.0", {}, {}),
    ({"VLLM_ATTENTION_BACKEND": "FLASHINFER"}, "0.12.0", {}, {"VLLM_ATTENTION_BACKEND": "FLASHINFER"}),
    ({"VLLM_FLASH_ATTN_VERSION": 3}, "0.33.0", {"attention-config": {"flash_attn_version": 3}}, {}),
    ({"VLLM_USE_V1": True}, "0.33.0", {}, {}),
    ({"VLLM_USE_V1": "0"}, "0.33.0", {}, {}),
    ({"VLLM_ALL2ALL_BACKEND": "deepep_low_latency"}, "0.33.0", {"all2all-backend": "deepep_low_latency"}, {}),
    ({"VLLM_MM_INPUT_CACHE_GIB": "8"}, "0.33.0", {"mm-processor-cache-gb": 8}, {}),
    (
        {"VLLM_TORCH_PROFILER_DIR": "/tmp/p", "VLLM_TORCH_PROFILER_WITH_STACK": "0"},
        "0.33.0",
        {"profiler-config": {"profiler": "torch", "torch_profiler_dir": "/tmp/p", "torch_profiler_with_stack": False}},
        {},
    ),
    ({"VLLM_USE_FBGEMM": "1"}, "0.33.0", {"linear-backend": "fbgemm"}, {}),
    ({"VLLM_NVFP4_GEMM_BACKEND": "flashinfer-cutlass"}, "0.33.0", {"linear-backend": "flashinfer_cutlass"}, {}),
    ({"VLLM_FLASHINFER_MOE_BACKEND": "throughput"}, "0.33.0", {"moe-backend": "flashinfer_cutlass"}, {}),
    ({"VLLM_USE_FLASHINFER_MOE_FP8": "1"}, "0.33.0", {}, {}),
    ({"VLLM_RPC_TIMEOUT": "1000"}, "0.33.0", {}, {}),
    ({"HF_HOME": "/x", "VLLM_LOGGING_LEVEL": "INFO"}, "0.33.0", {}, {"HF_HOME": "/x", "VLLM_LOGGING_LEVEL": "INFO"}),
]


@pytest.mark.parametrize(("env", "to", "args", "stays"), ENVIRONMENT)
def test_variables_become_options_or_go(
    env: dict[str, Any], to: str, args: dict[str, Any], stays: dict[str, Any]
) -> None:
    moved = move_entry({}, env, to)
    assert (moved.args, moved.env) == (args, stays)
    assert {change.option for change in moved.changes} >= set(env) - set(stays)


def test_an_option_outweighs_the_variable_that_became_it() -> None:
    moved = move_entry({"attention-backend": "FLASH_ATTN"}, {"VLLM_ATTENTION_BACKEND": "FLASHINFER"}, "0.33.0")
    assert moved.args == {"attention-backend": "FLASH_ATTN"}
    assert "FLASH_ATTN is written there" in moved.changes[0].note


def test_an_unknown_release_is_refused() -> None:
    with pytest.raises(LookupError, match=r"0\.99\.0 is not a release.*0\.33\.0"):
        move({}, "0.99.0")
