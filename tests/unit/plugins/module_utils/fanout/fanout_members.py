"""Members of a run as real processes on loopback, and what tests ask of them."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Callable

from ansible_collections.baremetal.vllm.plugins.module_utils.fanout import agent
from ansible_collections.baremetal.vllm.plugins.module_utils.fanout.choice import Neighbour
from ansible_collections.baremetal.vllm.plugins.module_utils.fanout.order import Bounds, Order, RunFolder, replace

# No test waits that long unless it fails.
PATIENCE = 60.0


def until(what: str, there: Callable[[], Any]) -> Any:
    """Wait for an event; its value."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        if value := there():
            return value
        time.sleep(0.02)
    raise AssertionError(f"it never came about: {what}")


class Member:
    """One agent; `target` is where its content goes."""

    def __init__(self, folder: Path, name: str, content: str, credential: str, bounds: Bounds | None = None) -> None:
        self.name, self.folder, self.target = name, RunFolder(folder / name / "run"), folder / name / "disk" / "content"
        self.folder.path.mkdir(parents=True)
        self.folder.path.chmod(0o700)
        self.target.parent.mkdir()
        self.folder.write_order(
            Order(name, content, str(self.target), "127.0.0.1", 0, bounds or Bounds(silence=2, wait=2))
        )
        self.credential = credential
        self.process: subprocess.Popen[bytes] | None = None

    def start(self, python: str = sys.executable, before: str = "") -> Member:
        """Start the agent and wait until it listens; `before` is a program of Python's to run in it first."""
        replace(self.folder.credential, self.credential)
        self.folder.heard()
        self.folder.status.unlink(missing_ok=True)
        program = f"{before}\nimport runpy, sys\nsys.argv = ['agent', {str(self.folder.path)!r}]\nrunpy.run_module({agent.__name__!r}, run_name='__main__')"
        with self.folder.log.open("ab") as log:
            self.process = subprocess.Popen([python, "-c", program], stdout=log, stderr=log, cwd="/")
        until(
            f"{self.name} listens", lambda: self.status.get("port") or self.process and self.process.poll() is not None
        )
        return self

    @property
    def status(self) -> dict[str, Any]:
        try:
            found: dict[str, Any] = json.loads(self.folder.status.read_text())
        except FileNotFoundError:
            return {}
        return found

    @property
    def log(self) -> str:
        return self.folder.log.read_text()

    def asks(self, *others: Member, later: Sequence[Member] = ()) -> None:
        """Give it its neighbours."""
        known = [Neighbour(each.name, "127.0.0.1", each.status["port"], each in later) for each in (*others, *later)]
        self.folder.write_neighbours(known)

    def whole(self) -> dict[str, Any]:
        """Wait until it has everything; its status."""
        until(f"{self.name} is whole: {self.status}", lambda: self.status.get("state") in ("whole", "failed"))
        assert self.status["state"] == "whole", self.status
        return self.status

    def over(self) -> int:
        """Wait for the end of the process; its exit status."""
        assert self.process is not None
        return self.process.wait(PATIENCE)

    def end(self) -> int:
        """Tell it to end."""
        self.folder.end.touch()
        return self.over()

    def kill(self) -> None:
        """As a host that loses its power."""
        if self.process and self.process.poll() is None:
            self.process.kill()
            self.process.wait()

    def pause(self) -> None:
        """As a host that hangs."""
        assert self.process is not None
        os.kill(self.process.pid, signal.SIGSTOP)


def content(folder: Path, size: int, seed: int = 1) -> Path:
    """A file of so many bytes that no two chunks of are alike."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "content"
    path.write_bytes(hashlib.shake_128(b"%d" % seed).digest(size))
    return path


@contextlib.contextmanager
def ended(members: Sequence[Member]) -> Any:
    """Nothing outlives a test."""
    try:
        yield
    finally:
        for member in members:
            member.kill()
