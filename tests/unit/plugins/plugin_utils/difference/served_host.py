"""A simulated host as the control node knows it: served_machine.py in a namespace of its own, asked over two pipes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

PROGRAM = Path(__file__).with_name("served_machine.py")
ROOT = Path(__file__).resolve().parents[5]


def can_be_made() -> bool:
    """Whether this process may make a namespace with directories of its own."""
    tried = "mount -t tmpfs none /mnt && mkdir /mnt/u /mnt/w && mount -t overlay none -o lowerdir=/etc,upperdir=/mnt/u,workdir=/mnt/w /etc"
    words = ["unshare", "--mount", "--propagation", "private", "sh", "-c", tried]
    return os.geteuid() == 0 and subprocess.run(words, capture_output=True, check=False).returncode == 0


class ServedHost:
    """`module` runs a module of this collection there; every other thing that may happen to the host is `do`."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        # What a test has left it with.
        self.serves: object = None

    def do(self, what: str, *arguments: Any) -> Any:
        """Have something happen; what it returns."""
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(json.dumps({"do": what, "with": arguments}) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        assert line, "the simulated host has ended; what it said stands above"
        return json.loads(line)

    def module(self, name: str, arguments: dict[str, Any], check: bool) -> dict[str, Any]:
        """A module's answer."""
        answer: dict[str, Any] = self.do("module", name, arguments, check)
        return answer


@contextmanager
def served_host() -> Iterator[ServedHost]:
    """One host, until it is no longer needed."""
    with tempfile.TemporaryDirectory() as scratch:
        # Under ansible-test the collection is found by the folders above it.
        env = {**os.environ, "PYTHONPATH": os.pathsep.join([*sys.path, *map(str, ROOT.parents[:3])])}
        words = ["unshare", "--mount", "--propagation", "private", sys.executable, str(PROGRAM), scratch]
        with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=env) as process:
            yield ServedHost(process)
            assert process.stdin
            process.stdin.close()
