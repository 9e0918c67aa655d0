"""Which processes hold memory of a host's GPUs, and whose they are. Runs on the host and changes nothing.

Arguments of processes are never read nor told: an API key may stand there. NVML lists processes by the PID of the first
PID namespace, whatever container they are in (NVIDIA/nvidia-docker issue 1483); seen from within a container they are
strangers without a name, or are left out.
"""

from __future__ import annotations

import os
import pwd
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

from ansible_collections.baremetal.vllm.plugins.module_utils.gpus.cgroup import place
from ansible_collections.baremetal.vllm.plugins.module_utils.gpus.model import Facts
from ansible_collections.baremetal.vllm.plugins.module_utils.host.command import Run, run

# A container runtime whose daemon hangs must not hold up a run.
ask_runtime = partial(run, timeout=5)
# Runtimes that are asked, by the program that knows them.
_ASKED = {"docker": "docker", "podman": "podman"}


@dataclass(frozen=True)
class Holder:
    """A process with memory on GPUs. `memory` is bytes by the GPU's index as text, None where the tool does not tell.

    `executable` is the program's path, or its name where only that is known; `title` what the process calls itself
    ("VLLM::EngineCore"). `user` is a name, a number where the host has none for it. `unit`, `runtime`, `container` and
    `name` as in `cgroup.Place`, `name` from docker or podman where they answer; `restart` is the container's restart
    policy ("always", "unless-stopped"), "" for none. `seconds` since its start. `found` is false where /proc has no
    such process: it has ended, or lives in another PID namespace.
    """

    pid: int
    executable: str = ""
    title: str = ""
    user: str = ""
    unit: str = ""
    runtime: str = ""
    container: str = ""
    name: str = ""
    restart: str = ""
    seconds: float | None = None
    found: bool = False
    kind: str = ""
    memory: dict[str, int | None] = field(default_factory=dict)


def holders(facts: Facts, root: Path = Path("/"), ask: Run = ask_runtime) -> list[Holder]:
    """Every process that the tool lists on any GPU, once, by PID. Never raises; costs nothing where none is listed."""
    listed: dict[int, Holder] = {}
    for gpu in facts.gpus:
        for process in gpu.processes:
            known = listed.get(process.pid) or _holder(process.pid, process.name, root)
            before = known.memory.get(str(gpu.index))
            # A process of kind C and G has a line for each.
            most = max(filter(None, (before, process.memory)), default=process.memory)
            kind = known.kind if process.kind in known.kind else f"{known.kind}+{process.kind}".strip("+")
            listed[process.pid] = replace(known, kind=kind, memory={**known.memory, str(gpu.index): most})
    return _named([listed[pid] for pid in sorted(listed)], ask)


def _holder(pid: int, name: str, root: Path) -> Holder:
    # What stands behind the first word of a name may be arguments.
    word = (name.split() or [""])[0]
    directory = root / "proc" / str(pid)
    status = dict(line.partition(":")[::2] for line in _text(directory / "status").splitlines())
    if not status:
        return Holder(pid, executable=word)
    where = place(_text(directory / "cgroup"))
    title = status.get("Name", "").strip()
    return Holder(
        pid,
        executable=_executable(directory) or word or title,
        title=word if word and "/" not in word else title,
        user=_user(status.get("Uid", "")),
        unit=where.unit,
        runtime=where.runtime,
        container=where.container,
        name=where.name,
        seconds=_seconds(_text(directory / "stat"), _text(root / "proc" / "uptime")),
        found=True,
    )


def _executable(directory: Path) -> str:
    try:
        return os.readlink(directory / "exe").removesuffix(" (deleted)")
    except OSError:
        return ""


def _user(uids: str) -> str:
    """The name of the effective user of "real effective saved filesystem"; a container's own users have none here."""
    words = uids.split()
    if len(words) < 2 or not words[1].isdigit():
        return ""
    try:
        return pwd.getpwuid(int(words[1])).pw_name
    except (KeyError, OverflowError):
        return words[1]


def _seconds(stat: str, uptime: str) -> float | None:
    """Since a process began: field 22 of stat in clock ticks after boot, behind a name that may hold anything (proc(5))."""
    try:
        began = int(stat.rpartition(")")[2].split()[19]) / os.sysconf("SC_CLK_TCK")
        return round(max(0.0, float(uptime.split()[0]) - began), 1)
    except (IndexError, ValueError):
        return None


def _named(found: list[Holder], ask: Run) -> list[Holder]:
    """The same with names and restart policies of their containers, where docker or podman answer in time."""
    told: dict[str, tuple[str, str]] = {}
    for runtime, program in _ASKED.items():
        ids = sorted({holder.container for holder in found if holder.runtime == runtime and holder.container})
        if ids:
            told.update(_inspect(program, ids, ask))
    return [
        replace(holder, name=told[holder.container][0], restart=told[holder.container][1])
        if holder.container in told
        else holder
        for holder in found
    ]


def _inspect(program: str, ids: Iterable[str], ask: Run) -> dict[str, tuple[str, str]]:
    asked = [program, "inspect", "--format", "{{.Id}} {{.Name}} {{.HostConfig.RestartPolicy.Name}}", *ids]
    # A container that has just gone makes the status 1, and the others are told all the same.
    out = ask(asked)[1]
    rows = [line.split() for line in out.splitlines()]
    return {row[0]: (row[1].lstrip("/"), row[2] if row[2:] and row[2] != "no" else "") for row in rows if len(row) > 1}


def _text(path: Path) -> str:
    try:
        return path.read_text(errors="replace")
    except OSError:
        return ""
