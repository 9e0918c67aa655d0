"""Options that need or exclude each other: each rule broken once, and mended as its message says."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.baremetal.vllm.plugins.plugin_utils.options.load import release, releases
from ansible_collections.baremetal.vllm.plugins.plugin_utils.options.model import Release
from ansible_collections.baremetal.vllm.plugins.plugin_utils.options.relations import RULES
from ansible_collections.baremetal.vllm.plugins.plugin_utils.options.rule import Given

GPUS = 8
# Release, args, exactly what is said of them (after `args.`), and what to change so that nothing is.
BROKEN: list[tuple[str, dict[str, Any], str, dict[str, Any]]] = [
    (
        "0.33.0",
        {"enable-auto-tool-choice": True},
        "tool-call-parser: is missing, and enable-auto-tool-choice needs it. Name the parser of the model's family (hermes, llama3_json, …).",
        {"tool-call-parser": "hermes"},
    ),
    (
        "0.8.5",
        {"enable-reasoning": True},
        "reasoning-parser: is missing, and enable-reasoning needs it. Name the parser of the model's family (deepseek_r1, qwen3, …).",
        {"reasoning-parser": "deepseek_r1"},
    ),
    (
        "0.33.0",
        {"enable-log-outputs": True},
        "enable-log-outputs: needs enable-log-requests. Write `enable-log-requests: true` too.",
        {"enable-log-requests": True},
    ),
    (
        "0.33.0",
        {"enable-per-request-metrics": True, "disable-log-stats": True},
        "enable-per-request-metrics: needs the statistics that disable-log-stats switches off. Remove one of the two.",
        {"disable-log-stats": None},
    ),
    (
        "0.33.0",
        {"sse-keep-alive-interval": -5},
        "sse-keep-alive-interval: is negative. Write a number of seconds, or 0 for none.",
        {"sse-keep-alive-interval": 0},
    ),
    (
        "0.33.0",
        {"reasoning-effort-map": {"medium": 1}},
        "reasoning-effort-map: maps an effort to something else than text. Write one effort per key: {medium: low}.",
        {"reasoning-effort-map": {"medium": "low"}},
    ),
    (
        "0.33.0",
        {"api-server-count": 0},
        "api-server-count: leaves no API server, and every unit has an endpoint. Write 1 or more, or leave it out.",
        {"api-server-count": 1},
    ),
    (
        "0.33.0",
        {"lora-modules": ["a=/a"]},
        "lora-modules: needs enable-lora. Write `enable-lora: true` too, or use the entry's `adapters`.",
        {"enable-lora": True},
    ),
    (
        "0.33.0",
        {"enable-lora": True, "max-loras": 4, "max-cpu-loras": 2},
        "max-cpu-loras: is below max-loras. Write at least max-loras, or leave it out.",
        {"max-cpu-loras": 4},
    ),
    (
        "0.33.0",
        {
            "enable-lora": True,
            "max-num-batched-tokens": 256,
            "max-num-seqs": 128,
            "speculative-config": {"method": "ngram", "num_speculative_tokens": 3},
        },
        "max-num-batched-tokens: is too small for max-num-seqs times the tokens drafted for each, which LoRA "
        "needs at once. Raise it, or lower max-num-seqs or num_speculative_tokens.",
        {"max-num-batched-tokens": 512},
    ),
    (
        "0.33.0",
        {"enable-chunked-prefill": False, "max-model-len": "32k", "max-num-batched-tokens": "8k"},
        "max-num-batched-tokens: is below max-model-len, and without chunked prefill a prompt must fit into one "
        "batch. Write at least max-model-len, or remove `enable-chunked-prefill: false`.",
        {"max-num-batched-tokens": "32k"},
    ),
    (
        "0.33.0",
        {"max-num-seqs": 256, "max-num-batched-tokens": 128},
        "max-num-batched-tokens: is below max-num-seqs, and each sequence needs a token of every batch. Write at least max-num-seqs.",
        {"max-num-seqs": 128},
    ),
    (
        "0.33.0",
        {"max-num-seqs": 8, "max-num-active-seqs": 9},
        "max-num-active-seqs: is above max-num-seqs. Write at most max-num-seqs.",
        {"max-num-active-seqs": 8},
    ),
    (
        "0.33.0",
        {"max-model-len": "4k", "long-prefill-token-threshold": 5000},
        "long-prefill-token-threshold: is above max-model-len. Write at most max-model-len.",
        {"long-prefill-token-threshold": 4000},
    ),
    (
        "0.26.0",
        {"enable-chunked-prefill": False, "max-num-partial-prefills": 2},
        "max-num-partial-prefills: is above 1, which needs chunked prefill. Remove `enable-chunked-prefill: false`, or write 1.",
        {"enable-chunked-prefill": None},
    ),
    (
        "0.26.0",
        {"max-long-partial-prefills": 2},
        "max-long-partial-prefills: is above max-num-partial-prefills. Write at most max-num-partial-prefills.",
        {"max-num-partial-prefills": 2},
    ),
    (
        "0.9.2",
        {"num-scheduler-steps": 8, "speculative-config": {"model": "/d", "num_speculative_tokens": 3}},
        "num-scheduler-steps: is above 1, which excludes speculative decoding. Remove one of the two.",
        {"num-scheduler-steps": 1},
    ),
    (
        "0.33.0",
        {"cudagraph-capture-sizes": [1, 2], "compilation-config.cudagraph_capture_sizes": [1]},
        "cudagraph-capture-sizes: is also given as compilation-config.cudagraph_capture_sizes. Keep one of the two.",
        {"cudagraph-capture-sizes": None},
    ),
    (
        "0.12.0",
        {"cuda-graph-sizes": [8], "compilation-config.cudagraph_capture_sizes": [1]},
        "cuda-graph-sizes: is also given as compilation-config.cudagraph_capture_sizes. Keep one of the two.",
        {"cuda-graph-sizes": None},
    ),
    (
        "0.33.0",
        {"max-cudagraph-capture-size": 8, "compilation-config": {"max_cudagraph_capture_size": 8}},
        "max-cudagraph-capture-size: is also given as compilation-config.max_cudagraph_capture_size. Keep one of the two.",
        {"max-cudagraph-capture-size": None},
    ),
    (
        "0.33.0",
        {"attention-backend": "FLASH_ATTN", "attention-config": {"backend": "FLASH_ATTN"}},
        "attention-backend: is also given as attention-config.backend. Keep one of the two.",
        {"attention-config": None},
    ),
    (
        "0.33.0",
        {"enable-flashinfer-autotune": False, "kernel-config": {"enable_flashinfer_autotune": True}},
        "enable-flashinfer-autotune: is also given as kernel-config.enable_flashinfer_autotune. Keep one of the two.",
        {"kernel-config": None},
    ),
    (
        "0.33.0",
        {"cudagraph-capture-sizes": [1, 2, 4], "max-cudagraph-capture-size": 8},
        "max-cudagraph-capture-size: is not the largest of cudagraph-capture-sizes. Remove one of the two.",
        {"cudagraph-capture-sizes": [1, 8]},
    ),
    (
        "0.33.0",
        {"compilation-config.custom_ops": ["none", "rms_norm"]},
        "compilation-config.custom_ops: holds an item that neither switches an operation on nor off. Write all, none, +operation or -operation.",
        {"compilation-config.custom_ops": ["none", "+rms_norm"]},
    ),
    (
        "0.33.0",
        {"mamba-block-size": 64, "max-model-len": 4096, "enable-prefix-caching": False},
        "mamba-block-size: needs prefix caching. Remove it, or `enable-prefix-caching: false`.",
        {"enable-prefix-caching": True},
    ),
    (
        "0.33.0",
        {"enable-mamba-cache-stochastic-rounding": True},
        "enable-mamba-cache-stochastic-rounding: needs an SSM cache of float16. Write `mamba-ssm-cache-dtype: float16` too.",
        {"mamba-ssm-cache-dtype": "float16"},
    ),
    (
        "0.33.0",
        {"mamba-ssu-algorithm": "simple"},
        "mamba-ssu-algorithm: is a choice of the FlashInfer backend alone. Write `mamba-backend: flashinfer` too.",
        {"mamba-backend": "flashinfer"},
    ),
    (
        "0.33.0",
        {"offload-group-size": 4, "offload-num-in-group": 5},
        "offload-num-in-group: is above offload-group-size. Write at most offload-group-size.",
        {"offload-num-in-group": 4},
    ),
    (
        "0.33.0",
        {"offload-group-size": 4, "offload-prefetch-step": 0},
        "offload-prefetch-step: is 0, and offloading with offload-group-size prefetches at least one step ahead. Write 1 or more.",
        {"offload-prefetch-step": 1},
    ),
    (
        "0.33.0",
        {"data-parallel-size": 2, "data-parallel-size-local": 3},
        "data-parallel-size-local: is above data-parallel-size. Write at most data-parallel-size.",
        {"data-parallel-size-local": 2},
    ),
    (
        "0.33.0",
        {"data-parallel-size": 2, "data-parallel-rank": 2},
        "data-parallel-rank: is not below data-parallel-size. Write a rank from 0 to data-parallel-size - 1.",
        {"data-parallel-rank": 1},
    ),
    (
        "0.33.0",
        {"data-parallel-external-lb": True, "data-parallel-rank": 0},
        "data-parallel-external-lb: needs a data-parallel-size above 1. Write data-parallel-size too, or remove it.",
        {"data-parallel-size": 2},
    ),
    (
        "0.33.0",
        {"data-parallel-external-lb": True, "data-parallel-size": 2},
        "data-parallel-external-lb: needs to know its rank. Write data-parallel-rank too.",
        {"data-parallel-rank": 0},
    ),
    (
        "0.33.0",
        {"data-parallel-rank": 0, "data-parallel-size": 4, "data-parallel-size-local": 2},
        "data-parallel-size-local: is not 1, and with an external load balancer each engine is one rank. Write 1, or leave it out.",
        {"data-parallel-size-local": 1},
    ),
    (
        "0.33.0",
        {"data-parallel-hybrid-lb": True, "data-parallel-size": 4},
        "data-parallel-hybrid-lb: needs data-parallel-size-local. Write how many ranks run on this host as data-parallel-size-local.",
        {"data-parallel-size-local": 2},
    ),
    (
        "0.33.0",
        {
            "data-parallel-hybrid-lb": True,
            "data-parallel-external-lb": True,
            "data-parallel-rank": 0,
            "data-parallel-size": 4,
        },
        "data-parallel-hybrid-lb: excludes data-parallel-external-lb. Keep one of the two.",
        {"data-parallel-hybrid-lb": None},
    ),
    (
        "0.33.0",
        {"data-parallel-rank": 0, "data-parallel-size": 4, "data-parallel-start-rank": 0},
        "data-parallel-start-rank: stands for a hybrid load balancer, and data-parallel-rank for an external one. Keep one of the two.",
        {"data-parallel-start-rank": None},
    ),
    (
        "0.33.0",
        {"nnodes": 2, "tensor-parallel-size": 8, "data-parallel-backend": "ray"},
        "nnodes: is above 1, which excludes `data-parallel-backend: ray`. Write `data-parallel-backend: mp`, or remove nnodes.",
        {"data-parallel-backend": "mp"},
    ),
    (
        "0.33.0",
        {"nnodes": 2, "tensor-parallel-size": 8, "distributed-executor-backend": "ray"},
        "nnodes: is above 1, which excludes `distributed-executor-backend: ray`. Write `distributed-executor-backend: mp`, or remove nnodes.",
        {"distributed-executor-backend": "mp"},
    ),
    (
        "0.33.0",
        {"nnodes": 2, "tensor-parallel-size": 1},
        "nnodes: does not divide the product of the parallel sizes. Write parallel sizes whose product is a multiple of it.",
        {"tensor-parallel-size": 2},
    ),
    (
        "0.33.0",
        {"nnodes": 2, "tensor-parallel-size": 2, "node-rank": 2},
        "node-rank: is not below nnodes. Write a rank from 0 to nnodes - 1.",
        {"node-rank": 1},
    ),
    (
        "0.33.0",
        {"enable-eplb": True, "tensor-parallel-size": 2},
        "enable-eplb: needs enable-expert-parallel. Write `enable-expert-parallel: true` too.",
        {"enable-expert-parallel": True},
    ),
    (
        "0.33.0",
        {"enable-eplb": True, "enable-expert-parallel": True},
        "enable-eplb: needs experts on more than one GPU. Write a tensor-parallel-size or data-parallel-size above 1.",
        {"tensor-parallel-size": 2},
    ),
    (
        "0.33.0",
        {"eplb-config": {"num_redundant_experts": 2}},
        "eplb-config.num_redundant_experts: needs enable-eplb. Write `enable-eplb: true` too, or remove it.",
        {"enable-eplb": True, "enable-expert-parallel": True, "tensor-parallel-size": 2},
    ),
    (
        "0.33.0",
        {"eplb-config": {"communicator": "pynccl"}},
        "eplb-config.communicator: excludes asynchronous balancing. Write `use_async: false` beside it, or another communicator.",
        {"eplb-config": {"communicator": "pynccl", "use_async": False}},
    ),
    (
        "0.10.0",
        {"num-redundant-experts": 2},
        "num-redundant-experts: needs enable-eplb. Write `enable-eplb: true` too, or remove it.",
        {"enable-eplb": True, "enable-expert-parallel": True, "tensor-parallel-size": 2},
    ),
    (
        "0.33.0",
        {"tensor-parallel-size": 4, "decode-context-parallel-size": 3},
        "decode-context-parallel-size: does not divide tensor-parallel-size. Write a divisor of tensor-parallel-size.",
        {"decode-context-parallel-size": 2},
    ),
    (
        "0.33.0",
        {"tensor-parallel-size": 4, "prefill-context-parallel-size": 2, "decode-context-parallel-size": 4},
        "decode-context-parallel-size: is neither prefill-context-parallel-size nor that times tensor-parallel-size. Write one of the two, or 1.",
        {"decode-context-parallel-size": 8},
    ),
    (
        "0.33.0",
        {"tensor-parallel-size": 4, "prefill-context-parallel-size": 4},
        "prefill-context-parallel-size: and the other parallel sizes need more GPUs than `gpus` gives. Raise `gpus` to the product of the parallel sizes.",
        {"prefill-context-parallel-size": 2},
    ),
    (
        "0.33.0",
        {"enable-elastic-ep": True},
        "enable-elastic-ep: needs enable-eplb. Write `enable-eplb: true` too.",
        {"enable-eplb": True, "enable-expert-parallel": True, "tensor-parallel-size": 2},
    ),
    (
        "0.33.0",
        {
            "enable-elastic-ep": True,
            "enable-eplb": True,
            "enable-expert-parallel": True,
            "tensor-parallel-size": 2,
            "pipeline-parallel-size": 2,
        },
        "enable-elastic-ep: excludes a pipeline-parallel-size above 1. Remove one of the two.",
        {"pipeline-parallel-size": 1},
    ),
    (
        "0.33.0",
        {"data-parallel-size": 4, "elastic-ep-max-dp-size": 2},
        "elastic-ep-max-dp-size: is below data-parallel-size. Write at least data-parallel-size.",
        {"elastic-ep-max-dp-size": 8},
    ),
    (
        "0.33.0",
        {"enable-fault-tolerance": True},
        "enable-fault-tolerance: needs an external load balancer. Write data-parallel-external-lb or data-parallel-rank too.",
        {"data-parallel-rank": 0},
    ),
    (
        "0.33.0",
        {"ray-workers-use-nsight": True, "distributed-executor-backend": "mp"},
        "ray-workers-use-nsight: needs `distributed-executor-backend: ray`. Write that too, or remove it.",
        {"distributed-executor-backend": "ray"},
    ),
    (
        "0.33.0",
        {"numa-bind-nodes": [0]},
        "numa-bind-nodes: needs numa-bind. Write `numa-bind: true` too.",
        {"numa-bind": True},
    ),
    (
        "0.33.0",
        {"numa-bind-cpus": ["0-3"]},
        "numa-bind-cpus: needs numa-bind. Write `numa-bind: true` too.",
        {"numa-bind": True},
    ),
    (
        "0.33.0",
        {"enable-dbo": True, "dbo-decode-token-threshold": 1},
        "dbo-decode-token-threshold: is below the number of microbatches. Write at least 2, or ubatch-size where it is larger.",
        {"dbo-decode-token-threshold": 2},
    ),
    (
        "0.33.0",
        {"ubatch-size": 4, "dbo-prefill-token-threshold": 3},
        "dbo-prefill-token-threshold: is below the number of microbatches. Write at least 2, or ubatch-size where it is larger.",
        {"dbo-prefill-token-threshold": 4},
    ),
    (
        "0.33.0",
        {"enable-hc-sp": True, "tensor-parallel-size": 2, "pipeline-parallel-size": 2},
        "enable-hc-sp: excludes a pipeline-parallel-size above 1. Remove one of the two.",
        {"pipeline-parallel-size": 1},
    ),
    (
        "0.33.0",
        {"spec-method": "ngram", "speculative-config": {"method": "ngram", "num_speculative_tokens": 2}},
        "spec-method: is also given as speculative-config.method. Keep one of the two.",
        {"spec-method": None},
    ),
    (
        "0.33.0",
        {"spec-model": "/d", "speculative-config": {"model": "/d", "num_speculative_tokens": 2}},
        "spec-model: is also given as speculative-config.model. Keep one of the two.",
        {"spec-model": None},
    ),
    (
        "0.33.0",
        {"spec-tokens": 2, "speculative-config": {"model": "/d", "num_speculative_tokens": 2}},
        "spec-tokens: is also given as speculative-config.num_speculative_tokens. Keep one of the two.",
        {"spec-tokens": None},
    ),
    (
        "0.33.0",
        {"speculative-config": {"num_speculative_tokens": 2}},
        "speculative-config: names neither a model nor a method to draft with. Write `model` or `method` (ngram, mtp, …) into it.",
        {"spec-method": "ngram"},
    ),
    (
        "0.33.0",
        {"speculative-config": '{"method": "ngram"}'},
        "speculative-config: does not say how many tokens to draft. Write `num_speculative_tokens` into it.",
        {"spec-tokens": 2},
    ),
    (
        "0.33.0",
        {
            "speculative-config": {
                "method": "ngram",
                "num_speculative_tokens": 2,
                "prompt_lookup_min": 5,
                "prompt_lookup_max": 3,
            }
        },
        "speculative-config.prompt_lookup_min: is above prompt_lookup_max. Write at most prompt_lookup_max.",
        {
            "speculative-config": {
                "method": "ngram",
                "num_speculative_tokens": 2,
                "prompt_lookup_min": 3,
                "prompt_lookup_max": 3,
            }
        },
    ),
    (
        "0.33.0",
        {"speculative-config": {"model": "/d", "num_speculative_tokens": 2, "tensor_parallel_size": 1}},
        "speculative-config.tensor_parallel_size: is not the draft model's to set. Write `draft_tensor_parallel_size` instead.",
        {"speculative-config": {"model": "/d", "num_speculative_tokens": 2, "draft_tensor_parallel_size": 1}},
    ),
    (
        "0.33.0",
        {
            "tensor-parallel-size": 4,
            "speculative-config": {"model": "/d", "num_speculative_tokens": 2, "draft_tensor_parallel_size": 2},
        },
        "speculative-config.draft_tensor_parallel_size: is neither 1 nor tensor-parallel-size. Write one of the two.",
        {"tensor-parallel-size": 2},
    ),
    (
        "0.33.0",
        {
            "max-model-len": 4096,
            "speculative-config": {"model": "/d", "num_speculative_tokens": 2, "max_model_len": 8192},
        },
        "speculative-config.max_model_len: is above the model's own max-model-len. Write at most max-model-len.",
        {"max-model-len": "8192"},
    ),
    (
        "0.33.0",
        {"per-request-spec-decode-metrics": "summary"},
        "per-request-spec-decode-metrics: needs speculative decoding. Write speculative-config too, or remove it.",
        {"spec-method": "ngram", "spec-tokens": 2},
    ),
    (
        "0.32.0",
        {"structured-outputs-config": {"disable_any_whitespace": True}},
        "structured-outputs-config.disable_any_whitespace: needs the backend xgrammar or guidance. Write `backend: xgrammar` beside it.",
        {"structured-outputs-config": {"disable_any_whitespace": True, "backend": "xgrammar"}},
    ),
    (
        "0.32.0",
        {"structured-outputs-config": {"disable_additional_properties": True, "backend": "xgrammar"}},
        "structured-outputs-config.disable_additional_properties: needs the backend guidance. Write `backend: guidance` beside it.",
        {"structured-outputs-config": {"disable_additional_properties": True, "backend": "guidance"}},
    ),
    (
        "0.10.0",
        {"guided-decoding-disable-any-whitespace": True},
        "guided-decoding-disable-any-whitespace: needs the backend xgrammar or guidance. Write `guided-decoding-backend: xgrammar` too.",
        {"guided-decoding-backend": "guidance"},
    ),
    (
        "0.10.0",
        {"guided-decoding-disable-additional-properties": True, "guided-decoding-backend": "xgrammar"},
        "guided-decoding-disable-additional-properties: needs the backend guidance. Write `guided-decoding-backend: guidance` too.",
        {"guided-decoding-backend": "guidance"},
    ),
    (
        "0.33.0",
        {"speculative-config": {"method": "eagle3", "num_speculative_tokens": 3}},
        "speculative-config: names a method that drafts with a model of its own, and no model. Write `model` into it: a hub id, or a path on the host.",
        {"speculative-config": {"method": "eagle3", "num_speculative_tokens": 3, "model": "Org/Draft"}},
    ),
    (
        "0.33.0",
        {"kv-transfer-config": {"kv_connector": "NixlConnector"}},
        "kv-transfer-config.kv_role: is missing, and kv_connector needs it. Write kv_role beside it.",
        {"kv-transfer-config": {"kv_connector": "NixlConnector", "kv_role": "kv_both"}},
    ),
    (
        "0.33.0",
        {"ec-transfer-config": {"ec_connector": "ECExampleConnector"}},
        "ec-transfer-config.ec_role: is missing, and ec_connector needs it. Write ec_role beside it.",
        {"ec-transfer-config": {"ec_connector": "ECExampleConnector", "ec_role": "ec_producer"}},
    ),
    (
        "0.33.0",
        {"collect-detailed-traces": ["all"]},
        "collect-detailed-traces: needs otlp-traces-endpoint. Write the collector's address as otlp-traces-endpoint.",
        {"otlp-traces-endpoint": "http://collector:4317"},
    ),
    (
        "0.33.0",
        {"mm-shm-cache-max-object-size-mb": 64},
        "mm-shm-cache-max-object-size-mb: is a setting of the cache in shared memory alone. Write `mm-processor-cache-type: shm` too, or remove it.",
        {"mm-processor-cache-type": "shm"},
    ),
    (
        "0.33.0",
        {"mm-encoder-fp8-scale-path": "/s.json"},
        "mm-encoder-fp8-scale-path: needs an encoder that attends in fp8. Write `mm-encoder-attn-dtype: fp8` too.",
        {"mm-encoder-attn-dtype": "fp8"},
    ),
    (
        "0.33.0",
        {"mm-encoder-fp8-scale-save-path": "/s.json"},
        "mm-encoder-fp8-scale-save-path: needs an encoder that attends in fp8. Write `mm-encoder-attn-dtype: fp8` too.",
        {"mm-encoder-attn-dtype": "fp8"},
    ),
    (
        "0.33.0",
        {"mm-encoder-attn-dtype": "fp8", "mm-encoder-fp8-scale-path": "/a", "mm-encoder-fp8-scale-save-path": "/b"},
        "mm-encoder-fp8-scale-save-path: saves scales that mm-encoder-fp8-scale-path has fixed. Keep one of the two.",
        {"mm-encoder-fp8-scale-path": None},
    ),
    (
        "0.33.0",
        {"mm-tensor-ipc": "torch_shm", "tensor-parallel-size": 2},
        "mm-tensor-ipc: is torch_shm, which excludes every parallel size above 1. Remove it, or the parallel sizes.",
        {"tensor-parallel-size": 1},
    ),
    (
        "0.33.0",
        {"language-model-only": True, "compilation-config.cudagraph_mm_encoder": True},
        "language-model-only: excludes compilation-config.cudagraph_mm_encoder. Remove one of the two.",
        {"language-model-only": False},
    ),
    (
        "0.33.0",
        {"return-sampling-mask": True},
        "return-sampling-mask: needs logprobs of what was sampled from. Write `logprobs-mode: processed_logprobs` too.",
        {"logprobs-mode": "processed_logprobs"},
    ),
    (
        "0.33.0",
        {"pooler-config": {"pooling_type": "MEAN", "seq_pooling_type": "MEAN"}},
        "pooler-config.seq_pooling_type: stands beside pooling_type. Keep one of the two.",
        {"pooler-config": {"seq_pooling_type": "MEAN"}},
    ),
    (
        "0.33.0",
        {"pooler-config": {"pooling_type": "ALL", "tok_pooling_type": "ALL"}},
        "pooler-config.tok_pooling_type: stands beside pooling_type. Keep one of the two.",
        {"pooler-config": {"tok_pooling_type": "ALL"}},
    ),
    (
        "0.33.0",
        {"pooler-config": {"logit_sigma": 0}},
        "pooler-config.logit_sigma: is 0, and logits are divided by it. Write another number.",
        {"pooler-config": {"logit_sigma": 0.5}},
    ),
    (
        "0.33.0",
        {"ec-manager-config": {"manager_config": {"a": 1}}},
        "ec-manager-config.manager_config: needs encoder_cache_manager_cls. Write the manager's class beside it.",
        {"ec-manager-config": {"manager_config": {"a": 1}, "encoder_cache_manager_cls": "a.B"}},
    ),
    (
        "0.33.0",
        {"profiler-config": {"profiler": "torch"}},
        "profiler-config.torch_profiler_dir: is missing, and the torch profiler needs it. Write a directory that the service may write to.",
        {"profiler-config": {"profiler": "torch", "torch_profiler_dir": "/t"}},
    ),
    (
        "0.33.0",
        {"profiler-config": {"profiler": "proton"}},
        "profiler-config.proton_profiler_dir: is missing, and the proton profiler needs it. Write a directory that the service may write to.",
        {"profiler-config": {"profiler": "proton", "proton_profiler_dir": "/t"}},
    ),
    (
        "0.33.0",
        {"profiler-config": {"torch_profiler_dir": "/t"}},
        "profiler-config.torch_profiler_dir: is a setting of the torch profiler alone. Write `profiler: torch` beside it.",
        {"profiler-config": {"profiler": "torch", "torch_profiler_dir": "/t"}},
    ),
    (
        "0.33.0",
        {"profiler-config": {"capture_torch_profiler": True}},
        "profiler-config.capture_torch_profiler: is a setting of the torch profiler alone. Write `profiler: torch` beside it.",
        {"profiler-config": {"profiler": "torch", "torch_profiler_dir": "/t", "capture_torch_profiler": True}},
    ),
    (
        "0.33.0",
        {"profiler-config": {"torch_profiler_activities": ["CPU"]}},
        "profiler-config.torch_profiler_activities: is a setting of the torch profiler alone. Write `profiler: torch` beside it.",
        {"profiler-config": {"profiler": "torch", "torch_profiler_dir": "/t", "torch_profiler_activities": ["CPU"]}},
    ),
    (
        "0.33.0",
        {"profiler-config": {"proton_profiler_dir": "/t"}},
        "profiler-config.proton_profiler_dir: is a setting of the proton profiler alone. Write `profiler: proton` beside it.",
        {"profiler-config": {"profiler": "proton", "proton_profiler_dir": "/t"}},
    ),
    (
        "0.33.0",
        {"profiler-config": {"proton_context": "python"}},
        "profiler-config.proton_context: is a setting of the proton profiler alone. Write `profiler: proton` beside it.",
        {"profiler-config": {"profiler": "proton", "proton_profiler_dir": "/t", "proton_context": "python"}},
    ),
    (
        "0.33.0",
        {"profiler-config": {"proton_data": "trace"}},
        "profiler-config.proton_data: is a setting of the proton profiler alone. Write `profiler: proton` beside it.",
        {"profiler-config": {"profiler": "proton", "proton_profiler_dir": "/t", "proton_data": "trace"}},
    ),
    (
        "0.33.0",
        {"profiler-config": {"proton_backend": "cupti"}},
        "profiler-config.proton_backend: is a setting of the proton profiler alone. Write `profiler: proton` beside it.",
        {"profiler-config": {"profiler": "proton", "proton_profiler_dir": "/t", "proton_backend": "cupti"}},
    ),
    (
        "0.33.0",
        {"profiler-config": {"proton_mode": "periodic"}},
        "profiler-config.proton_mode: is a setting of the proton profiler alone. Write `profiler: proton` beside it.",
        {"profiler-config": {"profiler": "proton", "proton_profiler_dir": "/t", "proton_mode": "periodic"}},
    ),
    (
        "0.33.0",
        {"profiler-config": {"proton_hook": "triton"}},
        "profiler-config.proton_hook: is a setting of the proton profiler alone. Write `profiler: proton` beside it.",
        {"profiler-config": {"profiler": "proton", "proton_profiler_dir": "/t", "proton_hook": "triton"}},
    ),
    (
        "0.33.0",
        {"profiler-config": {"proton_output_format": "hatchet"}},
        "profiler-config.proton_output_format: is a setting of the proton profiler alone. Write `profiler: proton` beside it.",
        {"profiler-config": {"profiler": "proton", "proton_profiler_dir": "/t", "proton_output_format": "hatchet"}},
    ),
    (
        "0.33.0",
        {"profiler-config": {"proton_graph_attribution": True}},
        "profiler-config.proton_graph_attribution: is a setting of the proton profiler alone. Write `profiler: proton` beside it.",
        {"profiler-config": {"profiler": "proton", "proton_profiler_dir": "/t", "proton_graph_attribution": True}},
    ),
    (
        "0.33.0",
        {"quantization-config": {"targets": {"a": "mxfp8"}, "linear": "fp8_per_tensor"}},
        "quantization-config.targets: excludes linear and moe. Keep `targets`, or the other two.",
        {"quantization-config": {"linear": "fp8_per_tensor"}},
    ),
    (
        "0.33.0",
        {"max-loras": 2},
        "max-loras: has no effect without enable-lora. Write `enable-lora: true` too, or remove it.",
        {"enable-lora": True},
    ),
    (
        "0.33.0",
        {"max-lora-rank": 16},
        "max-lora-rank: has no effect without enable-lora. Write `enable-lora: true` too, or remove it.",
        {"enable-lora": True},
    ),
    (
        "0.33.0",
        {"max-cpu-loras": 2},
        "max-cpu-loras: has no effect without enable-lora. Write `enable-lora: true` too, or remove it.",
        {"enable-lora": True},
    ),
    (
        "0.33.0",
        {"lora-dtype": "bfloat16"},
        "lora-dtype: has no effect without enable-lora. Write `enable-lora: true` too, or remove it.",
        {"enable-lora": True},
    ),
    (
        "0.33.0",
        {"lora-target-modules": ["q_proj"]},
        "lora-target-modules: has no effect without enable-lora. Write `enable-lora: true` too, or remove it.",
        {"enable-lora": True},
    ),
    (
        "0.33.0",
        {"fully-sharded-loras": True},
        "fully-sharded-loras: has no effect without enable-lora. Write `enable-lora: true` too, or remove it.",
        {"enable-lora": True},
    ),
    (
        "0.33.0",
        {"default-mm-loras": {"audio": "/a"}},
        "default-mm-loras: has no effect without enable-lora. Write `enable-lora: true` too, or remove it.",
        {"enable-lora": True},
    ),
    (
        "0.33.0",
        {"enable-tower-connector-lora": True},
        "enable-tower-connector-lora: has no effect without enable-lora. Write `enable-lora: true` too, or remove it.",
        {"enable-lora": True},
    ),
    (
        "0.8.5",
        {"kv-transfer-config": {"kv_role": "producer"}},
        "kv-transfer-config.kv_role: is no role. Write kv_producer, kv_consumer or kv_both.",
        {"kv-transfer-config": {"kv_role": "kv_producer"}},
    ),
    (
        "0.33.0",
        {"engram-config": {"dp_shared_memory": True, "cpu_offload": False}},
        "engram-config.dp_shared_memory: needs cpu_offload. Remove `cpu_offload: false` beside it.",
        {"engram-config": {"dp_shared_memory": True}},
    ),
    (
        "0.33.0",
        {"engram-config": {"use_thp": True, "dp_shared_memory": True}},
        "engram-config.use_thp: needs cpu_offload, and excludes dp_shared_memory. Remove `cpu_offload: false` or `dp_shared_memory: true` beside it.",
        {"engram-config": {"use_thp": True}},
    ),
    (
        "0.33.0",
        {"compilation-config": {"decoder_replay_cudagraph_capture_sizes": [0, 8]}},
        "compilation-config.decoder_replay_cudagraph_capture_sizes: holds a number below 1. Write numbers of 1 or more.",
        {"compilation-config": {"decoder_replay_cudagraph_capture_sizes": [8]}},
    ),
    (
        "0.33.0",
        {"compilation-config": {"encoder_cudagraph_token_budgets": [-1]}},
        "compilation-config.encoder_cudagraph_token_budgets: holds a number below 1. Write numbers of 1 or more.",
        {"compilation-config": {"encoder_cudagraph_token_budgets": [64]}},
    ),
]


@pytest.mark.parametrize(("version", "args", "said", "change"), BROKEN)
def test_a_broken_rule_is_told_and_its_remedy_mends_it(
    version: str, args: dict[str, Any], said: str, change: dict[str, Any], tell: Any
) -> None:
    told = tell(version, args, gpus=GPUS)
    assert f"args.{said}" in told.problems + told.warnings
    assert len(told.problems) <= 1
    mended = {option: value for option, value in {**args, **change}.items() if value is not None}
    assert tell(version, mended, gpus=GPUS).problems == []


def test_no_rule_is_without_a_case(tell: Any) -> None:
    broken = set()
    for version, args, __, __ in BROKEN:
        told = tell(version, args)
        assert told.release is not None
        given = Given(told.read, told.release, gpus=GPUS)
        broken |= {n for n, rule in enumerate(RULES) if set(rule.about) & set(told.read) and rule.is_broken(given)}
    assert [RULES[n] for n in range(len(RULES)) if n not in broken] == []


def test_every_release_can_be_asked_every_rule(tell: Any) -> None:
    for version in releases():
        for __, args, __, change in BROKEN:
            mended = {option: value for option, value in {**args, **change}.items() if value is not None}
            assert isinstance(tell(version, args, gpus=GPUS).problems + tell(version, mended).problems, list)


def test_no_rule_speaks_of_an_option_that_no_release_has() -> None:
    known = {option for version in releases() for option in (release(version) or Release("")).options}
    named = {option for rule in RULES for option in (*rule.about, *rule.needs, rule.at.partition(".")[0])}
    assert named <= known


def test_each_rule_says_where_it_is_from() -> None:
    assert [rule for rule in RULES if ".py" not in rule.source] == []


def test_rules_begin_and_end_with_the_releases_that_have_them(tell: Any) -> None:
    assert tell("0.26.0", {"max-model-len": 4096, "long-prefill-token-threshold": 5000}).problems == []
    assert tell("0.11.0", {"collect-detailed-traces": ["all"]}).problems == []
    assert tell("0.10.1", {"enable-eplb": True, "num-redundant-experts": 2, "tensor-parallel-size": 2}).problems != []


def test_a_refused_value_is_not_complained_of_twice(tell: Any) -> None:
    told = tell("0.33.0", {"enable-auto-tool-choice": True, "tool-call-parser": "hermez"})
    assert len(told.problems) == 1
    told = tell("0.33.0", {"lora-modules": ["a=/a"], "enable-lora": "true"})
    assert [said.split(":")[0] for said in told.problems] == ["args.enable-lora"]


def test_a_rule_names_the_option_as_the_operator_wrote_it(tell: Any) -> None:
    (said,) = tell("0.33.0", {"lora_modules": ["a=/a"]}).problems
    assert said.startswith("args.lora_modules: needs enable-lora.")


def test_nothing_is_known_of_an_unknown_release(tell: Any) -> None:
    assert tell(None, {"enable-auto-tool-choice": True, "lora-modules": ["a=/a"]}).problems == []
