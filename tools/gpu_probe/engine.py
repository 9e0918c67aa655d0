"""An engine on this machine: looked at, started with the environment of our unit, watched, proved and stopped."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from . import collection

collection()
from ansible_collections.baremetal.vllm.plugins.module_utils.endpoints.client import Client, Unexpected
from ansible_collections.baremetal.vllm.plugins.module_utils.endpoints.service import parse_services
from ansible_collections.baremetal.vllm.plugins.module_utils.endpoints.suite import check_service
from ansible_collections.baremetal.vllm.plugins.module_utils.units import journal

from . import log
from .steps import command

# What CUDA itself says of each GPU, and which kernels the engine carries. Memory in bytes.
LOOK = """
import importlib.metadata as meta, json, shutil, sys
told = {"python": sys.version.split()[0], "gpus": [], "packages": {}}
for dist in meta.distributions():
    name = (dist.metadata["Name"] or "").lower()
    if name in ("vllm", "torch", "triton", "transformers", "ninja") or name.startswith(("nvidia-", "flashinfer", "flash-attn")):
        told["packages"][name] = dist.version
told["tools"] = {tool: shutil.which(tool) for tool in ("nvcc", "ninja", "gcc", "cc", "g++")}
import torch
told.update(torch=torch.__version__, cuda=torch.version.cuda, hip=getattr(torch.version, "hip", None))
told["available"] = torch.cuda.is_available()
for index in range(torch.cuda.device_count() if told["available"] else 0):
    properties = torch.cuda.get_device_properties(index)
    free, total = torch.cuda.mem_get_info(index)
    capability = list(torch.cuda.get_device_capability(index))
    told["gpus"].append({"name": properties.name, "capability": capability, "free": free, "total": total,
                         "multiprocessors": properties.multi_processor_count})
print("told " + json.dumps(told))
"""
# Engines that run now: a probe that is cut off takes them along.
_running: list[subprocess.Popen[bytes]] = []
# Between two looks at an engine that starts.
PAUSE = 0.5
# A stop gives running requests their time (--shutdown-timeout); the probe has none running.
STOP = 45.0


@dataclass(frozen=True)
class Start:
    """One start: the command and environment of the process, where its log goes, and how to ask it."""

    argv: Sequence[str]
    environment: Mapping[str, str]
    log: Path
    port: int
    key: str


def look(python: Path, seconds: float, env: Mapping[str, str]) -> dict[str, Any]:
    """What torch and the packages say: versions, GPUs with free and total memory as CUDA counts it. Raises where they fail."""
    answer = command([str(python), "-c", LOOK], seconds, env=env)
    line = next((line for line in answer["stdout"].splitlines() if line.startswith("told ")), "")
    if not line:
        raise RuntimeError((answer["stderr"] or answer["stdout"]).strip()[-2000:] or "it said nothing")
    told: dict[str, Any] = json.loads(line[5:])
    return {**told, "seconds": answer["seconds"]}


def free_port() -> int:
    """A port of loopback that nobody has at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def placed(words: Mapping[str, Any], moves: Mapping[str, str]) -> dict[str, Any]:
    """A unit's command and environment with directories of this machine in place of a host's (`/opt/vllm/<release>`)."""

    def moved(text: str) -> str:
        for old, new in moves.items():
            text = text.replace(old, new)
        return text

    return {
        "command": [moved(word) for word in words["command"]],
        "environment": {name: moved(value) for name, value in words["environment"].items()},
    }


def serve(start: Start, service: Mapping[str, Any], seconds: float, between: Any = None) -> dict[str, Any]:
    """Start, wait for an answer, prove, stop; everything that was seen, also of a start that fails.

    `between` is called while the engine is up, and what it returns is kept as `while_up`.
    """
    ends = time.monotonic() + seconds
    started = time.monotonic()
    with start.log.open("wb") as sink:
        process = subprocess.Popen(
            list(start.argv),
            env=dict(start.environment),
            stdin=subprocess.DEVNULL,
            stdout=sink,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            cwd=start.log.parent,
        )
    _running.append(process)
    seen: dict[str, Any] = {"ready": False, "returncode": None, "stages": []}
    try:
        # The proof and the stop need their part of the time.
        seen["ready"] = _wait(process, start, ends - min(STOP, seconds / 4), seen["stages"], started)
        seen["ready_seconds"] = round(time.monotonic() - started, 2) if seen["ready"] else None
        if seen["ready"]:
            seen["while_up"] = between() if between else None
            [asked] = parse_services([service])
            proof = check_service(asked, start.key, timeout=max(5.0, min(60.0, ends - time.monotonic() - 10)))
            seen["proof"] = proof.as_dict()
    finally:
        seen.update(_stop(process, max(5.0, min(STOP, ends - time.monotonic()))))
        _running.remove(process)
    lines = start.log.read_text(errors="replace").splitlines()
    shown = [line.replace(start.key, "KEY") for line in lines]
    seen.update(
        log.summary(shown),
        log_lines=len(lines),
        log=shown[:400] + (["…", *shown[-200:]] if len(shown) > 600 else shown[400:]),
    )
    if not seen["ready"]:
        seen["cause"] = journal.cause(shown)
    return seen


def _wait(process: subprocess.Popen[bytes], start: Start, ends: float, stages: list[Any], started: float) -> bool:
    client = Client("127.0.0.1", start.port, start.key, 3.0)
    while time.monotonic() < ends and process.poll() is None:
        now = journal.stage(start.log.read_text(errors="replace").splitlines())
        if not stages or stages[-1][0] != now:
            stages.append([now, round(time.monotonic() - started, 1)])
        try:
            if client.get("/health").status == 200:
                return True
        except Unexpected:
            pass
        time.sleep(PAUSE)
    return False


def _stop(process: subprocess.Popen[bytes], seconds: float) -> dict[str, Any]:
    """End the process as systemd does (KillMode=mixed): SIGTERM to it, then SIGKILL to what is left of its session."""
    began = time.monotonic()
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(timeout=seconds)
    killed = process.poll() is None
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    return {"returncode": process.returncode, "stop_seconds": round(time.monotonic() - began, 2), "killed": killed}


def end_all() -> None:
    """End every engine that is still there, at once."""
    for process in list(_running):
        _stop(process, 1)


def caches(directory: Path, names: int = 200) -> dict[str, Any]:
    """What lies in the cache: files and bytes for each of its folders (two deep), and the libraries among them."""
    folders: dict[str, dict[str, int]] = {}
    libraries = []
    for path in sorted(directory.rglob("*")):
        if path.is_symlink() or not path.is_file():
            continue
        relative = path.relative_to(directory)
        folder = folders.setdefault("/".join(relative.parts[:-1][:2]), {"files": 0, "bytes": 0})
        folder["files"] += 1
        folder["bytes"] += path.stat().st_size
        if path.suffix in (".so", ".cubin"):
            libraries.append(str(relative))
    return {"folders": folders, "libraries": libraries[:names]}
