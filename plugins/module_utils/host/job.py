"""A command on the host that outlives the connection: package managers, compilers and diagnostics must not be cut off half-way.

It runs as a transient systemd unit; whoever comes back finds it by the unit's name, and can go on watching it.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ansible_collections.baremetal.vllm.plugins.module_utils.host.command import Answer, Run, run
from ansible_collections.baremetal.vllm.plugins.module_utils.host.secrets import secret_lines
from ansible_collections.baremetal.vllm.plugins.module_utils.host.until import until

# Bytes of a log that is kept, some hundred driver changes; whoever watches a job counts in bytes from its beginning.
LARGEST = 8 << 20
_PROPERTIES = (
    *("ActiveState", "SubState", "ExecMainStatus", "ExecMainCode", "Result", "Description"),
    *("ExecMainStartTimestampMonotonic", "ExecMainExitTimestampMonotonic"),
)


class JobError(Exception):
    """systemd refused, or did not answer; the text has its words."""


@dataclass(frozen=True)
class JobState:
    """A job as systemd has it. `status` is its exit status, 128 and more where a signal ended it, 0 while it runs; `result`
    systemd's word for how it ended; `seconds` how long it has run or took, 0 where it never began."""

    running: bool
    title: str = ""
    status: int = 0
    result: str = "success"
    seconds: int = 0


def _systemd(argv: list[str]) -> Answer:
    return run(argv, timeout=60)


@dataclass(frozen=True)
class Job:
    """The job of that unit, of which one at most runs. `folder` is where its secrets lie while it runs."""

    unit: str
    command: Run = _systemd
    folder: Path = Path("/run")

    @property
    def secret(self) -> Path:
        """The secret part of its environment, while it runs."""
        return self.folder / f"{self.unit.rpartition('.')[0]}.env"

    def state(self) -> JobState:
        """How it stands; not running where nothing runs and nothing ended. Raises JobError."""
        out = self._must("systemctl", "show", self.unit, f"--property={','.join(_PROPERTIES)}")
        shown = dict(line.partition("=")[::2] for line in out.splitlines())
        # RemainAfterExit keeps a unit that ended well "active" until it is forgotten.
        active = shown.get("ActiveState") in ("active", "activating", "deactivating")
        running = active and shown.get("SubState") != "exited"
        begun, ended = (_number(shown, f"ExecMain{what}TimestampMonotonic") / 1e6 for what in ("Start", "Exit"))
        now = time.clock_gettime(time.CLOCK_MONOTONIC) if running or not ended else ended
        # CLD_KILLED and CLD_DUMPED: the status is a signal then, told as a shell does.
        signal = 128 if shown.get("ExecMainCode") in ("2", "3") else 0
        return JobState(
            running=running,
            title=shown.get("Description", ""),
            status=_number(shown, "ExecMainStatus") + signal,
            result=shown.get("Result", ""),
            seconds=int(now - begun) if begun else 0,
        )

    def start(
        self,
        title: str,
        argv: Sequence[str],
        output: Path,
        environment: Mapping[str, str],
        secret: Mapping[str, str] | None = None,
        properties: Sequence[str] = (),
    ) -> None:
        """Start it; what it writes is appended to `output`. Raises JobError.

        `environment` can be read by everybody on the host, `secret` by root alone.
        """
        self.forget()
        settings = [f"--setenv={name}={value}" for name, value in environment.items()]
        settings += [f"--property={item}" for item in ("RemainAfterExit=yes", *properties)]
        if secret:
            # systemd shows every user what --setenv gave a unit, and of a file its name.
            with open(
                os.open(self.secret, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8"
            ) as stream:
                stream.write(secret_lines(secret))
            settings.append(f"--property=EnvironmentFile={self.secret}")
        # systemd of RHEL 8 cannot append to a file by itself.
        words = ["/bin/sh", "-c", 'exec "$@" >>"$0" 2>&1', str(output), *argv]
        flags = ["--quiet", f"--unit={self.unit}", f"--description={title}", *settings]
        self._must("systemd-run", *flags, "--", *words)

    def forget(self) -> None:
        """End it where it runs, and drop what systemd remembers of it."""
        # Both fail where systemd knows no such unit, which is as well.
        self.command(["systemctl", "stop", self.unit])
        self.command(["systemctl", "reset-failed", self.unit])
        with contextlib.suppress(FileNotFoundError):
            self.secret.unlink()

    def _must(self, *words: str) -> str:
        status, out, err = self.command([*words])
        if status:
            raise JobError(f"{words[0]}: {(err or out).strip() or f'exit status {status}'}")
        return out


@dataclass(frozen=True)
class Logged:
    """Jobs of one unit that write to one log, which stays; whoever watches one reads on from where it was."""

    job: Job
    log: Path

    def start(
        self, title: str, argv: Sequence[str], environment: Mapping[str, str], secret: Mapping[str, str] | None = None
    ) -> dict[str, Any]:
        """Start a command as `Job.start` does, unless one runs. Raises JobError.

        `offset` is where its words begin in the log, `busy` the title of another one that still runs.
        """
        found = self.job.state()
        if found.running:
            return {"busy": found.title, "offset": self._size()}
        self._rotate()
        offset = self._size()
        self.job.start(title, argv, self.log, environment, secret)
        return {"busy": "", "offset": offset}

    def watch(self, offset: int, patience: float) -> dict[str, Any]:
        """Wait up to `patience` seconds for an end or for new words.

        Returns `done`, `rc` (None while it runs; 128 and more where a signal ended it), the new `lines`, the next `offset`.
        Raises JobError.
        """

        def look() -> tuple[JobState, list[str], int]:
            found = self.job.state()
            return (found, *self._lines(offset, whole=found.running))

        found, lines, reached = until(look, lambda seen: not seen[0].running or bool(seen[1]), patience, 0.5)
        failed = found.status or int(found.result != "success")
        return {"done": not found.running, "rc": None if found.running else failed, "lines": lines, "offset": reached}

    def words(self, begin: int) -> list[str]:
        """The log from `begin` on, or the first part of it where it is very long."""
        return self._lines(begin, whole=False)[0]

    def _rotate(self) -> None:
        """Begin the log anew where it has become large; the one before is kept beside it. Nobody else rotates it."""
        with contextlib.suppress(FileNotFoundError):
            if self.log.stat().st_size > LARGEST:
                self.log.replace(self.log.with_name(f"{self.log.name}.1"))

    def _size(self) -> int:
        try:
            return self.log.stat().st_size
        except FileNotFoundError:
            self.log.touch(mode=0o600)
            self.log.chmod(0o640)
            return 0

    def _lines(self, offset: int, whole: bool) -> tuple[list[str], int]:
        """Lines after `offset` (with `whole`, only finished ones), and where they end."""
        with self.log.open("rb") as stream:
            stream.seek(offset)
            data = stream.read(256 * 1024)
        if whole:
            data = data[: data.rfind(b"\n") + 1]
        # Package managers draw progress with carriage returns: only the last state of such a line counts.
        text = data.decode("utf-8", "replace")
        return [line.rstrip("\r").rpartition("\r")[2] for line in text.split("\n") if line.strip()], offset + len(data)


def _number(shown: Mapping[str, str], name: str) -> int:
    value = shown.get(name, "")
    return int(value) if value.isdigit() else 0
