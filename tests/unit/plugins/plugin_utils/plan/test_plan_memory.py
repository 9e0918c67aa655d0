"""Memory and hardware in the plan: what does not fit is said before a download, what is not known is called so."""

from __future__ import annotations

import json
from typing import Any

import pytest
from ansible_collections.baremetal.vllm.plugins.plugin_utils.fit.facts import ModelFacts, read_config, read_model

# The sizes in the config.json of meta-llama/Llama-3.1-70B-Instruct.
LLAMA_70B = {
    "architectures": ["LlamaForCausalLM"],
    "model_type": "llama",
    "hidden_size": 8192,
    "intermediate_size": 28672,
    "num_hidden_layers": 80,
    "num_attention_heads": 64,
    "num_key_value_heads": 8,
    "vocab_size": 128256,
    "max_position_embeddings": 131072,
    "torch_dtype": "bfloat16",
}


@pytest.fixture
def facts(tmp_path: Any) -> ModelFacts:
    (tmp_path / "config.json").write_text(json.dumps(LLAMA_70B))
    read = read_model(tmp_path)
    assert isinstance(read, ModelFacts)
    return read


def test_a_model_that_fits_has_its_figures_in_the_plan(fleet: Any, facts: ModelFacts) -> None:
    entry = {**fleet.chat, "args": {"tensor-parallel-size": 4, "max-model-len": "32k"}}
    outcome = fleet.plan({"m": entry}, {"h": {**fleet.gpu_host, "gpu_name": "H100-80GB"}}, facts={"m": facts})
    assert outcome.problems == []
    memory = outcome.plan["hosts"]["h"]["services"][0]["memory"]
    # 70.55 billion parameters of 2 bytes on 4 GPUs; 80 layers × 2 heads a GPU × 128 × (key and value) × 2 bytes.
    assert abs(memory["weights"] - 70.55e9 * 2 / 4) < 0.01 * memory["weights"]
    assert memory["kv_per_token"] == 80 * 2 * 128 * 2 * 2
    assert memory["gpu"] == 81559 * 2**20
    assert memory["longest"] == 131072


def test_weights_that_cannot_fit_are_refused_before_any_download(fleet: Any, facts: ModelFacts) -> None:
    entry = {**fleet.chat, "args": {"max-model-len": "8k"}}
    told = fleet.told({"m": entry}, {"h": {**fleet.gpu_host, "gpu_name": "H100-80GB"}}, facts={"m": facts})
    assert len(told) == 1
    assert told[0].startswith("vllm_models.m: takes at least ")
    assert "tensor-parallel-size: 2" in told[0]


def test_a_context_that_cannot_fit_is_refused_with_the_longest_that_does(fleet: Any, facts: ModelFacts) -> None:
    entry = {**fleet.chat, "args": {"tensor-parallel-size": 2, "max-model-len": "128k"}}
    told = fleet.told({"m": entry}, {"h": {**fleet.gpu_host, "gpu_name": "H100-80GB"}}, facts={"m": facts})
    assert len(told) == 1
    assert told[0].startswith("vllm_models.m.args.max-model-len: one request of 128000 tokens needs at least ")


def test_a_share_of_a_gpu_counts(fleet: Any) -> None:
    small = read_config({**LLAMA_70B, "num_hidden_layers": 1})
    two = {name: {**fleet.chat, "gpus": [0]} for name in "ab"}
    outcome = fleet.plan(two, {"h": {**fleet.gpu_host, "gpu_memory_gib": 80}}, facts={"a": small})
    memory = [service["memory"] for service in outcome.plan["hosts"]["h"]["services"]]
    assert memory[0]["gpu"] == memory[1]["gpu"] == 80 * 2**30
    assert memory[0]["kv_per_token"] == 8 * 128 * 2 * 2
    assert memory[1]["weights"] is None
    assert "config.json is not at hand" in memory[1]["unknown"][0]


HARDWARE = [
    ({"gpu_name": "H100-80GBB"}, "h.gpu_name", 'Did you mean "H100-80GB"'),
    ({"gpu_name": "A100"}, "h.gpu_name", "A100-40GB, A100-80GB"),
    ({"gpu_memory_gib": "lots"}, "h.gpu_memory_gib", "Write the memory of one GPU"),
    ({"nvidia_driver_version": "latest"}, "h.nvidia_driver_version", "Write a branch or a version"),
    ({"nvidia_driver_version": 535}, "h.nvidia_driver_version", "580"),
    ({"gpu_name": "V100-32GB"}, "h.gpu_name", "7.5"),
]


@pytest.mark.parametrize(("change", "key", "words"), HARDWARE)
def test_hardware_that_cannot_run_the_release_is_refused(fleet: Any, change: Any, key: str, words: str) -> None:
    found = fleet.plan({"m": fleet.chat}, {"h": {**fleet.gpu_host, **change}}).problems
    assert [(p.key, words in str(p)) for p in found] == [(key, True)], [str(p) for p in found]


def test_the_same_mistake_on_many_hosts_is_told_once(fleet: Any) -> None:
    hosts = {f"h{i}": {**fleet.gpu_host, "gpu_name": "A100"} for i in range(1000)}
    told = fleet.told({"m": fleet.chat}, hosts)
    assert len(told) == 1
    assert told[0].startswith("h0, h1, h2 and 997 more.gpu_name: ")


def test_only_hosts_with_gpus_are_asked_to_declare_them(fleet: Any, facts: ModelFacts) -> None:
    entry = {**fleet.chat, "args": {"max-model-len": 1024}}
    hosts = {"g": fleet.gpu_host, "c": {"vllm_accelerator": "cpu", "vllm_version": "0.33.0"}}
    outcome = fleet.plan(
        {"m": {**entry, "hosts": "g"}, "n": {**entry, "hosts": "c"}}, hosts, facts={"m": facts, "n": facts}
    )
    said = {host: planned["services"][0]["memory"]["unknown"] for host, planned in outcome.plan["hosts"].items()}
    assert {host: "declare gpu_name" in " ".join(unknown) for host, unknown in said.items()} == {"g": True, "c": False}
