"""Nothing flows back: a role reads its own variables, those of the whole site (`vllm_*`) and Ansible's, and none of another role."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.baremetal.vllm.tools.variables import ANSIBLES, expressions

ROOT = Path(__file__).resolve().parents[3]
ROLES = sorted(path.name for path in (ROOT / "roles").iterdir() if path.is_dir())
USING = {"ansible.builtin.include_role", "ansible.builtin.import_role"}
# Modules are given the names of variables in which hosts have something.
NAME = re.compile(r"__[a-z][a-z0-9_]*")
EXCEPTIONS = {
    # What an included role's task registered, for the judge of a rollout: a host that was lost there must not be switched, and Ansible
    # has nothing to register for the include itself.
    ("rollout", "__endpoint_firewall"),
}


def owner(name: str) -> str:
    """The role whose prefix a variable has (`vllm_engine_keep` is of vllm_engine), "" where it has none."""
    plain = name.removeprefix("__")
    return max((role for role in ROLES if plain == role or plain.startswith(f"{role}_")), key=len, default="")


def texts(part: Any) -> Iterator[str]:
    if isinstance(part, dict):
        part = list(part.values())
    if isinstance(part, list):
        for item in part:
            yield from texts(item)
    elif isinstance(part, str):
        yield part


def foreign(role: str, part: Any) -> set[str]:
    """The variables that a part of a role reads, or has read by name, and should not."""
    read = {*expressions(part), *(text for text in texts(part) if NAME.fullmatch(text))} - ANSIBLES
    others = {name for name in read if owner(name) != role and not name.startswith("ansible_")}
    return {name for name in others if owner(name) or not name.startswith("vllm_")}


def files(role: str) -> list[Path]:
    return [
        path
        for part in ("tasks", "handlers", "defaults", "vars")
        for path in (ROOT / "roles" / role / part).glob("*.yml")
    ]


@pytest.mark.parametrize("role", ROLES)
def test_a_role_reads_its_own_variables_and_those_of_the_site(role: str) -> None:
    found = {name for path in files(role) for name in foreign(role, yaml.safe_load(path.read_text()))}
    assert {(role, name) for name in found} <= EXCEPTIONS


@pytest.mark.parametrize(
    ("part", "found"),
    [
        ({"msg": "{{ rollout_work.units }} of {{ inventory_hostname }}, {{ ansible_facts['system'] }}"}, set()),
        ({"proxy": "{{ vllm_proxy | default(omit) }}", "when": "__rollout_view is defined"}, set()),
        ({"keep": "{{ vllm_engine_keep | default(omit) }}"}, {"vllm_engine_keep"}),
        ({"plan": "{{ __vllm_plan.plan }}"}, {"__vllm_plan"}),
        ({"when": ["__fleet_hold_lock is defined"]}, {"__fleet_hold_lock"}),
        ({"phases": {"close": "__canary_found"}}, {"__canary_found"}),
        ([{"block": [{"loop": "{{ gateways }}"}]}], {"gateways"}),
    ],
)
def test_what_is_of_others_is_found(part: Any, found: set[str]) -> None:
    assert foreign("rollout", part) == found


def test_every_exception_is_needed() -> None:
    read = {
        (role, name)
        for role in ROLES
        for path in files(role)
        for name in foreign(role, yaml.safe_load(path.read_text()))
    }
    assert read == EXCEPTIONS


def uses(part: Any) -> Iterator[tuple[str, set[str]]]:
    """Each use of a role of ours in a part of a playbook or role, with the names of what it is given."""
    for item in part if isinstance(part, list) else part.values() if isinstance(part, dict) else ():
        yield from uses(item)
    if isinstance(part, dict):
        asked = next((part[key] for key in part if key in USING), None)
        name = asked["name"] if isinstance(asked, dict) else part.get("role", "")
        if name.startswith("baremetal.vllm."):
            yield name.removeprefix("baremetal.vllm."), set(part.get("vars", {}))


USES = [
    (str(path.relative_to(ROOT)), role, given)
    for path in sorted([*ROOT.glob("roles/*/tasks/*.yml"), *ROOT.glob("playbooks/**/*.yml")])
    for role, given in uses(yaml.safe_load(path.read_text()))
]


def test_the_uses_of_roles_are_found() -> None:
    assert len(USES) > 30


@pytest.mark.parametrize(("place", "role", "given"), USES)
def test_a_role_is_given_what_it_knows(place: str, role: str, given: set[str]) -> None:
    specified = yaml.safe_load((ROOT / "roles" / role / "meta" / "argument_specs.yml").read_text())["argument_specs"]
    known = {name for entry in specified.values() for name in entry["options"]}
    assert {name for name in given if not name.startswith("__")} <= known
