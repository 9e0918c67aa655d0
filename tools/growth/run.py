"""One run of ansible-playbook, measured: time, processor time of all its processes, memory of the main one."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ansible_collections.baremetal.vllm.plugins.plugin_utils.places import ROOT

_RECAP = re.compile(r"^(\S+)\s+: (.*)$", re.MULTILINE)
_MIB = 1 << 20


@dataclass(frozen=True)
class Cost:
    """`wall` and `cpu` (user and system, of the main process and all that it has waited for) in seconds; `memory`: the largest
    resident size of the main process, in MiB."""

    wall: float
    cpu: float
    memory: float


@dataclass(frozen=True)
class Run:
    """A finished run: its exit status, what it printed, and what it cost."""

    status: int
    text: str
    cost: Cost

    @property
    def recap(self) -> dict[str, dict[str, int]]:
        """Ansible's last lines: by host how many tasks were `changed`, `failed` and so on."""
        lines = _RECAP.findall(self.text.partition("PLAY RECAP")[2])
        return {host: {key: int(n) for key, n in re.findall(r"(\w+)=(\d+)", counts)} for host, counts in lines}


def environment(answers: Path) -> dict[str, str]:
    """As `make` gives it to Ansible, with the connection that answers from `answers`."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("ANSIBLE_")}
    return {
        **kept,
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"),
        "ANSIBLE_COLLECTIONS_PATH": str(ROOT / ".ansible" / "collections"),
        "ANSIBLE_CONNECTION_PLUGINS": str(Path(__file__).parent / "connection_plugins"),
        "ANSIBLE_PIPELINING": "true",
        "GROWTH_ANSWERS": str(answers),
    }


def play(words: Sequence[str], answers: Path, output: Path) -> Run:
    """Run `ansible-playbook` with these arguments; what it prints goes through a file, as large as it may be."""
    command = ["ansible-playbook", *words]
    with output.open("w") as stream:
        began = time.monotonic()
        process = subprocess.Popen(
            command,
            cwd=ROOT,
            env=environment(answers),
            stdin=subprocess.DEVNULL,
            stdout=stream,
            stderr=subprocess.STDOUT,
        )
        peak = _Peak(process.pid)
        __, status, used = os.wait4(process.pid, 0)
        wall = time.monotonic() - began
    process.returncode = os.waitstatus_to_exitcode(status)
    cost = Cost(wall, used.ru_utime + used.ru_stime, peak.taken())
    return Run(process.returncode, output.read_text(errors="replace"), cost)


class _Peak:
    """Reads the high-water mark of a process's memory until it ends: rusage would take that of its largest child for its own."""

    def __init__(self, pid: int) -> None:
        self._status, self._most, self._over = Path(f"/proc/{pid}/status"), 0, threading.Event()
        self._thread = threading.Thread(target=self._watch)
        self._thread.start()

    def taken(self) -> float:
        """In MiB."""
        self._over.set()
        self._thread.join()
        return self._most / _MIB

    def _watch(self) -> None:
        while True:
            try:
                found = re.search(r"VmHWM:\s+(\d+) kB", self._status.read_text())
            except OSError:
                return
            self._most = max(self._most, int(found[1]) * 1024) if found else self._most
            if self._over.wait(0.1):
                return
