"""The JSON Schema for editors: good inventories pass, mistakes of typing are marked, and the names it offers are the release's."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from ansible_collections.baremetal.vllm.plugins.module_utils.catalogue.load import release, releases
from ansible_collections.baremetal.vllm.plugins.module_utils.plan.schema import variables

ROOT = Path(__file__).parents[3]
NEWEST = releases()[-1]


@cache
def validator(version: str) -> Any:
    known = release(version)
    assert known is not None
    schema = variables(known)
    jsonschema.Draft7Validator.check_schema(schema)
    return jsonschema.Draft7Validator(schema)


def entry(**more: Any) -> dict[str, Any]:
    return {"vllm_models": {"m": {"model": "/m", "kind": "chat", **more}}}


@pytest.mark.parametrize("inventory", ["example", "lab"])
def test_our_own_inventories_pass(inventory: str) -> None:
    content = yaml.safe_load((ROOT / f"inventories/{inventory}/group_vars/all/vllm.yml").read_text())
    found = validator(content["vllm_version"]).iter_errors(content)
    assert [error.message for error in found] == []


GOOD: list[dict[str, Any]] = [
    {"args": {"max-model-len": "32k", "max_num_seqs": 8, "enforce-eager": True, "seed": None}},
    {"args": {"max-num-seqs": "{{ seats }}", "compilation-config": {"mode": 3}, "compilation-config.mode": 3}},
    {"args": {"compilation-config": '{"mode": 3}', "tool-call-parser": "somebody_elses"}},
    {"args": "{{ shared_args }}", "gpus": [0, 1], "env": {"VLLM_LOGGING_LEVEL": "DEBUG", "OMP_NUM_THREADS": 1}},
]


@pytest.mark.parametrize("more", GOOD)
def test_what_the_plan_accepts_is_not_marked(more: dict[str, Any]) -> None:
    assert [error.message for error in validator(NEWEST).iter_errors(entry(**more))] == []


BAD: list[dict[str, Any]] = [
    {"kind": "chatt"},
    {"hots": "gpu1"},
    {"gpus": 0},
    {"args": {"max-modl-len": 1}},
    {"args": {"max-num-seqs": "many"}},
    {"args": {"enforce-eager": "yes"}},
    {"args": {"dtype": "float17"}},
    {"args": {"gpu-memory-utilization": 1.5}},
    {"args": {"compilation-config": {"modus": 3}}},
    {"args": {"port": 8000}},
    {"args": {"api-key": "x"}},
]


@pytest.mark.parametrize("more", BAD)
def test_mistakes_are_marked(more: dict[str, Any]) -> None:
    assert [error.message for error in validator(NEWEST).iter_errors(entry(**more))]


@pytest.mark.parametrize("version", releases())
def test_every_release_has_a_schema_that_offers_its_options(version: str) -> None:
    known = release(version)
    assert known is not None
    shape = validator(version).schema["properties"]["vllm_models"]["anyOf"][0]["additionalProperties"]["anyOf"][0]
    offered = set(shape["properties"]["args"]["anyOf"][0]["properties"])
    assert {"max-model-len", "tensor-parallel-size"} <= offered
    assert offered <= set(known.options)
