"""Processes by identity: an id is only trusted with the moment its process started, in the boot it started in."""

from __future__ import annotations

import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


@dataclass(frozen=True)
class Process:
    """One process, told from any later one with the same id by its start time (clock ticks since boot) and the boot."""

    pid: int
    started: int
    boot: str

    def alive(self) -> bool:
        return identify(self.pid) == self

    def kill(self, number: int = signal.SIGKILL) -> bool:
        """Signal it if it is still the one; whether it was."""
        if not self.alive():
            return False
        os.kill(self.pid, number)
        return True

    def wait(self, seconds: float) -> bool:
        """Whether it has ended before the time is up."""
        deadline = time.monotonic() + seconds
        while self.alive():
            if time.monotonic() > deadline:
                return False
            time.sleep(0.05)
        return True

    def to_json(self) -> dict[str, Any]:
        return {"pid": self.pid, "started": self.started, "boot": self.boot}


def from_json(data: Any) -> Process | None:
    try:
        return Process(int(data["pid"]), int(data["started"]), str(data["boot"]))
    except (KeyError, TypeError, ValueError):
        return None


def boot_id() -> str:
    return BOOT_ID.read_text().strip()


def identify(pid: int) -> Process | None:
    """The process that has this id now; None for none and for one that is only waiting to be reaped (proc(5), stat)."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    fields = stat.rpartition(")")[2].split()
    return None if fields[0] in "ZX" else Process(pid, int(fields[19]), boot_id())


def children(pid: int) -> list[int]:
    """Ids of the direct children of a process's main thread."""
    try:
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []
