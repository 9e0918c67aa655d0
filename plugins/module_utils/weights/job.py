"""Starts and watches the download process of a host (`hub_fetch`); one runs at a time.

Everything about it lies in one root-only directory that a reboot empties: the order, the status, the lock, the log, and
the few Python files the process consists of. The weights themselves grow in the store.
"""

from __future__ import annotations

import fcntl
import json
import os
import subprocess
import time
from pathlib import Path
from types import ModuleType
from typing import Any

from ansible_collections.baremetal.vllm.plugins.module_utils.host import program
from ansible_collections.baremetal.vllm.plugins.module_utils.weights import (
    hub_errors,
    hub_fetch,
    manifest,
    selection,
    space,
)

PARTS: tuple[ModuleType, ...] = (hub_errors, hub_fetch, manifest, selection, space)


def _alive(directory: str) -> bool:
    """Whether a download process holds the lock."""
    try:
        with open(os.path.join(directory, "lock"), encoding="utf-8") as lock:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except OSError:
        return True
    return False


def poll(directory: str) -> dict[str, object]:
    """The status as the process wrote it, with `alive`; {"state": "none"} where none was ever started."""
    alive = _alive(directory)
    try:
        with open(os.path.join(directory, "status.json"), encoding="utf-8") as stream:
            status: dict[str, Any] = json.load(stream)
    except (OSError, ValueError):
        status = {"state": "none", "items": [], "errors": []}
    status["alive"] = alive
    if status["state"] == "running" and not alive:
        status["state"] = "killed"
    status["log"] = _last_line(os.path.join(directory, "log"))
    return status


def _last_line(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="replace") as stream:
            lines = stream.read()[-4000:].strip().splitlines()
    except OSError:
        return ""
    return lines[-1] if lines else ""


def start(directory: str, python: str, order: hub_fetch.Order, wait: float = 10.0) -> str | None:
    """Start the process, detached from this one; returns an error in one line, or None.

    A process that is already running (the control node went away, or another run started it) is left to finish: the
    caller polls it and asks again for what is still missing.
    """
    os.makedirs(directory, mode=0o700, exist_ok=True)
    if _alive(directory):
        return None
    code = os.path.join(directory, "code")
    program.lay(Path(code), PARTS)
    paths = {name: os.path.join(directory, name) for name in ("order.json", "status.json", "lock", "log")}
    with open(paths["order.json"], "w", encoding="utf-8") as stream:
        json.dump(order, stream)
    if os.path.exists(paths["status.json"]):
        os.unlink(paths["status.json"])
    settings = hub_fetch.environment(order["endpoint"], os.path.join(directory, "home"))
    with open(paths["log"], "w", encoding="utf-8") as log:
        process = subprocess.Popen(
            [python, "-m", hub_fetch.__name__] + [paths[name] for name in ("order.json", "status.json", "lock")],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd=directory,
            env={**os.environ, **settings, "PYTHONPATH": code, "PYTHONDONTWRITEBYTECODE": "1"},
            start_new_session=True,
        )
    deadline = time.monotonic() + wait
    while time.monotonic() < deadline:
        if os.path.exists(paths["status.json"]):
            return None
        if process.poll() is not None:
            return f"the download process ended at once with status {process.returncode}: {_last_line(paths['log'])}"
        time.sleep(0.05)
    return f"the download process did not report within {wait:.0f} s: {_last_line(paths['log'])}"
