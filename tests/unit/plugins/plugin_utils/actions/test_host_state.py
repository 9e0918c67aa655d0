"""What host_state is not told of engines is as the host has it for the role vllm_engine: every playbook then sees the same."""

from __future__ import annotations

import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml
from ansible.errors import AnsibleActionFail, AnsibleConnectionFailure
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar, trust_as_template
from ansible_collections.baremetal.vllm.plugins.action import host_state

DEFAULTS = yaml.safe_load(
    (Path(__file__).resolve().parents[5] / "roles" / "vllm_engine" / "defaults" / "main.yml").read_text()
)


def sent(variables: dict[str, Any], **options: Any) -> dict[str, Any]:
    """What the host is asked."""
    return asked_and_answered(variables, **options)[0]


def asked_and_answered(variables: dict[str, Any], **options: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """What the host is asked, and what becomes of an answer of its."""
    found: dict[str, Any] = {}

    def module(module_args: dict[str, Any], **__: Any) -> dict[str, Any]:
        found.update(module_args)
        return {"schema": 1, "steps": [], "refusals": [], "filesets": {}}

    answer = answered(module, variables, options)
    assert answer["status"] == "read"
    return found, answer


def answered(module: Any, variables: dict[str, Any], options: dict[str, Any]) -> dict[str, Any]:
    """What the action says of a host on which `module` is what runs."""
    task = SimpleNamespace(args=options, async_val=0, check_mode=False, diff=False, action="")
    connection = SimpleNamespace(_shell=SimpleNamespace(tmpdir="/tmp"))
    loader = DataLoader()
    action: Any = host_state.ActionModule(task, connection, None, loader, Templar(loader, variables), None)
    action._execute_module = module
    answer: dict[str, Any] = action.run(task_vars=variables)
    return answer


@pytest.mark.parametrize(
    ("variables", "options", "keep"),
    [
        ({}, {}, None),
        ({"vllm_engine_keep": ["0.33.0"]}, {}, ["0.33.0"]),
        ({"mine": "0.32.0", "vllm_engine_keep": [trust_as_template("{{ mine }}")]}, {}, ["0.32.0"]),
        ({"vllm_engine_keep": ["0.33.0"]}, {"keep": ["0.31.0"]}, ["0.31.0"]),
    ],
    ids=["the role's", "the host's", "an expression of the host's", "the task's"],
)
def test_releases_to_keep(variables: dict[str, Any], options: dict[str, Any], keep: list[str] | None) -> None:
    asked = sent(variables, **options)
    assert asked.get("keep") == keep
    assert asked["packages"] == DEFAULTS["vllm_engine_packages"]


WEIGHTS = {"source": "host", "path": "/srv/m"}
PLANNED = {
    "inventory_hostname": "gpu1",
    "planned": {
        "plan": {
            "hosts": {"gpu1": {"host": None, "engine": None, "weights": [WEIGHTS], "services": [], "firewall": None}}
        }
    },
}


@pytest.mark.parametrize(("age", "told"), [(0, 0), (604800, 604800), (None, None)])
def test_no_age_at_all_is_an_age(age: int | None, told: int | None) -> None:
    assert sent(PLANNED, plan="planned", proof_age=age).get("proof_age") == told


@pytest.mark.parametrize(("verify", "forced"), [(True, ["weights"]), ("yes", ["weights"]), (False, None), (None, None)])
def test_weights_that_are_to_be_read_anew_are_no_matter_of_a_look(verify: Any, forced: list[str] | None) -> None:
    variables = {**PLANNED, **({} if verify is None else {"model_weights_verify": verify})}
    assert asked_and_answered(variables, plan="planned")[1].get("forced") == forced


KEY, ENGINE = "sk-team-0123456789abcdef", "engine-key-0123456789"
GATEWAY = {"hosts": ["gw1"], "addresses": ["10.0.0.5"], "settings": {}, "models": []}


def behind_a_gateway(host: str, **more: Any) -> dict[str, Any]:
    plan = {**PLANNED["planned"]["plan"], "gateway": GATEWAY}
    keys = {"gateway_keys": {"team": KEY}, "vllm_api_key": ENGINE}
    return {"inventory_hostname": host, "planned": {"plan": plan}, "groups": {"gateways": ["gw1"]}, **keys, **more}


def test_a_gateway_is_asked_for_its_files_and_gets_no_secret() -> None:
    found = sent(behind_a_gateway("gw1"), plan="planned", gateway_group="gateways")
    assert (found["engines"], found["gateway"]) == (False, True)
    paths = {file["path"] for each in found["filesets"]["gateway"] for file in each["files"]}
    digests = {path for each in found["filesets"]["gateway"] for path in each["digests"]}
    assert {"/etc/haproxy/vllm.cfg", *digests} <= paths
    assert digests
    assert KEY not in str(found)
    assert ENGINE not in str(found)


def test_a_host_of_engines_that_is_no_gateway_is_asked_as_before() -> None:
    found = sent(behind_a_gateway("gpu1"), plan="planned", gateway_group="gateways")
    assert (found.get("engines", True), found["gateway"], set(found["filesets"])) == (
        True,
        False,
        {"firewall", "canary"},
    )


def test_a_gateway_that_cannot_be_set_up_so_is_a_finding() -> None:
    wrong = behind_a_gateway("gw1", gateway_keys={"team": {"key": KEY, "models": ["nobody-serves-it"]}})
    answer = asked_and_answered(wrong, plan="planned", gateway_group="gateways")[1]
    assert "nobody-serves-it" in answer["filesets"]["gateway"]["unknown"][0]


def test_a_plan_without_the_host_is_none() -> None:
    with pytest.raises(AnsibleActionFail, match="planned holds no plan for gw1"):
        sent(behind_a_gateway("gw1"), plan="planned")


def silent(**__: Any) -> dict[str, Any]:
    threading.Event().wait(60)
    raise AssertionError("nobody ended it")


def test_a_host_that_falls_silent_is_told_by_name_with_what_to_do() -> None:
    answer = answered(silent, {**PLANNED, "vllm_look_timeout": 0.05}, {"plan": "planned"})
    assert answer["status"] == "unreachable"
    assert answer["why"].startswith("gpu1 gave no answer within 0.05 s. See by ssh what hangs there")
    assert "vllm_look_timeout" in answer["why"]


def test_a_host_that_falls_silent_is_lost_to_a_run_like_one_without_a_route() -> None:
    with pytest.raises(AnsibleConnectionFailure, match=r"gpu1 gave no answer within 0\.05 s"):
        answered(silent, {**PLANNED, "vllm_look_timeout": 0.05}, {"plan": "planned", "lost": "unreachable"})
