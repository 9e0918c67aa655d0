"""What options lay over config.json, however they are written."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.baremetal.vllm.plugins.module_utils.text.problems import Problems
from ansible_collections.baremetal.vllm.plugins.plugin_utils.fit.facts import ModelFacts, read_model
from ansible_collections.baremetal.vllm.plugins.plugin_utils.fit.overrides import overrides_of
from ansible_collections.baremetal.vllm.plugins.plugin_utils.fit.setting import read_setting
from ansible_collections.baremetal.vllm.plugins.plugin_utils.options.check import read_arguments
from ansible_collections.baremetal.vllm.plugins.plugin_utils.options.extras import NO_EXTRAS
from ansible_collections.baremetal.vllm.plugins.plugin_utils.options.load import release

YARN = {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 32768}
# The lengths of Qwen/Qwen3-32B.
CONFIG = {"architectures": ["Qwen3ForCausalLM"], "model_type": "qwen3", "max_position_embeddings": 40960}

# From 0.30.0 on the length in config.json is taken for the stretched one.
WRITTEN: list[tuple[str, dict[str, Any]]] = [
    ("0.11.0", {"rope-scaling": YARN}),
    ("0.11.0", {"rope_scaling": json.dumps(YARN)}),
    ("0.11.0", {"rope-scaling": YARN, "rope-theta": 1000000.0}),
    ("0.11.0", {"rope-scaling": YARN, "hf-overrides": {"vocab_size": 8}}),
    ("0.29.0", {"hf-overrides": {"rope_scaling": YARN}}),
    ("0.29.0", {"--hf_overrides": json.dumps({"rope_scaling": YARN})}),
    ("0.29.0", {f"hf-overrides.rope_scaling.{key}": value for key, value in YARN.items()}),
    ("0.29.0", {"hf-overrides.rope_scaling": YARN}),
]


@pytest.mark.parametrize(("version", "args"), WRITTEN)
def test_a_stretched_context_counts_however_it_is_written(version: str, args: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps(CONFIG))
    facts = read_model(tmp_path, overrides_of(args))
    assert isinstance(facts, ModelFacts)
    problems, of = Problems(), release(version)
    read = read_arguments("args", {**args, "max-model-len": 131072}, of, NO_EXTRAS, problems)
    assert [str(problem) for problem in problems.found] == []
    setting = read_setting(facts, read, None, of, {}, False)
    assert setting.limit is not None
    assert setting.limit >= 131072
    # The files were read with what the operator wrote.
    assert setting.unknown == ()


def test_files_read_without_the_overrides_are_not_sure(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps(CONFIG))
    facts = read_model(tmp_path)
    assert isinstance(facts, ModelFacts)
    setting = read_setting(facts, {"rope-scaling": YARN}, None, release("0.11.0"), {}, False)
    assert "hf-overrides" in setting.unknown[0]


@pytest.mark.parametrize(
    ("args", "laid"),
    [
        ({}, None),
        ({"hf-overrides": None, "rope-scaling": None}, None),
        ({"hf-overrides": "a function"}, "a function"),
        ({"hf-overrides": "no JSON", "rope-theta": 1.0}, {"rope_theta": 1.0}),
        ({"hf-overrides": '{"a": 1}', "hf-overrides.b": 2}, {"a": 1, "b": 2}),
        ({"hf-overrides.a": 1, "hf-overrides.a.b": 2}, {"a": 1}),
    ],
)
def test_overrides_are_put_together(args: dict[str, Any], laid: Any) -> None:
    assert overrides_of(args) == laid
