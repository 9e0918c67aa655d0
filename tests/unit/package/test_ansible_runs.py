"""A run that is forked from a process which has read Ansible already is the run that the program itself makes."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import ansible_runs
import pytest

PLAY = [
    {
        "hosts": "localhost",
        "connection": "local",
        "gather_facts": False,
        "tasks": [
            {"ansible.builtin.debug": {"msg": "{{ lookup('ansible.builtin.env', 'MINE') }} in {{ playbook_dir }}"}},
            {"baremetal.vllm.plan": {"models": {"m": {}}, "group": "all", "address": "0.0.0.0"}},
        ],
    }
]


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (("ansible-playbook", "-i", "localhost,", "--diff", "play.yml"), ""),
        (("ansible-playbook", "-i", "localhost,", "play.yml", "--check", "-vvvv"), ""),
        (("ansible-playbook", "nowhere.yml"), ""),
        (("ansible-playbook", "--no-such-option"), ""),
        (("ansible-vault", "decrypt", "--vault-password-file", "password"), "no vault"),
    ],
)
def test_status_and_words_are_the_programs_own(tmp_path: Path, words: tuple[str, ...], text: str) -> None:
    (tmp_path / "play.yml").write_text(json.dumps(PLAY))
    (tmp_path / "password").write_text("x\n")
    own = {"MINE": "a word"}
    forked = ansible_runs.run(*words, cwd=tmp_path, env=own, text=text)
    real = subprocess.run(
        [Path(sys.executable).with_name(words[0]), *words[1:]],
        cwd=tmp_path,
        env=ansible_runs.environment(**own),
        input=text,
        capture_output=True,
        text=True,
        check=False,
    )
    assert forked.returncode == real.returncode != 0
    assert shown(forked) == shown(real)


def shown(done: subprocess.CompletedProcess[str]) -> list[str]:
    """What was said, but for where the program lies, temporary files, and what had been read before it began."""
    left_out = ("executable location", "ansible-local-", "Loading collection")
    return [line for line in (done.stdout + done.stderr).splitlines() if not any(part in line for part in left_out)]


def test_a_run_without_end_is_ended_and_the_next_one_is_made(tmp_path: Path) -> None:
    (tmp_path / "sleep.yml").write_text(
        json.dumps([{**PLAY[0], "tasks": [{"ansible.builtin.pause": {"seconds": 60}}]}])
    )
    assert ansible_runs.run("ansible-playbook", "-i", "localhost,", "sleep.yml", cwd=tmp_path, timeout=3).returncode < 0
    assert ansible_runs.run("ansible-playbook", "--version", cwd=tmp_path).returncode == 0
