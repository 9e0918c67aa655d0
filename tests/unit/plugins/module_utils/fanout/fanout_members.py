"""Members of a run as real processes on loopback, and what tests ask of them."""

from __future__ import annotations

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
from ansible_collections.baremetal.vllm.plugins.module_utils.fanout import manifest as mf
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
        self.target.parent.mkdir(exist_ok=True)
        self.folder.write_order(
            Order(name, content, str(self.target), "127.0.0.1", 0, bounds or Bounds(silence=2, wait=2))
        )
        self.credential = credential
        self.process: subprocess.Popen[bytes] | None = None

    def start(self, before: str = "") -> Member:
        """Start the agent and wait until it listens, or is over; `before` is a program to run in it first: a fault."""
        replace(self.folder.credential, self.credential)
        self.folder.heard()
        self.folder.status.unlink(missing_ok=True)
        program = f"{before}\nimport runpy, sys\nsys.argv = ['agent', {str(self.folder.path)!r}]\nrunpy.run_module({agent.__name__!r}, run_name='__main__')"
        with self.folder.log.open("ab") as log:
            self.process = subprocess.Popen([sys.executable, "-c", program], stdout=log, stderr=log, cwd="/")
        until(f"{self.name} listens", lambda: self.status.get("port") or self.status.get("problem"))
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


class Run:
    """Members of one run with one certificate; the first one, `source`, has the content."""

    def __init__(self, folder: Path, credential: str) -> None:
        self.folder, self.credential = folder, credential
        self.members: list[Member] = []
        self.digest = ""

    def source(self, data: bytes | dict[str, bytes], bounds: Bounds | None = None) -> Member:
        """The first member, with a file or a directory of these bytes."""
        place = self.folder / "source" / "disk" / "content"
        place.parent.mkdir(parents=True)
        write(place, data)
        self.digest = mf.describe(place).digest
        return self.member("source", bounds)

    def member(self, name: str, bounds: Bounds | None = None, credential: str = "", digest: str = "") -> Member:
        """Another one, that lacks it."""
        made = Member(self.folder, name, digest or self.digest, credential or self.credential, bounds)
        self.members.append(made)
        return made


def write(place: Path, data: bytes | dict[str, bytes]) -> None:
    """A file, or a directory of files."""
    for path, each in {"": data}.items() if isinstance(data, bytes) else data.items():
        file = place / path if path else place
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(each)


def noise(size: int, seed: int = 1) -> bytes:
    """Bytes of which no two chunks are alike."""
    return hashlib.shake_128(b"%d" % seed).digest(size)
