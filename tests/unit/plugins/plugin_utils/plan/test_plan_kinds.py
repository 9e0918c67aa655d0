"""Hosts with several kinds of GPU: declared by index, planned by index."""

from __future__ import annotations

import json
from typing import Any

import pytest
from ansible_collections.baremetal.vllm.plugins.plugin_utils.fit.facts import ModelFacts, read_model
from ansible_collections.baremetal.vllm.plugins.plugin_utils.gpus.declared import Declared
from ansible_collections.baremetal.vllm.plugins.plugin_utils.inventory.jsonform import build
from ansible_collections.baremetal.vllm.plugins.plugin_utils.options.load import release
from ansible_collections.baremetal.vllm.plugins.plugin_utils.plan.schema import variables
from jsonschema import Draft7Validator

MIXED = {"vllm_accelerator": "cuda", "vllm_version": "0.33.0", "gpu_count": 4}
NAMES = ["L4", "H100-80GB", "H100-80GB", "L4"]
# The sizes in the config.json of Qwen/Qwen2.5-14B-Instruct: 27.5 GiB of weights.
QWEN_14B = {
    "model_type": "qwen2",
    "hidden_size": 5120,
    "intermediate_size": 13824,
    "num_hidden_layers": 48,
    "num_attention_heads": 40,
    "num_key_value_heads": 8,
    "vocab_size": 152064,
    "max_position_embeddings": 32768,
    "torch_dtype": "bfloat16",
}


@pytest.fixture
def facts(tmp_path: Any) -> ModelFacts:
    (tmp_path / "config.json").write_text(json.dumps(QWEN_14B))
    read = read_model(tmp_path)
    assert isinstance(read, ModelFacts)
    return read


def test_a_model_is_planned_for_the_gpu_that_it_gets(fleet: Any, facts: ModelFacts) -> None:
    hosts = {"h": {**MIXED, "gpu_name": NAMES}}
    assert fleet.told({"m": {**fleet.chat, "gpus": [1]}}, hosts, facts={"m": facts}) == []
    (refused,) = fleet.told({"m": {**fleet.chat, "gpus": [0]}}, hosts, facts={"m": facts})
    assert refused.startswith("vllm_models.m: takes at least 27.")
    assert "of L4 (h)" in refused


def test_a_count_gets_gpus_of_one_kind(fleet: Any) -> None:
    two = {**fleet.chat, "args": {"tensor-parallel-size": 2}}
    outcome = fleet.plan({"one": fleet.chat, "two": two}, {"h": {**MIXED, "gpu_name": NAMES}})
    assert outcome.problems == []
    placed = {service["name"]: list(service["gpus"]) for service in outcome.plan["hosts"]["h"]["services"]}
    assert placed == {"one": [0], "two": [1, 2]}


def test_a_model_across_kinds_is_warned_of(fleet: Any) -> None:
    entry = {**fleet.chat, "gpus": [0, 1], "args": {"tensor-parallel-size": 2}}
    outcome = fleet.plan({"m": entry}, {"h": {**MIXED, "gpu_name": NAMES}})
    assert outcome.problems == []
    assert [str(problem) for problem in outcome.warnings] == [
        "vllm_models.m.gpus: spans GPUs of several kinds on h (L4 and H100-80GB): each does as much as the smallest. "
        "List the indices of GPUs of one kind."
    ]


def test_what_the_host_is_compared_with_is_listed_by_index(fleet: Any) -> None:
    outcome = fleet.plan({"m": fleet.chat}, {"h": {**MIXED, "gpu_name": NAMES}})
    declared = build(Declared, outcome.plan["hosts"]["h"]["host"])
    assert [declared.kind(index).name for index in range(4)] == NAMES
    alike = fleet.plan({"m": fleet.chat}, {"h": {**MIXED, "gpu_name": ["L4"] * 4}}).plan["hosts"]["h"]["host"]
    assert (alike["gpu_name"], "gpus" in alike) == ("L4", False)


@pytest.mark.parametrize(
    ("change", "key", "words"),
    [
        ({"gpu_name": NAMES[:3]}, "h.gpu_name", "lists 3 GPUs, and gpu_count is 4"),
        ({"gpu_name": [*NAMES[:3], "Voodoo 2"]}, "h.gpu_name", "'Voodoo 2' is not a GPU known here"),
        ({"gpu_memory_gib": [24, 80]}, "h.gpu_memory_gib", "lists 2 GPUs, and gpu_count is 4"),
        ({"gpu_memory_gib": [24, 80, 80, "lots"]}, "h.gpu_memory_gib", "'lots' is not a size in GiB"),
        # A V100 beside them: the kernels of the release begin later.
        ({"gpu_name": [*NAMES[:3], "V100-32GB"]}, "h.gpu_name", "V100-32GB has compute capability 7.0"),
        ({"gpu_name": NAMES, "gpu_mig": {0: ["1g.10gb"]}}, "h.gpu_mig.0", "L4"),
    ],
)
def test_a_list_that_cannot_be_is_refused(fleet: Any, change: Any, key: str, words: str) -> None:
    entry = {**fleet.chat, "gpus": [3]}
    found = fleet.plan({"m": entry}, {"h": {**MIXED, **change}}).problems
    assert [(problem.key, words in str(problem)) for problem in found] == [(key, True)], [str(p) for p in found]


def test_memory_can_be_listed_too(fleet: Any, facts: ModelFacts) -> None:
    hosts = {"h": {**MIXED, "gpu_memory_gib": [24, 80, 80, 24]}}
    memory = [
        fleet.plan({"m": {**fleet.chat, "gpus": [index]}}, hosts).plan["hosts"]["h"]["services"][0]["memory"]["gpu"]
        for index in (0, 1)
    ]
    assert memory == [24 * 2**30, 80 * 2**30]


def test_editors_know_both_forms() -> None:
    known = release("0.33.0")
    assert known is not None
    validator = Draft7Validator(variables(known))
    for good in ("L4", NAMES):
        assert not list(validator.iter_errors({"gpu_name": good}))
    assert not list(validator.iter_errors({"gpu_memory_gib": [24, 80.5]}))
    assert list(validator.iter_errors({"gpu_name": [4]}))
