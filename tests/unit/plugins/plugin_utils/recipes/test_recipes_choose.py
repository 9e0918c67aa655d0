"""Variant, way and number of GPUs by host; and why none."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.baremetal.vllm.plugins.module_utils.text.problems import Problems
from ansible_collections.baremetal.vllm.plugins.plugin_utils.fit.facts import read_model
from ansible_collections.baremetal.vllm.plugins.plugin_utils.plan.hosts import DeclaredHost, read_host
from ansible_collections.baremetal.vllm.plugins.plugin_utils.recipes.choose import judge, strategies
from ansible_collections.baremetal.vllm.plugins.plugin_utils.recipes.machine import machines
from ansible_collections.baremetal.vllm.plugins.plugin_utils.recipes.model import load
from ansible_collections.baremetal.vllm.plugins.plugin_utils.recipes.propose import Proposal, Unfit, Wish, propose
from ansible_collections.baremetal.vllm.plugins.plugin_utils.recipes.propose import judge as judge_on_host
from hypothesis import given
from hypothesis import strategies as st
from recipe_models import QWEN3

RECIPES = load()
NAMES = sorted(RECIPES.recipes)


def host(gpu: Any, count: int = 1, **more: Any) -> DeclaredHost:
    accelerator = "rocm" if str(gpu).startswith("MI") else "cuda"
    declared = {"vllm_accelerator": accelerator, "vllm_version": "0.33.0", "gpu_count": count, **more}
    if gpu:
        declared["gpu_name"] = gpu
    read = read_host("gpu1", declared, Problems())
    assert read is not None
    return read


def proposed(
    model: str, on: DeclaredHost, variant: str = "", strategy: str = "", features: tuple[str, ...] = ()
) -> Proposal:
    found = RECIPES.find(model)
    assert found is not None
    return propose(Wish(found[0], RECIPES.release, variant or found[1], strategy, features), on)


CHOSEN = [
    # One GPU is enough, and no more is taken.
    ("Qwen/Qwen3-32B", "H100-80GB", 8, ("default", "single_node_tp", 1)),
    ("Qwen/Qwen3-32B", "L40S", 8, ("default", "single_node_tp", 2)),
    # What one GPU does not hold: the least power of two.
    ("meta-llama/Llama-3.3-70B-Instruct", "H100-80GB", 8, ("default", "single_node_tp", 2)),
    # Too large as it is: the largest variant that fits.
    ("deepseek-ai/DeepSeek-R1", "H200", 8, ("default", "single_node_tp", 8)),
    ("deepseek-ai/DeepSeek-R1", "B200", 4, ("redhat_nvfp4", "single_node_tp", 4)),
    # A variant's own hub id names it.
    ("nvidia/DeepSeek-R1-0528-NVFP4-v2", "B200", 8, ("nvfp4", "single_node_tp", 4)),
    ("qwen/qwen3-8b", "L4", 1, ("default", "single_node_tp", 1)),
    # Three GPUs share no model's heads evenly: what two of them hold.
    ("Qwen/Qwen3-32B", "RTX 4090", 3, ("fp8", "single_node_tp", 2)),
]


@pytest.mark.parametrize(("model", "gpu", "count", "wanted"), CHOSEN)
def test_the_variant_that_fits_is_chosen(model: str, gpu: str, count: int, wanted: tuple[str, str, int]) -> None:
    choice = proposed(model, host(gpu, count)).choice
    assert (choice.variant.name, choice.strategy, choice.gpus) == wanted


def args_of(model: str, gpu: str, count: int, **more: Any) -> dict[str, Any]:
    made: dict[str, Any] = proposed(model, host(gpu, count), **more).made.entry
    return made


def test_hardware_adds_its_options_and_variables() -> None:
    nvidia, amd = (args_of("deepseek-ai/DeepSeek-R1", gpu, 8) for gpu in ("H200", "MI300X"))
    assert nvidia["args"]["enable-expert-parallel"] is True
    assert "env" not in nvidia
    assert "enable-expert-parallel" not in amd["args"]
    assert amd["env"] == {"VLLM_ROCM_USE_AITER": "1"}
    exact = args_of("deepseek-ai/DeepSeek-R1", "MI355X", 8)
    assert exact["env"]["VLLM_ROCM_QUICK_REDUCE_QUANTIZATION"] == "INT4"


def test_expert_and_data_parallel_take_every_gpu() -> None:
    spread = args_of("deepseek-ai/DeepSeek-R1", "H200", 8, strategy="single_node_tep")["args"]
    assert (spread["tensor-parallel-size"], spread["enable-expert-parallel"]) == (8, True)
    spread = args_of("deepseek-ai/DeepSeek-R1", "H200", 8, strategy="single_node_dep")["args"]
    assert (spread["data-parallel-size"], "tensor-parallel-size" in spread) == (8, False)


def test_the_kind_follows_from_the_recipe() -> None:
    kinds = {
        "Qwen/Qwen3-32B": "reasoning",
        "Qwen/Qwen2.5-VL-7B-Instruct": "vision",
        "meta-llama/Llama-3.3-70B-Instruct": "chat",
        "jinaai/jina-reranker-m0": "rerank",
        "jinaai/jina-embeddings-v5-text-small": "embedding",
        "openai/whisper-large-v3": "transcription",
        "Qwen/Qwen3-ASR-1.7B": "transcription",
    }
    assert {model: args_of(model, "H200", 8)["kind"] for model in kinds} == kinds
    text_only = args_of("Qwen/Qwen2.5-VL-7B-Instruct", "H200", 8, features=("text_only",))
    assert (text_only["kind"], text_only["args"]["language-model-only"]) == ("chat", True)


THINKERS = [
    ("openai/gpt-oss-120b", "openai_gptoss"),
    ("Qwen/Qwen3-14B", "qwen3"),
    ("Qwen/Qwen3-32B", "qwen3"),
    ("tencent/Hunyuan-A13B-Instruct", "hunyuan_a13b"),
    ("Qwen/Qwen3-235B-A22B-Instruct-2507", None),
    ("microsoft/Phi-4-reasoning", None),
]


@pytest.mark.parametrize(("model", "parser"), THINKERS)
def test_what_thinks_gets_its_parser_though_the_recipe_leaves_it_off(model: str, parser: str | None) -> None:
    made = proposed(model, host("H200", 8)).made
    assert made.entry.get("args", {}).get("reasoning-parser") == parser
    assert made.entry["kind"] == ("reasoning" if parser else "chat")
    told = any("as `chat` it may not pass" in note for note in made.notes)
    assert told == (model == "microsoft/Phi-4-reasoning")


def test_what_the_host_would_not_have_is_left_out_and_named() -> None:
    made = proposed("deepseek-ai/DeepSeek-R1", host("H200", 8)).made
    assert "chat-template" not in made.entry["args"]
    assert any("examples/tool_chat_template_deepseekr1.jinja is left out" in note for note in made.notes)
    assert any("groups of hosts are not built: " in note and "multi_node_tp" in note for note in made.notes)
    drafted = proposed("moonshotai/Kimi-K2.5", host("B300", 8)).made
    assert "speculative-config" not in drafted.entry["args"]
    assert any("lightseekorg/kimi-k2.5-eagle3-mla is not brought to the host" in note for note in drafted.notes)
    # A model that drafts for itself has what it needs.
    own = proposed("deepseek-ai/DeepSeek-V4-Flash-Vision-Exp", host("B300", 8)).made.entry["args"]["speculative-config"]
    assert own["method"] == "dspark"
    assert "model" not in own


FITTED = [
    # One GPU holds the weights and a request of the whole context.
    (host("RTX 4090", 4), {}, "beside the weights"),
    # One does not, two do; one alone gets a shorter context.
    (
        host("RTX 3060", 4),
        {"tensor-parallel-size": 2},
        "tensor-parallel-size is 2 here: one request of the model's own 40960",
    ),
    (
        host("RTX 3060", 1),
        {"max-model-len": ...},
        "here: one request of the model's own 40960 tokens does not fit on 1×RTX 3060",
    ),
]


@pytest.mark.parametrize(("on", "wanted", "said"), FITTED)
def test_the_models_own_context_decides_too(
    tmp_path: Path, on: DeclaredHost, wanted: dict[str, Any], said: str
) -> None:
    (tmp_path / "config.json").write_text(json.dumps(QWEN3))
    facts = read_model(tmp_path)
    declared = {
        "vllm_accelerator": "cuda",
        "vllm_version": "0.33.0",
        "gpu_count": on.gpu_count,
        "gpu_name": on.gpu and on.gpu.name,
    }
    verdict = judge_on_host(proposed("Qwen/Qwen3-4B", on), on, declared, facts)
    assert verdict.problems == []
    args = verdict.made.entry["args"]
    got = {key: args[key] for key in ("tensor-parallel-size", "max-model-len") if key in args}
    assert got == {key: args[key] if value is ... else value for key, value in wanted.items()}
    assert any(said in note for note in verdict.made.notes) == bool(wanted)
    # What is written is what the plan takes without a warning of memory.
    assert not [note for note in verdict.made.notes if "may not fit" in note]


def test_of_mixed_gpus_those_with_most_memory_are_named() -> None:
    mixed = host(["L4", "H100-80GB", "H100-80GB", "L4"], 4)
    proposal = proposed("meta-llama/Llama-3.3-70B-Instruct", mixed)
    assert (proposal.machine.gpu, proposal.made.entry["gpus"]) == ("H100-80GB", [1, 2])
    cut = host("H100-80GB", 4, gpu_mig={0: ["1g.10gb"]})
    if cut.unusable:
        assert 0 not in proposed("meta-llama/Llama-3.3-70B-Instruct", cut).made.entry["gpus"]


REFUSED: list[tuple[str, DeclaredHost, dict[str, Any], str]] = [
    (
        "deepseek-ai/DeepSeek-R1",
        host("H100-80GB", 8),
        {},
        "default needs 805 GB of GPU memory, and 8×H100-80GB have 684 GB",
    ),
    ("deepseek-ai/DeepSeek-R1", host("H100-80GB", 8), {}, "nvfp4 is nvfp4, which needs nvidia blackwell GPUs"),
    ("deepseek-ai/DeepSeek-R1", host("H100-80GB", 8), {}, "mxfp4 is for mi350x, mi355x only"),
    (
        "deepseek-ai/DeepSeek-R1",
        host("H200", 8),
        {"variant": "nvfp4"},
        "Leave variant out, and the one that fits is taken",
    ),
    (
        "deepseek-ai/DeepSeek-R1",
        host("H200", 8),
        {"variant": "nvfp"},
        "variant: the recipe has no 'nvfp'. Did you mean \"nvfp4\"",
    ),
    ("deepseek-ai/DeepSeek-R1", host("H200", 8), {"strategy": "multi_node_tp"}, "spans several hosts"),
    ("deepseek-ai/DeepSeek-R1", host("H200", 8), {"strategy": "single_node_te"}, 'Did you mean "single_node_tep"'),
    ("deepseek-ai/DeepSeek-R1", host("H200", 8), {"features": ("reasonin",)}, 'Did you mean "reasoning"'),
    ("Qwen/Qwen3-32B", host("H200", 8), {"strategy": "single_node_dep"}, "cannot be spread as single_node_dep here"),
    ("Qwen/Qwen3-32B", host("", 8), {}, "gpu1.gpu_name: is not declared"),
    ("Qwen/Qwen3-32B", host("H200", 8, vllm_version="0.8.4"), {}, "or newer, and the host runs 0.8.4 (vllm_version)"),
    ("deepseek-ai/DeepSeek-R1", host("", vllm_accelerator="cpu"), {}, "default is not for CPUs in the recipe"),
]


@pytest.mark.parametrize(("model", "on", "wishes", "said"), REFUSED)
def test_what_cannot_be_is_said_with_its_remedy(
    model: str, on: DeclaredHost, wishes: dict[str, Any], said: str
) -> None:
    with pytest.raises(Unfit) as refused:
        proposed(model, on, **wishes)
    assert said in str(refused.value)


def test_a_recipe_tried_elsewhere_says_so() -> None:
    notes = proposed("Qwen/Qwen3-8B", host("L40S", 2)).made.notes
    assert "The recipe was tried on xeon6 alone: nothing in it speaks against L40S" in notes
    notes = proposed("deepseek-ai/DeepSeek-R1", host("B300", 8)).made.notes
    assert any("on B300 it is yours to try" in note for note in notes)


@pytest.mark.parametrize(
    ("word", "near"),
    [
        ("Qwen/Qwen3-32b-instruct", "Qwen/Qwen3-32B"),
        ("gpt-oss-120b", "openai/gpt-oss-120b"),
        ("deepseek/DeepSeek-R1", "deepseek-ai/DeepSeek-R1"),
    ],
)
def test_the_nearest_names_are_found(word: str, near: str) -> None:
    assert RECIPES.find(word) is None
    assert near in RECIPES.near(word)


GPUS = ["T4", "L4", "A100-80GB", "L40S", "H100-80GB", "H200", "B200", "RTX 5090", "GB10", "MI300X", "MI355X"]


@given(st.sampled_from(NAMES), st.sampled_from(GPUS), st.integers(1, 16), st.data())
def test_whatever_is_chosen_fits(name: str, gpu: str, count: int, data: st.DataObject) -> None:
    """A power of two of GPUs, no more than there are, with the memory that the variant needs; more memory never hurts."""
    recipe, machine = RECIPES.recipes[name], machines(host(gpu, count))[0]
    variant = recipe.variants[data.draw(st.sampled_from(sorted(recipe.variants)))]
    offered = strategies(recipe, machine)
    way = data.draw(st.sampled_from(offered)) if offered else ""
    found = judge(recipe, variant, machine, "0.33.0", way)
    if hasattr(found, "gpus"):
        assert 0 < found.gpus <= count
        assert found.gpus * machine.memory >= (machine.exact(variant.gb_on) or variant.gb) * 1e9
        more = judge(recipe, variant, replace(machine, memory=machine.memory * 2), "0.33.0", way)
        assert hasattr(more, "gpus")
        assert more.gpus <= found.gpus
    else:
        assert found.variant == variant.name
        assert found.reason
