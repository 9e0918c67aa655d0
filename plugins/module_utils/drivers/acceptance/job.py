"""A diagnostic as a transient unit of the host: it takes minutes, outlives the connection, and is found again.

Its note and its output lie below /run: a reboot ends a diagnostic and takes both away.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TypedDict

from ansible_collections.baremetal.vllm.plugins.module_utils.drivers.acceptance.model import DiagnosticRun
from ansible_collections.baremetal.vllm.plugins.module_utils.host import folders
from ansible_collections.baremetal.vllm.plugins.module_utils.host.command import Run as Command
from ansible_collections.baremetal.vllm.plugins.module_utils.host.job import Job, JobError
from ansible_collections.baremetal.vllm.plugins.module_utils.host.until import until

UNIT = "gpu-acceptance.service"
_DIRECTORY = "run/gpu-acceptance"
# No more of an output is read than this; a report of 16 GPUs at level 4 has about 100 kB.
_MOST = 4 * 1024 * 1024


class _Note(TypedDict, total=False):
    """What is to be known of a diagnostic that runs; `started` in seconds since the epoch, `stopped`: units to start again."""

    level: int
    parameters: str
    started: float
    stopped: list[str]


def state(command: Command, root: Path = Path("/")) -> DiagnosticRun:
    """The diagnostic that runs or has ended and was not settled. Raises JobError."""
    note = _note(root)
    if not note:
        return DiagnosticRun()
    found = Job(UNIT, command).state()
    return DiagnosticRun(
        state="running" if found.running else "ended",
        level=int(note.get("level", 0)),
        parameters=str(note.get("parameters", "")),
        started=float(note.get("started", 0)),
        seconds=found.seconds,
        status=found.status,
        result=found.result,
        stopped=tuple(note.get("stopped", ())),
        output="" if found.running else _output(root),
    )


def start(
    command: Command, level: int, parameters: str, limit: int, units: Sequence[str], root: Path = Path("/")
) -> None:
    """Stop `units`, then start the diagnostic; it is ended after `limit` seconds. Raises JobError."""
    if state(command, root).state == "running":
        raise JobError("somebody else started a diagnostic in this moment: run again to follow it")
    place = root / _DIRECTORY
    folders.make(place)
    note: _Note = {"level": level, "parameters": parameters, "started": time.time(), "stopped": list(units)}
    # Before anything is stopped: whoever comes back knows what to start again.
    (place / "note.json").write_text(json.dumps(note))
    (place / "output").unlink(missing_ok=True)
    if units:
        try:
            _systemctl(command, "stop", *units)
        except JobError:
            settle(command, units, root)
            raise
    diagnostic = ["dcgmi", "diag", "--run", str(level), "--json"]
    if parameters:
        diagnostic += ["--parameters", parameters]
    title, properties = "Acceptance test of this host's GPUs", [f"RuntimeMaxSec={limit}"]
    try:
        Job(UNIT, command).start(title, diagnostic, place / "output", {"LC_ALL": "C"}, properties=properties)
    except JobError:
        settle(command, units, root)
        raise


def wait(command: Command, patience: float, root: Path = Path("/")) -> DiagnosticRun:
    """Wait up to `patience` seconds for the end. Raises JobError."""
    return until(lambda: state(command, root), lambda found: found.state != "running", patience, pause=1)


def settle(command: Command, units: Iterable[str], root: Path = Path("/")) -> None:
    """Forget the run and start `units` without waiting until they serve: the proof of endpoints waits for them.

    Raises JobError: where systemd does not take the start.
    """
    Job(UNIT, command).forget()
    for name in ("note.json", "output"):
        (root / _DIRECTORY / name).unlink(missing_ok=True)
    if (root / _DIRECTORY).is_dir():
        (root / _DIRECTORY).rmdir()
    names = list(units)
    if names:
        _systemctl(command, "start", "--no-block", *names)


def save(path: Path, text: str) -> bool:
    """Write a file whole or not at all; whether it changed."""
    if path.is_file() and path.read_text(errors="replace") == text:
        return False
    folders.make(path.parent)
    draft = path.with_name(f".{path.name}.new")
    draft.write_text(text)
    draft.chmod(0o644)
    os.replace(draft, path)
    return True


def busy(command: Command) -> dict[str, float]:
    """What the GPUs do right now: how many, mean utilisation (%), highest temperature (°C), power of all (W); {} if unknown."""
    fields = "utilization.gpu,temperature.gpu,power.draw"
    status, out, __ = command(["nvidia-smi", f"--query-gpu={fields}", "--format=csv,noheader,nounits"])
    rows = [[cell.strip() for cell in line.split(",")] for line in out.splitlines() if line.count(",") == 2]
    if status or not rows:
        return {}
    columns = [[float(cell) for cell in column if cell.replace(".", "", 1).isdigit()] for column in zip(*rows)]
    use, heat, power = columns
    return {
        "gpus": len(rows),
        **({"use": round(sum(use) / len(use))} if use else {}),
        **({"heat": max(heat)} if heat else {}),
        **({"watts": round(sum(power))} if power else {}),
    }


def _systemctl(command: Command, *words: str) -> None:
    status, out, err = command(["systemctl", *words])
    if status:
        raise JobError(f"systemctl {' '.join(words)}: {(err or out).strip()}")


def _note(root: Path) -> _Note:
    try:
        data: _Note = json.loads((root / _DIRECTORY / "note.json").read_text())
    except (OSError, ValueError):
        return {}
    return data if isinstance(data, dict) else {}


def _output(root: Path) -> str:
    try:
        with (root / _DIRECTORY / "output").open(errors="replace") as stream:
            return stream.read(_MOST)
    except OSError:
        return ""
