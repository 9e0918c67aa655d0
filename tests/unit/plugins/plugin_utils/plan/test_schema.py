"""The JSON Schema for editors: good inventories pass, mistakes of typing are marked, and the names it offers are the release's."""

from __future__ import annotations

import functools
import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from ansible_collections.baremetal.vllm.plugins.plugin_utils.options.load import release, releases
from ansible_collections.baremetal.vllm.plugins.plugin_utils.places import read_yaml
from ansible_collections.baremetal.vllm.plugins.plugin_utils.plan.schema import variables
from ansible_collections.baremetal.vllm.plugins.plugin_utils.plan.variables import known_variables

ROOT = Path(__file__).parents[5]
NEWEST = releases()[-1]


@functools.cache
def check(schema: str) -> None:
    jsonschema.Draft7Validator.check_schema(json.loads(schema))


def taken_apart(value: Any, parts: list[Any]) -> Any:
    """A schema without those of its properties, which are added to `parts`: most are the same in all releases, and checked once."""
    if isinstance(value, list):
        return [taken_apart(each, parts) for each in value]
    if not isinstance(value, dict):
        return value
    rest = {key: taken_apart(each, parts) for key, each in value.items()}
    if isinstance(properties := rest.get("properties"), dict):
        parts += properties.values()
        rest["properties"] = dict.fromkeys(properties, True)
    return rest


@functools.cache
def validator(version: str) -> Any:
    known = release(version)
    assert known is not None
    schema = variables(known)
    parts: list[Any] = []
    for part in [taken_apart(schema, parts), *parts]:
        check(json.dumps(part))
    return jsonschema.Draft7Validator(schema)


def entry(**more: Any) -> dict[str, Any]:
    return {"vllm_models": {"m": {"model": "/m", "kind": "chat", **more}}}


@pytest.mark.parametrize("inventory", ["example", "one-host", "lab"])
def test_our_own_inventories_pass(inventory: str) -> None:
    files = sorted((ROOT / "inventories" / inventory / "group_vars" / "all").glob("*.yml"))
    contents = [read_yaml(path) for path in files]
    hosts = read_yaml(ROOT / "inventories" / inventory / "hosts.yml")
    contents += variables_in(hosts)
    version = next(content["vllm_version"] for content in contents if "vllm_version" in content)
    judge = validator(version)
    assert [error.message for content in contents for error in judge.iter_errors(content)] == []
    assert sum(len(set(content) & set(judge.schema["properties"])) for content in contents) >= 5, (
        "it knows what they set"
    )


def variables_in(groups: Any) -> list[dict[str, Any]]:
    """The variables of the groups and hosts of an inventory's file."""
    found = []
    for group in (groups or {}).values():
        found.append((group or {}).get("vars") or {})
        found += [host for host in ((group or {}).get("hosts") or {}).values() if host]
        found += variables_in((group or {}).get("children"))
    return found


def test_it_knows_every_variable_of_ours_with_its_meaning() -> None:
    properties = validator(NEWEST).schema["properties"]
    begins = (
        "vllm_",
        "gateway_",
        "rollout_",
        "nvidia_driver_",
        "wheelhouse_",
        "model_",
        "endpoint_",
        "gpu_",
        "rocm_",
        "lab_",
    )
    internal = {name for path in (ROOT / "roles").glob("*/vars/*.yml") for name in read_yaml(path) or {}}
    meant = [name for name in sorted(known_variables()) if name.startswith(begins) and name not in internal]
    assert [name for name in meant if not properties.get(name, {}).get("description")] == []
    assert len(meant) > 150


TOP: list[tuple[dict[str, Any], bool]] = [
    ({"vllm_modles": {}}, False),
    ({"gateway_prot": 80}, False),
    ({"rollout_cannary": "gpu1"}, False),
    ({"nvidia_driver_verson": "580"}, False),
    ({"wheelhouse_pyton": True}, False),
    ({"vllm_engine_source": "weelhouse"}, False),
    ({"gateway_port": "many"}, False),
    ({"nvidia_driver_reboot": "perhaps"}, False),
    ({"vllm_engine_index_urls": {"a": 1}}, False),
    ({"my_models": {}, "gpu_rack": 7, "ansible_user": "root", "model": "x"}, True),
    ({"gateway_port": 8443, "rollout_canary": "gpu1", "nvidia_driver_reboot": True, "vllm_output": "json"}, True),
    (
        {"gateway_port": "{{ door }}", "vllm_engine_index_urls": ["https://mirror.lan/simple"], "vllm_serial": "10%"},
        True,
    ),
]


@pytest.mark.parametrize(("content", "right"), TOP)
def test_variables_of_roles_and_playbooks_are_judged(content: dict[str, Any], right: bool) -> None:
    assert (not list(validator(NEWEST).iter_errors(content))) == right


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
