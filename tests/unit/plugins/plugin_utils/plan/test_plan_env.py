"""`env` in the plan: switches as each release reads them, and keys that YAML reads as something else than text."""

from __future__ import annotations

from typing import Any

import pytest


@pytest.mark.parametrize(
    ("version", "name", "on", "exported"),
    [
        # To 0.27.1 the word alone switches it on.
        ("0.27.1", "VLLM_USE_MODELSCOPE", True, "true"),
        ("0.27.1", "VLLM_USE_MODELSCOPE", False, "false"),
        ("0.33.0", "VLLM_USE_MODELSCOPE", True, "1"),
        ("0.33.0", "VLLM_DO_NOT_TRACK", True, "1"),
        ("0.33.0", "VLLM_ROCM_USE_AITER", False, "0"),
        ("0.33.0", "NCCL_CUMEM_ENABLE", True, "1"),
    ],
)
def test_a_truth_value_is_exported_as_the_release_reads_it(
    version: str, name: str, on: bool, exported: str, fleet: Any
) -> None:
    outcome = fleet.plan({"m": {**fleet.chat, "env": {name: on}}}, {"h": {**fleet.gpu_host, "vllm_version": version}})
    assert outcome.problems == []
    assert outcome.plan["hosts"]["h"]["services"][0]["environment"][name] == exported


@pytest.mark.parametrize("part", ["args", "env", "prove"])
@pytest.mark.parametrize("key", [False, True, 1])
def test_a_key_that_is_no_text_is_named(part: str, key: Any, fleet: Any) -> None:
    told = fleet.told({"m": {**fleet.chat, part: {key: "x"}}})
    assert told == [f"vllm_models.m.{part}: has the key {key!r}, which YAML does not read as text. Quote it."]
