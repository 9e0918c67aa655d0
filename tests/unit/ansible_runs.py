"""Ansible's own programs for the unit tests: real runs in processes of their own, without reading Ansible anew for each."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SERVER = Path(__file__).with_name("ansible_server.py")


@cache
def _server(settings: frozenset[tuple[str, str]]) -> subprocess.Popen[str]:
    """The server for runs with these settings, which Ansible reads once in a process; it ends with this process."""
    kept = {name: value for name, value in os.environ.items() if not _is_setting(name)}
    return subprocess.Popen(
        [sys.executable, str(SERVER)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**kept, **dict(settings)},
    )


def _is_setting(name: str) -> bool:
    return name.startswith("ANSIBLE_") or name in ("HOME", "NO_COLOR", "TMPDIR")


def run(
    program: str,
    *arguments: str | Path,
    cwd: Path = ROOT,
    env: Mapping[str, str] | None = None,
    text: str = "",
    timeout: int = 120,
) -> subprocess.CompletedProcess[str]:
    """Run `ansible-playbook` or another program of Ansible to its end, as an operator with this checkout does.

    `env`: beside this process's environment and the checkout's ansible.cfg; `text`: its input; `timeout`: seconds.
    """
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    own = {"PATH": path, "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"), "ANSIBLE_NOCOLOR": "1"}
    environment = {**os.environ, **own, **(env or {})}
    server = _server(frozenset((name, value) for name, value in environment.items() if _is_setting(name)))
    assert server.stdin
    assert server.stdout
    words = [program, *map(str, arguments)]
    with tempfile.TemporaryDirectory() as folder:
        places = {name: Path(folder) / name for name in ("input", "stdout", "stderr")}
        for place in places.values():
            place.touch()
        places["input"].write_text(text)
        asked = {"words": words, "cwd": str(cwd), "env": environment, "timeout": timeout}
        server.stdin.write(json.dumps({**asked, **{name: str(place) for name, place in places.items()}}) + "\n")
        server.stdin.flush()
        answer = server.stdout.readline()
        assert answer, "the server of Ansible has ended"
        return subprocess.CompletedProcess(
            words, int(answer), places["stdout"].read_text(), places["stderr"].read_text()
        )
