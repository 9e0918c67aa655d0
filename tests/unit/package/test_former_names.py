"""Modules that have another name, or became a step of another one: tasks with a former name and its options do what they did, and are warned."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import ansible_runs
import pytest
import yaml

ROOT = Path(__file__).resolve().parents[3]
ROUTING = yaml.safe_load((ROOT / "meta" / "runtime.yml").read_text())["plugin_routing"]
FORMER = {name: route for name, route in ROUTING["modules"].items() if "redirect" in route}


@pytest.mark.parametrize("name", FORMER)
def test_a_former_name_leads_to_a_module_and_its_action_and_says_what_to_write(name: str) -> None:
    route = FORMER[name]
    now = route["redirect"].removeprefix("baremetal.vllm.")
    assert not list(ROOT.glob(f"plugins/*/{name}.py"))
    assert (ROOT / "plugins" / "modules" / f"{now}.py").is_file()
    # Only an action plugin knows by which name it was called.
    assert (ROOT / "plugins" / "action" / f"{now}.py").is_file()
    assert ROUTING["action"][name] == {"redirect": route["redirect"]}
    assert route["redirect"] in route["deprecation"]["warning_text"]


def test_no_action_is_sent_elsewhere_alone() -> None:
    assert set(ROUTING["action"]) == set(FORMER)


# By former name what is asked, and what the answer has.
CALLS: list[tuple[str, dict[str, Any], str]] = [
    ("rollout_judge", {"phases": {}}, "take_back"),
    ("rollout_order", {"plan": {"hosts": {}}, "states": "a", "generations": "b"}, "batches"),
    (
        "rollout_report",
        {
            "schedule": {"hosts": {}, "left": {}, "lost": [], "gaps": []},
            **{"verdict": "a", "back": "b", "undrain": "c", "drains": ["d", "e"]},
        },
        "told",
    ),
    ("rollout_lock", {"what": "x", "path": "/nonexistent/rollout.lock"}, "own"),
    ("generations", {}, "generations"),
    ("dcgm_state", {"path": "/nonexistent/x", "cuda": 13}, "todo"),
    ("host_empty", {}, "removed"),
    ("engine_state", {"release": "0.33.0", "accelerator": "cpu", "path": "/nonexistent/0.33.0"}, "msg"),
    ("engine_install", {"release": "0.33.0", "accelerator": "cpu", "path": "/nonexistent/0.33.0", "source": {}}, "msg"),
    ("engine_prune", {"path": "/nonexistent/0.33.0"}, "removed"),
    ("driver_state", {"wanted": {"nvidia_driver_kind": "none"}}, "msg"),
    (
        "rocm_state",
        {"wanted": {"version": "7.2.3", "driver": "dkms", "packages": []}, "templates": "/nonexistent"},
        "msg",
    ),
    ("driver_repository", {"remove": ["/nonexistent/x"]}, "written"),
    ("driver_job", {"commands": [{"title": "x", "argv": ["true"]}]}, "commands"),
    ("import_command", {"command": "vllm serve Qwen/Qwen3-8B"}, "entries"),
    ("refuse", {"text": "No.", "reasons": ["so"]}, "msg"),
    (
        "difference",
        {"plan": {"plan": {"hosts": {}, "gateway": None}, "digest": "abc"}, "found": "a"},
        "counts",
    ),
    (
        "status",
        {"plan": {"plan": {"hosts": {}, "gateway": None}, "digest": "abc"}, "state": "a", "checked": "b", "lock": "c"},
        "problems_of",
    ),
]


def test_every_former_name_is_called() -> None:
    assert {name for name, *__ in CALLS} == set(FORMER)


def test_tasks_with_former_names_do_what_they_did(tmp_path: Path) -> None:
    tasks: list[dict[str, Any]] = []
    for name, asked, __ in CALLS:
        tasks.append(
            {f"baremetal.vllm.{name}": asked, "register": f"of_{name}", "ignore_errors": True, "check_mode": True}
        )
    registered = ", ".join(f"'{name}': of_{name}" for name, *__ in CALLS)
    said = "{{ {" + registered + "} | to_json }}"
    tasks.append({"ansible.builtin.copy": {"content": said, "dest": str(tmp_path / "said.json")}, "check_mode": False})
    play = {"hosts": "localhost", "connection": "local", "gather_facts": False, "tasks": tasks}
    (tmp_path / "play.yml").write_text(json.dumps([play]))
    python = "{{ ansible_playbook_python }}"
    done = ansible_runs.run(
        *("ansible-playbook", "-i", "localhost,", "-e", json.dumps({"ansible_python_interpreter": python}), "play.yml"),
        cwd=tmp_path,
    )
    assert (tmp_path / "said.json").is_file(), done.stdout + done.stderr
    answers = json.loads((tmp_path / "said.json").read_text())
    for name, __, key in CALLS:
        assert key in answers[name], (name, answers[name])
        assert f"baremetal.vllm.{name} has been deprecated" in " ".join((done.stdout + done.stderr).split()), name
        # A step that is not known, or options of another one, would be told in these words.
        assert not str(answers[name].get("msg", "")).startswith(("missing required", "Unsupported parameters")), name
