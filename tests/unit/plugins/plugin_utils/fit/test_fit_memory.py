"""What a model takes of its GPUs: against vLLM's own sums, against published figures, and what an operator is told."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any

import pytest
from ansible_collections.baremetal.vllm.plugins.module_utils.text.problems import Problems
from ansible_collections.baremetal.vllm.plugins.plugin_utils.fit.config import language_part
from ansible_collections.baremetal.vllm.plugins.plugin_utils.fit.estimate import from_config
from ansible_collections.baremetal.vllm.plugins.plugin_utils.fit.facts import ModelFacts, canonical, read_config
from ansible_collections.baremetal.vllm.plugins.plugin_utils.fit.gpus import find
from ansible_collections.baremetal.vllm.plugins.plugin_utils.fit.memory import Fit, fit
from ansible_collections.baremetal.vllm.plugins.plugin_utils.fit.tensors import WeightsPart, WeightsSize
from ansible_collections.baremetal.vllm.plugins.plugin_utils.fit.verdict import check_fit
from ansible_collections.baremetal.vllm.plugins.plugin_utils.options.load import release as load
from ansible_collections.baremetal.vllm.plugins.plugin_utils.options.model import Release
from fit_models import CONFIGS
from hypothesis import given, settings
from hypothesis import strategies as st
from thoroughness import examples

GIB = 2**30
LLAMA, QWEN = "meta-llama/Llama-3.1-70B-Instruct", "Qwen/Qwen2.5-72B-Instruct"


def release(version: str) -> Release:
    known = load(version)
    assert known is not None
    return known


NEW = release("0.33.0")


def facts_of(name: str, **changes: Any) -> ModelFacts:
    """A public model with weights worked out from its config, where its architecture allows it."""
    config = {**CONFIGS[name], **changes}
    facts = read_config(config)
    return facts if facts.quantisation else replace(facts, weights=from_config(language_part(config), 2))


def memory_of(gpu: str) -> int:
    found = find(gpu)
    assert found is not None
    return found.memory


# Bytes of KV cache for one request, and the longest request that 1, 4 and 16 GiB hold, as vLLM 0.32.0 itself works them out
# (CPU build, blocks of 128 tokens, of 16 with a latent; 2,048 tokens a step): each model built without weights, its layers asked for
# their specs, these grouped and summed by vllm/v1/core/kv_cache_utils.py. Last column: hybrid KV cache manager.
ENGINE = [
    (QWEN, 1, "auto", 32768, 10737418240, (3200, 13056, 32768), True),
    (QWEN, 1, "auto", 3333, 1132462080, (3200, 3333, 3333), True),
    (QWEN, 4, "auto", 32768, 2684354560, (13056, 32768, 32768), True),
    (QWEN, 4, "fp8_e4m3", 32768, 1342177280, (26112, 32768, 32768), True),
    (LLAMA, 1, "auto", 131072, 42949672960, (3200, 13056, 52352), True),
    (LLAMA, 8, "auto", 131072, 5368709120, (26112, 104832, 131072), True),
    ("Qwen/Qwen3-235B-A22B", 4, "auto", 40960, 1971322880, (22272, 40960, 40960), True),
    ("Qwen/Qwen3-235B-A22B", 8, "auto", 40960, 1971322880, (22272, 40960, 40960), True),
    ("deepseek-ai/DeepSeek-V3", 1, "auto", 163840, 11513364480, (15264, 61104, 163840), True),
    ("deepseek-ai/DeepSeek-V3", 8, "auto", 163840, 11513364480, (15264, 61104, 163840), True),
    ("deepseek-ai/DeepSeek-V3", 4, "fp8_e4m3", 163840, 5756682240, (30544, 122224, 163840), True),
    ("deepseek-ai/DeepSeek-V2-Lite-Chat", 2, "auto", 163840, 5096079360, (34512, 138080, 163840), True),
    ("google/gemma-2-9b-it", 1, "auto", 8192, 2488270848, (2944, 8192, 8192), True),
    ("google/gemma-2-9b-it", 1, "auto", 8192, 2818572288, (3072, 8192, 8192), False),
    ("google/gemma-3-27b-it", 1, "auto", 131072, 12310282240, (1664, 33152, 131072), True),
    ("google/gemma-3-27b-it", 1, "auto", 131072, 66571993088, (2048, 8448, 33792), False),
    ("google/gemma-3-27b-it", 1, "auto", 3333, 1855979520, (1664, 3333, 3333), True),
    ("google/gemma-3-4b-it", 8, "auto", 131072, 769392640, (131072, 131072, 131072), True),
    ("openai/gpt-oss-120b", 1, "auto", 131072, 4916772864, (26752, 114176, 131072), True),
    ("openai/gpt-oss-120b", 1, "auto", 131072, 9663676416, (14464, 58240, 131072), False),
    ("openai/gpt-oss-120b", 2, "auto", 131072, 2458386432, (55936, 131072, 131072), True),
    ("mistralai/Mistral-7B-v0.1", 1, "auto", 32768, 822083584, (32768, 32768, 32768), True),
    ("mistralai/Mixtral-8x7B-Instruct-v0.1", 2, "auto", 32768, 2147483648, (16384, 32768, 32768), True),
    ("meta-llama/Llama-4-Scout-17B-16E-Instruct", 4, "auto", 10485760, 129226506240, (56576, 318720, 1367296), True),
    ("openai/whisper-large-v3", 4, "auto", 448, 104857600, (448, 448, 448), True),
    ("llava-hf/llava-1.5-7b-hf", 2, "auto", 4096, 1073741824, (4096, 4096, 4096), True),
    ("microsoft/Phi-3-mini-128k-instruct", 1, "auto", 4096, 1660944384, (2560, 4096, 4096), True),
    ("openai-community/gpt2", 2, "auto", 1024, 18874368, (1024, 1024, 1024), True),
    ("tiiuae/falcon-7b", 1, "auto", 2048, 16777216, (2048, 2048, 2048), True),
    ("Qwen/Qwen2.5-VL-7B-Instruct", 4, "auto", 128000, 1835008000, (74880, 128000, 128000), True),
]


@pytest.mark.parametrize(
    ("name", "tensor", "dtype", "length", "needed", "longest", "hybrid"), ENGINE, ids=lambda value: str(value)
)
def test_the_kv_cache_is_what_vllm_itself_works_out(
    name: str, tensor: int, dtype: str, length: int, needed: int, longest: tuple[int, ...], hybrid: bool
) -> None:
    args = {
        "tensor-parallel-size": tensor,
        "kv-cache-dtype": dtype,
        "max-model-len": length,
        "block-size": 16 if name.startswith("deepseek") else 128,
        "max-num-batched-tokens": 2048,
        "async-scheduling": False,
        "disable-hybrid-kv-cache-manager": not hybrid,
    }
    for gib, tokens in zip((1, 4, 16), longest):
        found = fit(facts_of(name), {**args, "kv-cache-memory-bytes": gib * GIB}, None, release("0.32.0"))
        assert found.needed == needed
        assert found.needed_least <= needed
        assert found.longest is not None
        assert min(found.longest, length) == tokens


# The same for the weights on one GPU: bytes of all parameters of the model as vLLM 0.32.0 builds it.
WEIGHTS = [(QWEN, 145420797184), (LLAMA, 141140968704), ("google/gemma-2-9b-it", 18487606946)]


@pytest.mark.parametrize(("name", "size"), WEIGHTS)
def test_the_weights_are_those_of_the_model_that_vllm_builds(name: str, size: int) -> None:
    found = fit(facts_of(name), {}, None, NEW)
    assert found.weights == pytest.approx(size, rel=0.001)
    assert found.weights_least <= size


@pytest.mark.parametrize(
    ("name", "args", "kib"),
    [
        # 2 (key, value) x layers x heads x size of a head x 2 bytes.
        (LLAMA, {}, 320),
        (QWEN, {}, 320),
        (LLAMA, {"tensor-parallel-size": 8}, 40),
        # Eight heads on sixteen GPUs: each keeps one.
        (LLAMA, {"tensor-parallel-size": 16}, 40),
        (LLAMA, {"pipeline-parallel-size": 2}, 160),
        (LLAMA, {"kv-cache-dtype": "fp8"}, 160),
        (LLAMA, {"dtype": "float32"}, 640),
        ("meta-llama/Llama-2-7b-hf", {}, 512),
        # The latent, 61 x 576 x 2 bytes, is whole on every GPU.
        ("deepseek-ai/DeepSeek-V3", {"tensor-parallel-size": 8}, 68.625),
        ("deepseek-ai/DeepSeek-V3", {"tensor-parallel-size": 8, "decode-context-parallel-size": 8}, 68.625 / 8),
        # Only full layers grow with the request.
        ("google/gemma-3-27b-it", {}, 80),
        ("openai/gpt-oss-120b", {}, 36),
    ],
)
def test_the_kv_cache_per_token_is_the_published_one(name: str, args: dict[str, Any], kib: float) -> None:
    assert fit(facts_of(name), args, None, NEW).per_token == int(kib * 1024)


def test_an_encoder_has_no_kv_cache() -> None:
    found = fit(facts_of("BAAI/bge-m3"), {}, memory_of("L4"), NEW)
    assert (found.per_token, found.needed, found.longest) == (0, 0, None)


def moe(experts: int = 8) -> ModelFacts:
    facts = read_config(CONFIGS["mistralai/Mixtral-8x7B-Instruct-v0.1"])
    weights = WeightsSize(
        0,
        layers=WeightsPart(32 * GIB),
        experts=WeightsPart(320 * GIB),
        embedding=WeightsPart(GIB),
        head=WeightsPart(GIB),
    )
    return replace(facts, experts=experts, weights=weights)


@pytest.mark.parametrize(
    ("facts", "args", "gib"),
    [
        (moe(), {}, 2 * (32 + 320 + 2)),
        (moe(), {"tensor-parallel-size": 4}, (32 + 320 + 2) / 2),
        # Every rank of data parallelism has all layers; the experts are divided among the ranks as well.
        (moe(), {"data-parallel-size": 4}, 2 * (32 + 320 / 4 + 2)),
        (moe(), {"tensor-parallel-size": 2, "data-parallel-size": 4}, 2 * (32 / 2 + 320 / 8 + 1)),
        (moe(0), {"data-parallel-size": 4}, 2 * (32 + 320 + 2)),
        (moe(), {"dtype": "float32"}, 4 * (32 + 320 + 2)),
        (moe(), {"quantization": "fp8"}, 32 + 320 + 2 * 2),
        (moe(), {"cpu-offload-gb": 8}, 2 * (32 + 320 + 2) - 8),
        # 32 layers in three stages: 11 with the embedding, 11, and 10 with the head.
        (moe(), {"pipeline-parallel-size": 3}, 2 * ((32 + 320) * 11 / 32 + 1)),
    ],
)
def test_weights_are_divided_as_vllm_divides_them(facts: ModelFacts, args: dict[str, Any], gib: float) -> None:
    found = fit(facts, args, None, NEW)
    assert found.weights is not None
    assert found.weights / GIB == pytest.approx(gib, rel=0.001)
    assert 0 < found.weights_least <= found.weights


def test_a_model_for_vectors_leaves_out_the_head_for_words() -> None:
    words, vectors = fit(moe(), {}, None, NEW), fit(moe(), {}, None, NEW, pooling=True)
    assert words.weights is not None
    assert vectors.weights == words.weights - 2 * GIB


@pytest.mark.parametrize(("version", "share"), [("0.19.1", 0.9), ("0.20.0", 0.92), ("0.33.0", 0.92)])
def test_what_the_engine_may_take_follows_the_release(version: str, share: float) -> None:
    found = fit(facts_of(LLAMA), {"tensor-parallel-size": 4}, find("A100-80GB"), release(version))
    assert found.budget == int(79.25 * GIB * share)
    assert found.left == found.available == found.budget - (found.weights or 0) - found.overhead.total


@pytest.mark.parametrize(
    ("version", "bytes_needed"),
    [
        # Without a hybrid KV cache manager, layers that slide keep every token: 62 layers of 8 KiB.
        ("0.9.0", 62 * 8 * 1024 * 131072),
        # With one: 10 full layers, and 6 groups of 10 that keep a window and 8,192 tokens (from 0.26.0 on, of two steps).
        ("0.11.0", 8 * 1024 * 10 * (131072 + 6 * (9216 + 16))),
        ("0.33.0", 8 * 1024 * 10 * (131072 + 6 * (17408 + 16))),
    ],
)
def test_layers_that_slide_follow_the_release(version: str, bytes_needed: int) -> None:
    found = fit(facts_of("google/gemma-3-27b-it"), {}, memory_of("H100-80GB"), release(version))
    assert found.needed == bytes_needed


@pytest.mark.parametrize(
    ("args", "said"),
    [
        ({"enable-lora": True}, "LoRA"),
        ({"speculative-config": {"model": "x"}}, "draft model"),
        ({"hf-overrides": {"num_hidden_layers": 2}}, "hf-overrides"),
        ({"kv-cache-dtype": "turboquant_4bit_nc"}, "turboquant_4bit_nc"),
        ({"quantization": "humming"}, "humming"),
        ({"hf-overrides.num_hidden_layers": 2}, "hf-overrides"),
        ({"speculative-config.method": "ngram"}, "draft model"),
        ({"offload-group-size": 4}, "offload-group-size"),
        ({"mm-encoder-only": True}, "mm-encoder-only"),
    ],
)
def test_what_options_make_unknown_is_said(args: dict[str, Any], said: str) -> None:
    found = fit(facts_of(LLAMA), args, memory_of("H100-80GB"), NEW)
    assert any(said in phrase for phrase in found.unknown)


@pytest.mark.parametrize(
    "args",
    [
        {"hf-overrides": {"num_hidden_layers": 2}},
        {"hf-overrides.num_hidden_layers": 2},
        {"offload-group-size": 4},
        {"mm-encoder-only": True},
        {"quantization": "humming"},
        {"cpu-offload-gb": 130},
    ],
    ids=str,
)
def test_no_plan_is_refused_for_what_is_not_known(args: dict[str, Any]) -> None:
    problems, facts = Problems(), facts_of(LLAMA)
    check_fit("vllm_models.x", args, facts, fit(facts, args, memory_of("A100-80GB"), NEW), "A100-80GB", problems)
    assert not [problem for problem in problems.found if "weights" in problem.reason]


def test_the_encoder_of_pictures_stays_out_where_no_picture_is_taken() -> None:
    facts = replace(facts_of(LLAMA), weights=WeightsSize(0, layers=WeightsPart(8 * GIB), other=WeightsPart(GIB)))
    for args, gib in (({}, 18), ({"language-model-only": True}, 16), ({"limit-mm-per-prompt": {"image": 0}}, 16)):
        found = fit(facts, args, None, NEW)
        assert (found.weights, found.weights_least) == (gib * GIB, gib * GIB)


def test_overrides_that_the_facts_were_read_with_are_known() -> None:
    overrides = {"num_hidden_layers": 2}
    facts = replace(facts_of(LLAMA, **overrides), overrides=canonical(overrides))
    assert not fit(facts, {"hf-overrides": '{"num_hidden_layers": 2}'}, GIB, NEW).unknown[1:]


def told(name: str, args: dict[str, Any], gpu: str, env: dict[str, str] | None = None) -> tuple[list[str], list[str]]:
    problems, facts = Problems(), facts_of(name)
    found = fit(facts, args, memory_of(gpu), NEW, env)
    check_fit("vllm_models.x", args, facts, found, gpu, problems, "gpu1", env)
    return sorted(map(str, problems.found)), sorted(map(str, problems.warned))


@pytest.mark.parametrize(
    ("name", "args", "gpu", "refused", "warned"),
    [
        (
            QWEN, {}, "H100-80GB",
            "vllm_models.x: takes at least 132.7 GiB of weights on each GPU, and the engine has 73.3 GiB of the 79.6 GiB "
            "(gpu-memory-utilization 0.92) of H100-80GB (gpu1). Write tensor-parallel-size: 4, choose a quantised checkpoint, "
            "or place it on larger GPUs.",
            "",
        ),
        (
            QWEN, {"tensor-parallel-size": 2}, "H100-80GB", "",
            "vllm_models.x: may not fit: about 67.7 GiB of weights on each GPU with tensor-parallel-size 2, beside about 5.2 GiB "
            "that vLLM takes itself, and the engine has 72.9 GiB of the 79.2 GiB (gpu-memory-utilization 0.92) of H100-80GB "
            "(gpu1). Write tensor-parallel-size: 4, max-num-seqs: 256 (not 1024), choose a quantised checkpoint, or place it on "
            "larger GPUs.",
        ),
        (
            QWEN, {"tensor-parallel-size": 2, "max-num-seqs": 256}, "H100-80GB", "",
            "vllm_models.x.args.max-model-len: may not fit: one request of 32768 tokens needs about 5.0 GiB of KV cache on each "
            "GPU, and about 1.8 GiB are left on H100-80GB (gpu1) beside 67.7 GiB of weights and about 3.3 GiB that vLLM takes "
            "itself. Write max-model-len: 11264 or less (about 11744 fit), or tensor-parallel-size: 4.",
        ),
        (QWEN, {"tensor-parallel-size": 2, "max-model-len": "10k", "max-num-seqs": 256}, "H100-80GB", "", ""),
        (QWEN, {"tensor-parallel-size": 2, "max-model-len": "auto", "max-num-seqs": 256}, "H100-80GB", "", ""),
        (QWEN, {"tensor-parallel-size": 4}, "H100-80GB", "", ""),
        (
            LLAMA, {"tensor-parallel-size": 4}, "A100-40GB",
            "vllm_models.x.args.max-model-len: one request of 131072 tokens needs at least 10.0 GiB of KV cache on each GPU, and "
            "at most 4.6 GiB are left on A100-40GB (gpu1) beside 32.9 GiB of weights. Write max-model-len: 11264 or less "
            "(about 12064 fit), or tensor-parallel-size: 8.",
            "",
        ),
        (
            LLAMA, {"tensor-parallel-size": 4, "kv-cache-memory-bytes": "2G"}, "H100-80GB",
            "vllm_models.x.args.max-model-len: one request of 131072 tokens needs at least 10.0 GiB of KV cache on each GPU, and "
            "at most 2.0 GiB are left on H100-80GB (gpu1). Write max-model-len: 25600 or less (about 26208 fit), or more "
            "GPUs, or a larger kv-cache-memory-bytes.",
            "",
        ),
        (
            LLAMA, {"tensor-parallel-size": 4, "kv-cache-memory-bytes": "60G"}, "H100-80GB",
            "vllm_models.x.args.kv-cache-memory-bytes: takes at least 32.2 GiB of weights and 60.0 GiB of KV cache on each GPU "
            "with tensor-parallel-size 4, and the engine has 79.6 GiB of H100-80GB (gpu1). Write tensor-parallel-size: 16, lower "
            "kv-cache-memory-bytes, or place it on larger GPUs.",
            "",
        ),
        (
            "mistralai/Mistral-7B-v0.1", {}, "T4", "",
            "vllm_models.x: may not fit: about 13.5 GiB of weights on each GPU, beside about 1.1 GiB that vLLM takes itself, and the "
            "engine has 13.5 GiB of the 14.7 GiB (gpu-memory-utilization 0.92) of T4 (gpu1). Write tensor-parallel-size: 2, choose a "
            "quantised checkpoint, or place it on larger GPUs.",
        ),
        (
            QWEN, {"tensor-parallel-size": 8, "max-model-len": "128K"}, "H100-80GB",
            "vllm_models.x.args.max-model-len: 131072 tokens are more than the 32768 that the model is made for. Write 32768 or "
            "less, or force it with env: {VLLM_ALLOW_LONG_MAX_MODEL_LEN: 1}.",
            "",
        ),
    ],
)  # fmt: skip
def test_what_an_operator_is_told(name: str, args: dict[str, Any], gpu: str, refused: str, warned: str) -> None:
    assert told(name, args, gpu) == ([refused] if refused else [], [warned] if warned else [])


def test_a_length_that_is_forced_is_taken() -> None:
    args = {"tensor-parallel-size": 8, "max-model-len": "128K"}
    assert told(QWEN, args, "H200", {"VLLM_ALLOW_LONG_MAX_MODEL_LEN": "1"}) == ([], [])


def test_yarn_alone_no_longer_stretches_and_the_message_says_so() -> None:
    yarn = {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 32768}
    facts = facts_of(QWEN, rope_scaling=yarn)
    for version, refused in (("0.29.0", False), ("0.30.0", True)):
        problems, args = Problems(), {"tensor-parallel-size": 8, "max-model-len": 131072}
        check_fit("vllm_models.x", args, facts, fit(facts, args, memory_of("H200"), release(version)), "H200", problems)
        assert bool(problems.found) == refused
        assert not refused or "raise max_position_embeddings: `hf-overrides: {max_position_embeddings: 131072, " in str(
            *problems.found
        )


def test_keys_are_spelled_as_the_operator_spelled_them() -> None:
    class Args(dict[str, Any]):
        written = {"max-model-len": "max_model_len"}  # noqa: RUF012

    problems, facts, args = Problems(), facts_of(LLAMA), Args({"tensor-parallel-size": 4, "max-model-len": 131072})
    check_fit("vllm_models.x", args, facts, fit(facts, args, memory_of("A100-40GB"), NEW), "A100-40GB", problems)
    assert {problem.key for problem in problems.found} == {"vllm_models.x.args.max_model_len"}


def test_no_plan_is_refused_for_the_cache_of_a_model_type_that_was_never_compared() -> None:
    config = {**CONFIGS[LLAMA], "model_type": "brand_new"}
    facts = replace(read_config(config), weights=facts_of(LLAMA).weights)
    problems, args = Problems(), {"tensor-parallel-size": 4}
    check_fit("vllm_models.x", args, facts, fit(facts, args, memory_of("A100-40GB"), NEW), "A100-40GB", problems)
    assert not problems.found
    assert problems.warned


SIZES = st.sampled_from([1, 2, 4, 8])
SETTINGS = st.fixed_dictionaries(
    {},
    optional={
        "tensor-parallel-size": SIZES,
        "pipeline-parallel-size": SIZES,
        "data-parallel-size": SIZES,
        "max-model-len": st.integers(1, 10**6),
        "kv-cache-dtype": st.sampled_from(["auto", "fp8", "nvfp4"]),
        "dtype": st.sampled_from(["auto", "float32", "half"]),
        "quantization": st.sampled_from(["fp8", "bitsandbytes", "humming"]),
        "gpu-memory-utilization": st.floats(0.01, 1),
        "cpu-offload-gb": st.integers(0, 200),
        "disable-hybrid-kv-cache-manager": st.booleans(),
        "block-size": st.sampled_from([16, 32, 128]),
        "max-num-batched-tokens": st.sampled_from([512, "8k"]),
    },
)
OPTIONS = [
    *("tensor-parallel-size", "pipeline-parallel-size", "data-parallel-size", "decode-context-parallel-size"),
    *(
        "max-model-len",
        "kv-cache-dtype",
        "dtype",
        "quantization",
        "gpu-memory-utilization",
        "cpu-offload-gb",
        "block-size",
    ),
    *("max-num-batched-tokens", "hf-overrides", "kv-cache-memory-bytes", "offload-params", "speculative-config"),
]
ANY = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=6), st.lists(st.integers()))
NAMES = st.sampled_from(sorted(CONFIGS))
MEMORY = st.sampled_from([15, 24, 80, 141, 180]).map(lambda gib: gib * GIB)
RELEASES = st.sampled_from(["0.8.5", "0.11.0", "0.26.0", "0.33.0"]).map(release)
FACTS = {name: facts_of(name) for name in CONFIGS}


def sane(found: Fit) -> None:
    sizes = (
        found.weights,
        found.weights_least,
        found.per_token,
        found.needed,
        found.left,
        found.left_most,
        found.longest,
    )
    assert all(size is None or size >= 0 for size in sizes)
    if found.weights is not None and found.setting.pipeline == 1:
        assert found.weights_least <= found.weights
    if found.needed is not None:
        assert found.needed_least <= found.needed
    if found.longest is not None and found.longest_most is not None:
        assert found.longest <= found.longest_most


@settings(max_examples=examples(300), deadline=None)
@given(NAMES, SETTINGS, MEMORY, RELEASES)
def test_every_figure_is_sane_and_what_is_certain_lies_within_what_is_likely(
    name: str, args: dict[str, Any], memory: int, version: Release
) -> None:
    sane(fit(FACTS[name], args, memory, version))


@settings(max_examples=examples(200), deadline=None)
@given(NAMES, SETTINGS, MEMORY, RELEASES, st.sampled_from(["tensor-parallel-size", "pipeline-parallel-size"]))
def test_more_gpus_never_take_more_of_each(
    name: str, args: dict[str, Any], memory: int, version: Release, option: str
) -> None:
    few = fit(FACTS[name], args, memory, version)
    many = fit(FACTS[name], {**args, option: args.get(option, 1) * 2}, memory, version)
    assert many.weights_least <= few.weights_least
    if few.weights is not None and many.weights is not None:
        assert many.weights <= few.weights
    if few.per_token is not None and many.per_token is not None:
        assert many.per_token <= few.per_token
    assert many.needed_least <= few.needed_least


@settings(max_examples=examples(200), deadline=None)
@given(NAMES, SETTINGS, MEMORY, RELEASES, st.integers(1, 10**6), st.integers(0, 10**6))
def test_a_longer_request_never_takes_less(
    name: str, args: dict[str, Any], memory: int, version: Release, length: int, more: int
) -> None:
    short = fit(FACTS[name], {**args, "max-model-len": length}, memory, version)
    long = fit(FACTS[name], {**args, "max-model-len": length + more}, memory, version)
    assert short.needed_least <= long.needed_least
    if short.needed is not None and long.needed is not None:
        assert short.needed <= long.needed


@settings(max_examples=examples(200), deadline=None)
@given(NAMES, st.dictionaries(st.sampled_from(OPTIONS), ANY), MEMORY)
def test_any_value_of_any_option_is_taken_without_an_exception(name: str, args: dict[str, Any], memory: int) -> None:
    found = fit(FACTS[name], args, memory, None)
    sane(found)
    check_fit("vllm_models.x", args, FACTS[name], found, "GPU", Problems(), "gpu1")


def test_eight_thousand_services_take_a_fraction_of_a_second() -> None:
    facts, memory = facts_of(QWEN), memory_of("H100-80GB")
    began = time.process_time()
    for i in range(8000):
        args = {"tensor-parallel-size": 4, "max-model-len": 1024 * (1 + i % 16)}
        check_fit("vllm_models.x", args, facts, fit(facts, args, memory, NEW), "H100-80GB", Problems(), f"gpu{i}")
    assert time.process_time() - began < 2


@pytest.mark.parametrize(
    ("release_name", "written", "states"),
    [
        ("0.32.0", {}, 2),
        ("0.32.0", {"enable-prefix-caching": False}, 1),
        ("0.24.0", {}, 1),
        ("0.24.0", {"enable-prefix-caching": True}, 2),
        ("0.14.0", {"enable-prefix-caching": True}, 1),
    ],
)
def test_requests_that_share_a_beginning_keep_two_states(
    release_name: str, written: dict[str, Any], states: int
) -> None:
    # Four groups of twelve layers, three of which keep states; blocks of 1,152 tokens, as vLLM 0.32.0 itself lays them out.
    facts = read_config(CONFIGS["Qwen/Qwen3-Next-80B-A3B-Instruct"])
    found = fit(facts, {"block-size": 1152, **written}, None, release(release_name))
    assert found.needed == 12 * 1152 * 2 * 2 * 256 * 2 * (228 + 3 * states)
