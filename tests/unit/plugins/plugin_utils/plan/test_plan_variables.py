"""Variables of hosts that nothing reads: told by name where they look like ours, and never where they are ours."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.baremetal.vllm.plugins.plugin_utils.plan.variables import OURS, known_variables, nearest
from ansible_collections.baremetal.vllm.tools import variables
from hypothesis import given
from hypothesis import strategies as st

ROOT = Path(__file__).resolve().parents[5]
# What stands in the documentation's tables and text with a prefix of ours, and is no variable of an inventory.
NO_VARIABLES = {
    *(
        "gpu_hosts",
        "gpu_facts",
        "gpu_settings",
        "gpu_check",
        "fleet_hold",
        # A check of endpoints.
        "image_read",
        "fleet_lock",
        "fleet_problems",
        "vllm_engine",
        "model_weights",
        "model_service",
    ),
    *("nvidia_driver", "endpoint_check", "endpoint_firewall", "container_toolkit", "lab_hosts"),
    *("acceptance_method", "model_not_found", "model_type", "nvidia_peermem", "nvidia_uvm"),
}


def told(fleet: Any, *names: str, gateways: tuple[str, ...] | None = None) -> list[str]:
    """The plan's warnings about a host (and perhaps a gateway) that has these variables beside those it needs."""
    more: dict[str, Any] = {"names": {"gpu1": (*fleet.gpu_host, *names)}}
    if gateways is not None:
        more["gateway_names"] = {"gw1": gateways}
    warned = fleet.plan({"m": fleet.chat}, **more).warnings
    return [str(problem) for problem in warned if "no variable of this collection" in str(problem)]


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("vllm_modles", "vllm_models"),
        ("vllm_model", "vllm_models"),
        ("vllm_api_kye", "vllm_api_key"),
        ("vlm_models", "vllm_models"),
        ("vllm_apikey", "vllm_api_key"),
        ("vllm_endpoint_adress", "vllm_endpoint_address"),
        ("vllm_engine_kernel_index", "vllm_engine_kernels_index"),
        ("vllm_grup", "vllm_group"),
        ("gpu_cuont", "gpu_count"),
        ("gpu_names", "gpu_name"),
        ("gpu_memory_gb", "gpu_memory_gib"),
        ("rollout_seral", "rollout_serial"),
        ("gateway_key", "gateway_keys"),
        ("canary_intervall", "canary_interval"),
        ("acceptance_levle", "acceptance_level"),
        ("endpoint_check_timeuot", "endpoint_check_timeout"),
        ("model_weights_ofline", "model_weights_offline"),
        ("wheelhouse_accelerater", "wheelhouse_accelerator"),
        ("dcgm_exporter_prot", "dcgm_exporter_port"),
        ("rocm_versoin", "rocm_version"),
    ],
)
def test_a_misspelt_variable_is_told_with_the_known_one(fleet: Any, name: str, near: str) -> None:
    assert told(fleet, name) == [
        f'gpu1.{name}: is no variable of this collection, nothing reads it. Did you mean "{near}".'
    ]


@pytest.mark.parametrize("name", ["vllm_max_model_length", "rollout_speed", "vllm_gpu_memory_utilization"])
def test_whatever_begins_with_a_prefix_that_is_ours_alone_is_told(fleet: Any, name: str) -> None:
    (line,) = told(fleet, name)
    assert line.startswith(f"gpu1.{name}: is no variable of this collection")
    assert "begin the name of a variable of your own otherwise" in line


@pytest.mark.parametrize(
    "name",
    [
        *(
            "gpu_rack",
            "gpu_min",
            "model_dir",
            "endpoint_team",
            "gateway_of_the_rack",
            "hosts",
            "models",
            "tom",
            "empty_",
        ),
        *(
            "vault_vllm_api_key",
            "ansible_host",
            "ansible_ssh_common_args",
            "ansible_becom",
            "inventory_hostname",
            "groups",
        ),
        *("__vllm_plan", "molecule_file", "site", "rack", "http_proxy", "canary_team", "rocm", "vllm"),
    ],
)
def test_an_operators_own_variables_are_let_alone(fleet: Any, name: str) -> None:
    assert told(fleet, name) == []


def test_what_is_refused_is_not_told_twice_and_a_mistake_of_many_hosts_once(fleet: Any) -> None:
    assert told(fleet, "nvidia_driver_verison", "gateway_tiemout", gateways=("gateway_tiemout",)) == []
    (line,) = told(fleet, "gateway_tiemout")
    assert 'Did you mean "gateway_timeout"' in line
    (line,) = told(fleet, "vllm_modles", gateways=("vllm_modles",))
    assert line.startswith("gpu1 and gw1.vllm_modles: ")
    (line,) = told(fleet, gateways=("nvidia_driver_verison",))
    assert line.startswith("gw1.nvidia_driver_verison: ")


def test_the_list_of_variables_is_what_the_collection_reads() -> None:
    """After a new variable: python tools/variables.py."""
    assert json.loads(variables.FILE.read_text()) == variables.variables()


@pytest.mark.parametrize(
    ("part", "read"),
    [
        ({"hosts": "{{ vllm_group | default('gpu_hosts') }}"}, {"vllm_group"}),
        ([{"when": ["nvidia_driver_manage | bool", "x.y is none"]}], {"nvidia_driver_manage", "x"}),
        ({"that": "a in b"}, {"a", "b"}),
        ({"name": "when vllm_models is text"}, set()),
        ({"msg": "{% for h in hosts_ %}{{ h }}{% endfor %}"}, {"hosts_", "h"}),
    ],
)
def test_expressions_are_found_where_ansible_reads_them(part: Any, read: set[str]) -> None:
    assert set(variables.expressions(part)) == read


def inventory_variables() -> Iterator[tuple[str, str]]:
    """Every variable that the inventories of the repository and the lab's tests set, and where."""
    for path in sorted([*ROOT.glob("inventories/**/*.yml"), *ROOT.glob("molecule/**/*.yml")]):
        document = yaml.load(path.read_text(), Loader=variables._Loader)
        if "group_vars" in path.parts or path.name == "vars.yml":
            yield from ((str(path), name) for name in document)
        elif "inventories" in path.parts or "inventory" in path.parts:
            yield from ((str(path), name) for name in of_groups(document))


def of_groups(groups: Any) -> Iterator[str]:
    for group in (groups or {}).values():
        for host in ((group or {}).get("hosts") or {}).values():
            yield from host or {}
        yield from (group or {}).get("vars") or {}
        yield from of_groups((group or {}).get("children"))


def test_nothing_in_our_own_inventories_is_warned_about() -> None:
    found = list(inventory_variables())
    assert len({path for path, __ in found}) >= 6
    strange = [(path, name) for path, name in found if name not in known_variables()]
    assert [(path, name) for path, name in strange if name.startswith(OURS) or nearest(name)] == []


def test_every_variable_of_the_documentation_is_known() -> None:
    """A name in backticks with a prefix of ours, alone or in front of a colon, is one that somebody will write."""
    prefixes = sorted({name.split("_")[0] for name in known_variables() if "_" in name} - {"lab"})
    pattern = re.compile(rf"`((?:{'|'.join(prefixes)})_[a-z0-9_]*[a-z0-9])(?::[^`]*)?`")
    pages = [ROOT / "README.md", *ROOT.glob("docs/*.md")]
    found = {name: page.name for page in pages for name in pattern.findall(page.read_text())}
    assert len(found) > 100
    assert {name: page for name, page in found.items() if name not in known_variables() | NO_VARIABLES} == {}


@given(st.sampled_from(sorted(name for name in known_variables() if len(name) > 10 and "_" in name)), st.data())
def test_one_wrong_letter_is_always_noticed(name: str, data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(name) - 1))
    letter = data.draw(st.sampled_from(["", "x", name[at] * 2]))
    misspelt = name[:at] + letter + name[at + 1 :]
    assert misspelt in known_variables() or nearest(misspelt)
