"""Which run of ansible-playbook this is: the process that lives as long as the run, told from any later one."""

from __future__ import annotations

import getpass
import hashlib
import os
import socket
from dataclasses import dataclass
from pathlib import Path

PROC = Path("/proc")
MACHINE = Path("/etc/machine-id")


@dataclass(frozen=True)
class Run:
    """`identity` names the run in every one of its processes; `node` the control node with its process namespace, ""
    where that cannot be known; `boot` its boot; `pid` and `started` its main process (clock ticks after the boot)."""

    identity: str
    node: str
    boot: str
    pid: int
    started: str


def this_run(proc: Path = PROC, machine: Path = MACHINE) -> Run:
    """The run that the calling process is part of.

    Ansible forks a worker for every task, which keeps the command line and the executable of its parent; the outermost
    of these ancestors in a row is ansible-playbook itself.
    """
    pid, program = os.getpid(), _program(os.getpid(), proc)
    if program is None:
        # Without /proc (macOS) the parent of a worker is ansible-playbook, and nothing more can be told of it.
        pid = os.getppid()
    while program is not None and _program(_parent(pid, proc), proc) == program:
        pid = _parent(pid, proc)
    boot = _read(proc / "sys" / "kernel" / "random" / "boot_id")
    started = start_of(pid, proc) or ""
    node = _node(proc, machine)
    parts = f"{socket.gethostname()} {node} {boot} {pid} {started}"
    return Run(hashlib.sha256(parts.encode()).hexdigest()[:12], node, boot, pid, started)


def this_user() -> str:
    """Who runs ansible-playbook, as `user@control-node`: for people, in locks and on record at gateways."""
    return f"{getpass.getuser()}@{socket.gethostname()}"


def start_of(pid: int, proc: Path = PROC) -> str | None:
    """When a process was started, in clock ticks after the boot (proc_pid_stat(5), field 22); None where none runs."""
    fields = _stat(pid, proc)
    # A zombie has ended; only its parent has not asked yet.
    return fields[19] if fields and fields[0] not in ("Z", "X") else None


def _node(proc: Path, machine: Path) -> str:
    """One machine and one namespace of processes: in another container the same pid is another process."""
    name, namespace = _read(machine), ""
    try:
        namespace = os.readlink(proc / "self" / "ns" / "pid")
    except OSError:
        return ""
    return hashlib.sha256(f"{name} {socket.gethostname()} {namespace}".encode()).hexdigest()[:16] if name else ""


def _parent(pid: int, proc: Path) -> int:
    fields = _stat(pid, proc)
    return int(fields[1]) if fields else 0


def _program(pid: int, proc: Path) -> tuple[str, str] | None:
    try:
        return os.readlink(proc / str(pid) / "exe"), _read(proc / str(pid) / "cmdline")
    except OSError:
        return None


def _stat(pid: int, proc: Path) -> list[str]:
    """The fields after the name, which stands in brackets and may hold anything."""
    return _read(proc / str(pid) / "stat").rpartition(")")[2].split()


def _read(path: Path) -> str:
    try:
        return path.read_text(errors="replace").strip()
    except OSError:
        return ""
