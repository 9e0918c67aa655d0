"""Ansible's own programs for all tests: real runs in processes of their own, without reading Ansible anew for each."""

from __future__ import annotations

import atexit
import json
import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SERVER = Path(__file__).with_name("ansible_server.py")
# ansible-test finds a collection by the folders above it; in a checkout these are somebody else's.
ABOVE = [ROOT.parents[2]] if ROOT.parts[-3:] == ("ansible_collections", "baremetal", "vllm") else []


def environment(**more: str | None) -> dict[str, str]:
    """The environment that `make` gives Ansible: the checkout's own configuration and collection, and nothing of a developer's.

    molecule tells the Ansible it runs (and so this one) to print in colour, and where its own scenario lies.
    """
    own = {
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"),
        "ANSIBLE_COLLECTIONS_PATH": os.pathsep.join(map(str, [ROOT / ".ansible" / "collections", *ABOVE])),
        # No sentence that a test looks for is cut in two.
        "COLUMNS": "1000",
    }
    kept = {
        name: value for name, value in os.environ.items() if not name.startswith(("ANSIBLE_", "MOLECULE_", "PY_COLORS"))
    }
    return {name: value for name, value in {**kept, **own, **more}.items() if value is not None}


@cache
def _server(settings: frozenset[tuple[str, str]], thread: int) -> subprocess.Popen[str]:
    """The server for a thread's runs with these settings, which Ansible reads once in a process; it ends with this process."""
    kept = {name: value for name, value in os.environ.items() if not _is_setting(name)}
    server = subprocess.Popen(
        [sys.executable, str(SERVER)],
        # Where nothing is found that no run asked for: without ANSIBLE_CONFIG Ansible takes ansible.cfg from here.
        cwd="/",
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**kept, **dict(settings)},
    )
    atexit.register(_end, server)
    return server


def _end(server: subprocess.Popen[str]) -> None:
    with server:
        """Its input ends, and so does it."""


def _is_setting(name: str) -> bool:
    return name.startswith("ANSIBLE_") or name in ("COLUMNS", "HOME", "NO_COLOR", "TMPDIR")


def run(
    program: str,
    *arguments: str | Path,
    cwd: Path = ROOT,
    env: Mapping[str, str | None] | None = None,
    text: str = "",
    timeout: int = 120,
) -> subprocess.CompletedProcess[str]:
    """Run `ansible-playbook` or another program of Ansible to its end, as an operator with this checkout does.

    `env`: beside `environment()`, None for what is not to be set; `text`: its input; `timeout`: seconds until it is killed, 0 for none.
    """
    whole = environment(**(env or {}))
    settings = frozenset((name, value) for name, value in whole.items() if _is_setting(name))
    server = _server(settings, threading.get_ident())
    assert server.stdin
    assert server.stdout
    words = [program, *map(str, arguments)]
    with tempfile.TemporaryDirectory() as folder:
        places = {name: Path(folder) / name for name in ("input", "stdout", "stderr")}
        for place in places.values():
            place.touch()
        places["input"].write_text(text)
        asked = {"words": words, "cwd": str(cwd), "env": whole, "timeout": timeout}
        server.stdin.write(json.dumps({**asked, **{name: str(place) for name, place in places.items()}}) + "\n")
        server.stdin.flush()
        answer = server.stdout.readline()
        assert answer, "the server of Ansible has ended"
        return subprocess.CompletedProcess(
            words, int(answer), places["stdout"].read_text(), places["stderr"].read_text()
        )
