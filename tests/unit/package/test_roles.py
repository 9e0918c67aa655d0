"""Every role's defaults and its argument specification tell the same story; every default says why one would change it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from ansible_collections.baremetal.vllm.plugins.plugin_utils.places import read_yaml

ROOT = Path(__file__).resolve().parents[3]
ROLES = sorted(path.name for path in (ROOT / "roles").iterdir() if path.is_dir())


def load(role: str, part: str) -> Any:
    return read_yaml(ROOT / "roles" / role / part)


@pytest.mark.parametrize("role", ROLES)
def test_defaults_and_specification_agree(role: str) -> None:
    entries = load(role, "meta/argument_specs.yml")["argument_specs"].values()
    options = {name: option for entry in entries for name, option in entry["options"].items()}
    assert all(entry["options"].items() <= options.items() for entry in entries), "one option, told in two ways"
    defaults = load(role, "defaults/main.yml")
    stated = {name: option["default"] for name, option in options.items() if "default" in option}
    assert stated == {name: value for name, value in defaults.items() if name in stated}
    assert set(defaults) <= set(options), "a default without its entry in the reference"
    missing = {name for name, option in options.items() if "default" not in option and not option.get("required")}
    assert not missing & set(defaults), "the reference leaves a default out"


@pytest.mark.parametrize("role", ROLES)
def test_every_default_has_its_reason_and_the_roles_prefix(role: str) -> None:
    lines = (ROOT / "roles" / role / "defaults" / "main.yml").read_text().splitlines()
    for above, line in zip(lines, lines[1:]):
        if line and line[0] not in "#-{} " and ":" in line:
            assert line.startswith(f"{role}_"), line
            assert above.startswith("#"), f"no reason above {line}"


@pytest.mark.parametrize("role", ROLES)
def test_main_is_a_table_of_contents(role: str) -> None:
    assert len((ROOT / "roles" / role / "tasks" / "main.yml").read_text().splitlines()) <= 30
