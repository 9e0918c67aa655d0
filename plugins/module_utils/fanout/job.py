"""Starts, follows and ends the agent of a host as a transient unit: it outlives the connection, and ends without it."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType

from ansible_collections.baremetal.vllm.plugins.module_utils.fanout import (
    agent,
    choice,
    fetching,
    holding,
    manifest,
    order,
    sending,
    store,
    tls,
    wire,
)
from ansible_collections.baremetal.vllm.plugins.module_utils.host import folders, program
from ansible_collections.baremetal.vllm.plugins.module_utils.host.command import Run, run
from ansible_collections.baremetal.vllm.plugins.module_utils.host.job import Job, JobError
from ansible_collections.baremetal.vllm.plugins.module_utils.host.until import until
from ansible_collections.baremetal.vllm.plugins.module_utils.text import values
from ansible_collections.baremetal.vllm.plugins.module_utils.text.values import Values
from ansible_collections.baremetal.vllm.plugins.module_utils.weights import selection, space

ROOT = Path("/run/vllm-fanout")
# What the agent consists of.
PARTS: tuple[ModuleType, ...] = (
    *(agent, choice, fetching, holding, manifest, order, sending, store, tls, wire),
    *(folders, selection, space, values),
)
# Seconds without a word of the control node after which another run may take the content over, and a start may last.
_FORSAKEN, _START = 30.0, 30.0
_OVER = ("ended", "failed")


def name_of(content: str) -> str:
    """The unit of a content's agent."""
    return f"vllm-fanout-{content[:16]}.service"


class FanoutJob:
    """The agent of one content on this host, in a folder that only root may enter and a reboot empties."""

    def __init__(self, content: str, command: Run | None = None, root: Path = ROOT) -> None:
        self.folder = order.RunFolder(root / content[:16])
        self.job = Job(name_of(content), command or _systemd, root)

    def start(self, wanted: order.Order, credential: str, neighbours: Sequence[choice.Neighbour] = ()) -> Values:
        """Start it, and return its status once it listens, or has failed; `neighbours`: whom to ask, where that is known already.

        Raises JobError: where the agent of a run that is still followed works on the content, or systemd refuses; OSError.
        """
        if self.job.state().running and self._unheard() < _FORSAKEN:
            raise JobError(
                f"another run brings {wanted.target} to this host at this moment: wait for it, or end it with systemctl stop"
                f" {self.job.unit}"
            )
        self.end()
        folders.make(self.folder.path.parent, 0o700)
        folders.make(self.folder.path, 0o700)
        program.lay(self.folder.path / "code", PARTS)
        self.folder.write_order(wanted)
        if neighbours:
            self.folder.write_neighbours(neighbours)
        order.replace(self.folder.credential, credential)
        self.folder.heard()
        self.job.start(
            f"Content {wanted.content[:12]} from host to host",
            [sys.executable, "-m", agent.__name__, str(self.folder.path)],
            self.folder.log,
            {"PYTHONPATH": str(self.folder.path / "code"), "PYTHONDONTWRITEBYTECODE": "1"},
            properties=("NoNewPrivileges=yes", "LimitNOFILE=4096", "KillMode=mixed", "TimeoutStopSec=60"),
        )
        return until(self.status, lambda found: bool(found.get("port")) or _is_over(found), _START, 0.1)

    def follow(self, neighbours: Sequence[choice.Neighbour] | None, patience: float) -> Values:
        """Say that the control node is there, and whom to ask where that is given; wait up to `patience` seconds for the content
        to be whole. Returns the status. Raises OSError."""
        if not self.folder.path.is_dir():
            return {"state": "none", "problem": "no agent was started on this host, or it was ended"}
        if neighbours is not None:
            self.folder.write_neighbours(neighbours)
        self.folder.heard()
        return until(self.status, lambda found: found.get("state") == "whole" or _is_over(found), patience, 0.25)

    def end(self, part: Path | None = None) -> Values:
        """End it, and leave nothing of the run; what came of the content stays for the next one, but where `part` is its place:
        what is not whole is removed then. Returns the last status."""
        if self.folder.path.is_dir():
            with contextlib.suppress(FileNotFoundError):
                self.folder.end.touch(mode=0o600)
                until(self.job.state, lambda found: not found.running, 10.0, 0.1)
        last = self.status()
        self.job.forget()
        shutil.rmtree(self.folder.path, ignore_errors=True)
        if part is not None:
            shutil.rmtree(store.Place(part).staging, ignore_errors=True)
        return last

    def status(self) -> Values:
        """What the agent told last; state none where there is none, failed where it is gone without a word."""
        told = self._told()
        if _is_over(told) or self.job.state().running:
            return told
        # It may have told its end between the two looks.
        told = self._told()
        return told if _is_over(told) else {**told, "state": "failed", "problem": self._last_words()}

    def _told(self) -> Values:
        try:
            told: Values = json.loads(self.folder.status.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {"state": "none", "problem": ""}
        return told

    def _last_words(self) -> str:
        try:
            lines = self.folder.log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
        except OSError:
            lines = []
        return f"the agent is gone: {lines[-1] if lines else 'it left no word'}"

    def _unheard(self) -> float:
        try:
            return time.time() - os.stat(self.folder.lease).st_mtime
        except FileNotFoundError:
            return _FORSAKEN


def _is_over(status: Values) -> bool:
    return status.get("state") in _OVER


def _systemd(argv: list[str]) -> tuple[int, str, str]:
    return run(argv, timeout=60)
