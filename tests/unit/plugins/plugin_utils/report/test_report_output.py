"""What a run prints: on a terminal as wide and as coloured as it is, or one JSON document and nothing else."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import re
import struct
import subprocess
import sys
import termios
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.baremetal.vllm.plugins.plugin_utils.actions.json_output import Output

PLAYBOOK = Path(sys.executable).with_name("ansible-playbook")
SCREEN = "ansible_collections.baremetal.vllm.plugins.plugin_utils.actions.screen"
BARE = {
    name: text for name, text in os.environ.items() if not re.match("ANSIBLE_|COLUMNS|NO_COLOR|TERM|PYTHONUNB", name)
}


def on_a_terminal(command: list[str], columns: int, directory: Path, **env: str) -> str:
    """What a command prints on a terminal of so many columns."""
    ours, its = pty.openpty()
    fcntl.ioctl(its, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
    with subprocess.Popen(
        command, cwd=directory, env={**BARE, "TERM": "xterm", **env}, stdin=its, stdout=its, stderr=subprocess.DEVNULL
    ):
        os.close(its)
        said = b""
        # Linux ends a terminal that nobody holds any more with an error.
        try:
            while part := os.read(ours, 65536):
                said += part
        except OSError:
            pass
    os.close(ours)
    return said.decode().replace("\r\n", "\n")


REPORT = """
- hosts: all
  gather_facts: false
  tasks:
    - baremetal.vllm.report: {digest: abc}
      run_once: true
"""


def test_an_action_knows_the_terminal_that_the_run_began_on(tmp_path: Path) -> None:
    check = {"name": "answer", "skipped": "", "observed": "日本 " * 12, "expected": "Paris"}
    hosts = {
        f"gpu{n:02}": {
            "__endpoint_check_results": {
                "results": [
                    {
                        "model": "m",
                        "kind": "chat",
                        "url": "u",
                        "passed": n != 7,
                        "checks": [{**check, "passed": n != 7}],
                    }
                ]
            }
        }
        for n in range(1, 41)
    }
    (tmp_path / "hosts.json").write_text(json.dumps({"all": {"hosts": hosts}}))
    (tmp_path / "play.yml").write_text(REPORT)
    said = on_a_terminal([str(PLAYBOOK), "-i", "hosts.json", "play.yml"], 46, tmp_path)
    lines = said[said.index("HOST ") : said.index("39 of 40 endpoints passed on 40 hosts")].splitlines()
    assert lines[1].split()[:2] == ["gpu[01-06,08-40]", "(39"], "39 hosts in one line"
    assert next(line for line in lines if "\x1b[" in line).startswith("\x1b[0;31mgpu07 ")
    assert all(len(re.sub("\x1b[^m]*m", "", line)) + line.count("日") * 2 <= 46 for line in lines)


CASES: list[tuple[dict[str, str], int, bool]] = [
    ({}, 61, True),
    ({"NO_COLOR": "1"}, 61, False),
    ({"TERM": "dumb", "COLUMNS": "99"}, 99, False),
]


@pytest.mark.parametrize(("env", "width", "coloured"), CASES)
def test_colours_are_for_terminals_that_want_them(
    env: dict[str, str], width: int, coloured: bool, tmp_path: Path
) -> None:
    program = f"from {SCREEN} import SCREEN as s; print(s.width, s.terminal, repr(s.paint('x', 'added')))"
    said = on_a_terminal([sys.executable, "-c", program], 61, tmp_path, **env)
    assert said == f"{width} True {chr(27) + '[0;32mx' + chr(27) + '[0m' if coloured else 'x'!r}\n"


@pytest.mark.parametrize(("env", "painted"), [({}, "x"), ({"ANSIBLE_FORCE_COLOR": "1"}, "\x1b[0;31mx\x1b[0m")])
def test_a_file_is_eighty_columns_wide_and_has_no_colours(env: dict[str, str], painted: str) -> None:
    program = f"from {SCREEN} import SCREEN as s; print(s.width, s.terminal, repr(s.paint('x', 'wrong')))"
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={**BARE, "TERM": "xterm", **env},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == f"80 False {painted!r}\n"


def run(tmp_path: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """plan from another directory, without a configuration of ours, of a menu with two mistakes."""
    variables = {
        "vllm_accelerator": "cpu",
        "vllm_version": "0.32.0",
        "vllm_models": {"m": {"model": "/srv/m", "kind": "chatt", "args": {"max-modl-len": 1}}},
    }
    (tmp_path / "hosts.json").write_text(json.dumps({"gpu_hosts": {"hosts": {"h1": {}, "h2": {}}, "vars": variables}}))
    command = [str(PLAYBOOK), "baremetal.vllm.plan", "-i", "hosts.json", *words]
    return subprocess.run(command, cwd=tmp_path, env=BARE, capture_output=True, text=True, check=False)


def test_a_refusal_is_one_document_with_each_problem_in_its_parts(tmp_path: Path) -> None:
    done = run(tmp_path, "-v", "-e", "vllm_output=json")
    assert done.returncode == 2
    said = json.loads(done.stdout)
    assert (said["ok"], said["kind"]) == (False, "plan")
    assert said["refused"][0] == {
        "key": "vllm_models.m.args.max-modl-len",
        "reason": "is not an option of vLLM 0.32.0",
        "remedy": 'Did you mean "max-model-len"',
    }
    assert [problem["key"] for problem in said["refused"][1:]] == ["vllm_models.m.kind"]
    assert len(said["errors"]) == 1
    assert said["errors"][0]["message"].startswith("The inventory has 2 problems; no host was touched.\n")
    assert "PLAY RECAP" in done.stderr


def test_a_word_that_is_no_output_is_refused_before_anything_runs(tmp_path: Path) -> None:
    done = run(tmp_path, "-e", "vllm_output=jsn")
    assert (done.returncode, done.stdout) == (5, "")
    assert "vllm_output: 'jsn' is not known. Did you mean \"json\"." in done.stderr


ITEMS = {"msg": "One or more items failed", "results": [{"failed": True, "msg": "no disk"}, {"msg": "fine"}]}
ERRORS: list[tuple[list[tuple[str, Any]], set[str], bool, list[str]]] = [
    ([], set(), True, []),
    ([("h1", {"msg": "no disk"})], {"h1"}, True, ["h1: no disk"]),
    ([("h1", {"msg": "rescued"}), ("h2", {"unreachable": True, "msg": "no route"})], {"h2"}, True, ["h2: no route"]),
    ([("h1", ITEMS)], {"h1"}, True, ["h1: no disk"]),
    ([("h1", {"censored": "the output has been hidden"})], {"h1"}, True, ["h1: the output has been hidden"]),
    ([("h1", {})], {"h1"}, True, ["h1: It failed without a word"]),
    ([("h1", {"msg": "a"})], set(), False, ["h1: a", ": The run was cut off before its end; standard error says why"]),
]


@pytest.mark.parametrize(("failures", "lost", "whole", "told"), ERRORS)
def test_errors_are_those_of_hosts_that_were_lost(failures: Any, lost: set[str], whole: bool, told: list[str]) -> None:
    output = Output()
    output.heard({"vllm_document": {"kind": "plan", "digest": "d"}})
    for host, result in failures:
        output.failed(host, "task", result)
    document = output.ended(lost, whole)
    assert [f"{error['host']}: {error['message']}" for error in document["errors"]] == told
    assert (document["ok"], document["kind"], document["digest"]) == (not told, "plan", "d")
