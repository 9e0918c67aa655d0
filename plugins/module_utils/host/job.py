"""A command on the host that outlives the connection: package managers and compilers must not be cut off half-way.

It runs as a transient systemd unit and writes to a log of its own; whoever comes back can go on watching it.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ansible_collections.baremetal.vllm.plugins.module_utils.host.secrets import secret_lines

UNIT = "vllm-driver-job.service"
LOG = Path("/var/log/vllm-driver.log")
# The secret part of its environment, while it runs.
SECRET = Path("/run/vllm-driver-job.env")
# Bytes, some hundred driver changes; nobody else rotates it, as whoever watches a job counts in bytes from its beginning.
LARGEST = 8 << 20


def state() -> dict[str, str]:
    """The unit's properties; ActiveState "inactive" where nothing runs and nothing ended."""
    names = "ActiveState,SubState,ExecMainStatus,ExecMainCode,Result,Description"
    text = _run(["systemctl", "show", UNIT, f"--property={names}"]).stdout
    return dict(line.partition("=")[::2] for line in text.splitlines())


def start(
    title: str, argv: Sequence[str], environment: Mapping[str, str], secret: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """Start the command with `environment`, which everybody on the host can read, and with `secret`, which nobody but root can.

    `offset` is where its words begin in the log, `busy` the title of another one that still runs."""
    found = state()
    if found.get("ActiveState") in ("active", "activating") and found.get("SubState") != "exited":
        return {"busy": found.get("Description", ""), "offset": _size()}
    forget()
    _rotate()
    offset = _size()
    settings = [f"--setenv={name}={value}" for name, value in environment.items()]
    if secret:
        # systemd shows every user what --setenv gave a unit, and of a file its name.
        _write_secret(secret_lines(secret))
        settings.append(f"--property=EnvironmentFile={SECRET}")
    # systemd of RHEL 8 cannot append to a file by itself.
    words = ["/bin/sh", "-c", 'log=$1; shift; exec "$@" >>"$log" 2>&1', "vllm-driver-job", str(LOG), *argv]
    flags = ["--quiet", f"--unit={UNIT}", f"--description={title}", "--property=RemainAfterExit=yes", *settings]
    done = _run(["systemd-run", *flags, "--", *words])
    return {"busy": "", "offset": offset, "error": done.stderr.strip() if done.returncode else ""}


def watch(offset: int, patience: float) -> dict[str, Any]:
    """Wait up to `patience` seconds for an end or for new words.

    Returns `done`, `rc` (None while it runs; 128 and more where a signal ended it), the new `lines`, the next `offset`.
    """
    deadline = time.monotonic() + patience
    while True:
        found = state()
        done = found.get("ActiveState") != "active" or found.get("SubState") == "exited"
        lines, reached = _lines(offset, whole=not done)
        if done or lines or time.monotonic() > deadline:
            break
        time.sleep(0.5)
    status = int(found.get("ExecMainStatus") or 0)
    # CLD_KILLED and CLD_DUMPED: the status is a signal then.
    status += 128 if found.get("ExecMainCode") in ("2", "3") else 0
    if done and found.get("Result", "success") != "success" and status == 0:
        status = 1
    return {"done": done, "rc": status if done else None, "lines": lines, "offset": reached}


def words(begin: int) -> list[str]:
    """The log from `begin` on, or the first part of it where it is very long."""
    return _lines(begin, whole=False)[0]


def forget() -> None:
    """Drop what systemd remembers of the last command."""
    _run(["systemctl", "stop", UNIT])
    _run(["systemctl", "reset-failed", UNIT])
    with contextlib.suppress(FileNotFoundError):
        SECRET.unlink()


def _write_secret(text: str) -> None:
    with contextlib.suppress(FileNotFoundError):
        SECRET.unlink()
    descriptor = os.open(SECRET, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
        stream.write(text)


def _rotate() -> None:
    """Begin the log anew where it has become large; the one before is kept beside it."""
    try:
        if LOG.stat().st_size > LARGEST:
            LOG.replace(LOG.with_name(f"{LOG.name}.1"))
    except FileNotFoundError:
        pass


def _size() -> int:
    try:
        return LOG.stat().st_size
    except FileNotFoundError:
        LOG.touch(mode=0o600)
        LOG.chmod(0o640)
        return 0


def _lines(offset: int, whole: bool) -> tuple[list[str], int]:
    """Lines after `offset` (with `whole`, only finished ones), and where they end."""
    with LOG.open("rb") as stream:
        stream.seek(offset)
        data = stream.read(256 * 1024)
    if whole:
        data = data[: data.rfind(b"\n") + 1]
    # Package managers draw progress with carriage returns: only the last state of such a line counts.
    text = data.decode("utf-8", "replace")
    return [line.rstrip("\r").rpartition("\r")[2] for line in text.splitlines() if line.strip()], offset + len(data)


def _run(argv: list[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(argv, capture_output=True, text=True, errors="replace", timeout=60, check=False)
