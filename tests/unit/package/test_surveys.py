"""Surveys for AWX ask for variables that their playbook reads, with the types, choices and defaults that it has without them."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.baremetal.vllm.plugins.plugin_utils.places import read_yaml
from ansible_collections.baremetal.vllm.plugins.plugin_utils.plan.variables import known_variables
from ansible_collections.baremetal.vllm.tools.variables import expressions

ROOT = Path(__file__).resolve().parents[3]
SURVEYS = {path.stem: json.loads(path.read_text()) for path in sorted((ROOT / "data" / "surveys").glob("*.json"))}
QUESTIONS = [(name, question["variable"]) for name, survey in SURVEYS.items() for question in survey["spec"]]
# As AWX's own check has them (awx/api/views, JobTemplateSurveySpec): what every question has, and its types.
KEYS = {"question_name", "question_description", "required", "type", "variable", "default"}
TYPES = {"text", "textarea", "password", "integer", "float", "multiplechoice", "multiselect"}
ROLE = re.compile(r"(?:role|name): baremetal\.vllm\.(\w+)$", re.MULTILINE)
IMPORT = re.compile(r"(?:import_playbook|include_tasks): ((?:tasks/)?\w+\.yml)$", re.MULTILINE)


def read_by(playbook: str) -> tuple[set[str], dict[str, dict[str, Any]]]:
    """The variables that a playbook and what it imports read, and the options of the roles that they use, roles' roles included."""
    names: set[str] = set()
    text = (ROOT / "playbooks" / playbook).read_text()
    names.update(expressions(yaml.safe_load(text)))
    specified: dict[str, dict[str, Any]] = {}
    for imported in IMPORT.findall(text):
        more, others = read_by(imported)
        names |= more
        specified |= others
    todo, done = set(ROLE.findall(text)), set()
    while todo:
        role = todo.pop()
        done.add(role)
        specification = read_yaml(ROOT / "roles" / role / "meta" / "argument_specs.yml")
        specified |= specification["argument_specs"]["main"]["options"]
        for tasks in (ROOT / "roles" / role / "tasks").glob("*.yml"):
            todo |= set(ROLE.findall(tasks.read_text())) - done
    return names, specified


def question(survey: str, variable: str) -> dict[str, Any]:
    return next(asked for asked in SURVEYS[survey]["spec"] if asked["variable"] == variable)


@pytest.mark.parametrize("survey", SURVEYS)
def test_a_survey_is_one_of_a_playbook_and_asks_each_thing_once(survey: str) -> None:
    asked = SURVEYS[survey]
    assert (ROOT / "playbooks" / f"{survey}.yml").is_file()
    assert set(asked) == {"name", "description", "spec"}
    variables = [each["variable"] for each in asked["spec"]]
    assert len(variables) == len(set(variables)) > 0
    assert survey in (ROOT / "docs" / "awx.md").read_text()


@pytest.mark.parametrize(("survey", "variable"), QUESTIONS)
def test_a_question_is_one_that_awx_takes(survey: str, variable: str) -> None:
    asked = question(survey, variable)
    assert set(asked) >= KEYS
    assert asked["type"] in TYPES
    if asked["type"] == "multiplechoice":
        assert asked["default"] in asked["choices"]
    else:
        assert 0 <= asked["min"] <= asked["max"]
        # What nobody answers is sent as the default; one that is shorter than `min` could not be.
        assert not asked["default"] or asked["min"] <= len(asked["default"]) <= asked["max"]


@pytest.mark.parametrize(("survey", "variable"), QUESTIONS)
def test_a_question_is_about_a_variable_that_the_playbook_reads(survey: str, variable: str) -> None:
    names, specified = read_by(f"{survey}.yml")
    assert variable in names | set(specified)
    assert variable in known_variables()


@pytest.mark.parametrize(("survey", "variable"), QUESTIONS)
def test_a_default_and_its_choices_are_those_of_the_role(survey: str, variable: str) -> None:
    asked, option = question(survey, variable), read_by(f"{survey}.yml")[1].get(variable)
    if option is None:
        return
    if option["type"] == "bool":
        assert asked["choices"] == ["false", "true"]
        assert asked["default"] == str(option["default"]).lower()
        return
    assert asked["default"] == str(option["default"])
    if "choices" in option:
        assert asked["choices"] == list(map(str, option["choices"]))
