"""One command line for everything that `data/fates.yml` rewrites: the old words, and what they become."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from ansible_collections.baremetal.vllm.plugins.plugin_utils.migration.move import Moved, move_entry
from ansible_collections.baremetal.vllm.plugins.plugin_utils.options import fates, load
from ansible_collections.baremetal.vllm.plugins.plugin_utils.options.fates import Fate
from ansible_collections.baremetal.vllm.plugins.plugin_utils.options.merge import gathered
from ansible_collections.baremetal.vllm.plugins.plugin_utils.options.words import words

MODEL = "some/model"
# A value for what takes any: options, keys, and variables.
VALUES: dict[str, list[Any]] = {
    "device": ["cuda"],
    "rope-scaling": [{"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 32768}],
    "rope-theta": [1000000.0],
    "override-attention-dtype": ["bfloat16"],
    "logits-processor-pattern": [".*"],
    "override-neuron-config": [{"cast_logits_dtype": "bfloat16"}],
    "override-pooler-config": [{"pooling_type": "MEAN"}, '{"pooling_type": "LAST", "normalize": false}'],
    "pooler-config.normalize": [False],
    "pooler-config.logit_bias": [0.5],
    "pooler-config.logit_scale": [2.0],
    "guided-decoding-backend": ["auto", "xgrammar", "guidance", "outlines"],
    "speculative-model": ["org/draft"],
    "speculative-model-quantization": ["awq"],
    "num-speculative-tokens": [5],
    "speculative-draft-tensor-parallel-size": [1],
    "speculative-max-model-len": [2048],
    "speculative-disable-by-batch-size": [8],
    "ngram-prompt-lookup-max": [4],
    "ngram-prompt-lookup-min": [2],
    "spec-decoding-acceptance-method": ["rejection_sampler", "typical_acceptance_sampler"],
    "typical-acceptance-sampler-posterior-threshold": [0.09],
    "typical-acceptance-sampler-posterior-alpha": [0.3],
    "speculative-config.acceptance_method": ["typical_acceptance_sampler"],
    "speculative-config.posterior_threshold": [0.09],
    "speculative-config.posterior_alpha": [0.3],
    "speculative-config.disable_by_batch_size": [8],
    "speculative-config.speculative_token_tree": ["[(0,), (0, 0)]"],
    "speculative-config.synthetic_acceptance_rate": [0.7],
    "num-lookahead-slots": [4],
    "num-scheduler-steps": [8],
    "scheduler-delay-factor": [0.5],
    "preemption-mode": ["recompute", "swap"],
    "swap-space": [16],
    "max-num-partial-prefills": [2],
    "max-long-partial-prefills": [2],
    "cuda-graph-sizes": [[512], [1, 2, 4, 8]],
    "max-seq-len-to-capture": [8192],
    "limit-mm-per-prompt": ["image=4,video=1"],
    "eplb-window-size": [500],
    "eplb-step-interval": [1000],
    "num-redundant-experts": [8],
    "lora-extra-vocab-size": [256, 512],
    "long-lora-scaling-factors": [[4.0, 8.0]],
    "qlora-adapter-name-or-path": ["/adapter"],
    "prompt-adapters": [["a=/a"]],
    "max-prompt-adapters": [2],
    "max-prompt-adapter-token": [64],
    "tokenizer-pool-size": [2],
    "tokenizer-pool-type": ["ray"],
    "tokenizer-pool-extra-config": [{"a": 1}],
    "log-config-file": ["/etc/vllm/logging.json"],
    "ir-op-priority": [{}],
    "mamba-cache-mode": ["none", "align"],
    "compilation-config": [3, "2"],
    "compilation-config.level": [3],
    "compilation-config.compile_ranges_split_points": [[8, 64]],
    "compilation-config.encoder_cudagraph_max_images_per_batch": [4],
    "compilation-config.pass_config.fi_allreduce_fusion_max_token_num": [1024],
    "compilation-config.pass_config.sp_min_token_num": [64],
    "compilation-config.pass_config.dump_graph_dir": ["/tmp/graphs"],
    "compilation-config.pass_config.dump_graph_stages": [["before_split"]],
    "compilation-config.max_capture_size": [512],
    "kv-transfer-config.kv_rank": [0],
    "kv-transfer-config.kv_parallel_size": [2],
    "kv-transfer-config.kv_ip": ["10.0.0.1"],
    "kv-transfer-config.kv_buffer_size": [1e9],
    "ec-transfer-config.ec_rank": [0],
    "ec-transfer-config.ec_parallel_size": [2],
    "VLLM_ATTENTION_BACKEND": ["FLASH_ATTN", "FLASHINFER"],
    "VLLM_FLASH_ATTN_VERSION": ["3"],
    "VLLM_FLASH_ATTN_MAX_NUM_SPLITS_FOR_CUDA_GRAPH": ["32"],
    "VLLM_ALL2ALL_BACKEND": ["naive", "deepep_low_latency"],
    "VLLM_MM_INPUT_CACHE_GIB": ["8"],
    "VLLM_MM_HASHER_ALGORITHM": ["sha256"],
    "VLLM_PREFIX_CACHE_RETENTION_INTERVAL": ["16"],
    "VLLM_TORCH_PROFILER_DIR": ["/tmp/profile"],
    "VLLM_PROFILER_DELAY_ITERS": ["5"],
    "VLLM_PROFILER_MAX_ITERS": ["10"],
}
# What must stand beside an option or a key, in the old spelling as in the new one.
BESIDE: dict[str, dict[str, Any]] = {
    "guided-decoding-disable-any-whitespace": {"guided-decoding-backend": "xgrammar"},
    "guided-decoding-disable-additional-properties": {"guided-decoding-backend": "guidance"},
    "kv-transfer-config": {"kv_connector": "NixlConnector", "kv_role": "kv_both"},
    "ec-transfer-config": {"ec_connector": "ECExampleConnector", "ec_role": "ec_producer"},
}


@dataclass(frozen=True)
class Example:
    """`what`: the option, key or variable; `args` and `env` as an operator had them."""

    what: str
    args: dict[str, Any]
    env: dict[str, str]

    def moved(self, to: str) -> Moved:
        return move_entry(self.args, self.env, to)

    def words(self, to: str) -> list[str]:
        """What follows `vllm serve` in the release moved to."""
        release = load.release(to)
        return [
            MODEL,
            *(word for option, value in self.moved(to).args.items() for word in words(option, value, release)),
        ]

    def is_gone(self, release: str) -> bool:
        """Whether the release has no such option. Keys and values are not always the parser's to refuse."""
        known = load.release(release)
        if known is None or self.env or "." in self.what:
            return False
        # A name that another one begins with is its abbreviation.
        return not any(spelling.startswith(self.what) for spelling in known.spellings)

    def old_words(self) -> list[str]:
        """What follows `vllm serve` as it was written."""
        return [MODEL, *words(self.what, self.args[self.what], None)]


def examples() -> list[Example]:
    """At least one for every option, key, value and variable that has a fate."""
    found = [
        Example(name, _args(name, value), {}) for name, fate in fates.options().items() for value in _values(name, fate)
    ]
    found += [
        Example(name, {}, {name: str(value)})
        for name, fate in fates.variables().items()
        for value in _values(name, fate)
    ]
    return found


def _values(name: str, fate: Fate) -> Iterator[Any]:
    seen: list[Any] = []
    whens = [value for rule in fate.becomes if isinstance(rule.when, tuple) for value in rule.when]
    switches = [] if seen or whens or name in VALUES or fate.values else ["1"] if name.isupper() else [True]
    for value in [*whens, *fate.values, *VALUES.get(name, []), *switches]:
        if not any(value == other and type(value) is type(other) for other in seen):
            seen.append(value)
            yield value


def _args(name: str, value: Any) -> dict[str, Any]:
    path = tuple(name.split("."))
    args = gathered([(path, value)])
    beside = BESIDE.get(path[0], {})
    inner = args[path[0]]
    return {path[0]: {**beside, **inner}} if len(path) > 1 and isinstance(inner, dict) else {**beside, **args}
