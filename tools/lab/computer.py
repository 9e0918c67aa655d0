"""Small dealings with the computer that boots the lab: long commands, mounts, directories, ports."""

from __future__ import annotations

import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from ansible_collections.baremetal.vllm.tools.lab.spec import LabError

# Seconds between two lines about one long step.
EVERY = 5
Say = Callable[[str], None]


def timed(line: str, seconds: float) -> str:
    return f"{line}  {seconds:.0f} s"


def long_command(command: Sequence[str], what: str, say: Say) -> None:
    """Run a command that takes long and say so as it goes.

    :raises LabError: with its last lines
    """
    begun = time.monotonic()
    with tempfile.TemporaryFile("w+", errors="replace") as log:
        running = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        while True:
            try:
                code = running.wait(EVERY)
                break
            except subprocess.TimeoutExpired:
                say(timed(what, time.monotonic() - begun))
        log.seek(0)
        if code:
            raise LabError(f"{what} failed with status {code}:\n" + "\n".join(log.read().splitlines()[-15:]))
    say(timed(f"{what}: done", time.monotonic() - begun))


def ssh_answers(address: str, port: int = 22) -> bool:
    """Whether something at a port introduces itself as SSH (RFC 4253, section 4.2)."""
    try:
        with socket.create_connection((address, port), timeout=1) as connection:
            return connection.recv(4) == b"SSH-"
    except OSError:
        return False


def mount_points() -> set[str]:
    """Mount points of this mount namespace (proc(5), mountinfo)."""
    return {line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()}


def remove_tree(path: Path) -> None:
    """Remove a directory and what is in it.

    :raises LabError: when something is mounted below it: that is not the lab's to remove
    """
    mounted = sorted(point for point in mount_points() if point == str(path) or point.startswith(f"{path}/"))
    if mounted:
        raise LabError(f"{path} stays: {', '.join(mounted)} is still mounted (end what uses it, umount, run again)")
    if path.exists():
        shutil.rmtree(path)


def write(file: Path, text: str, mode: int) -> None:
    """A file with this text and mode, in place of a link or of other text; untouched when it is right."""
    if file.exists() and not file.is_symlink() and file.read_text() == text:
        return
    file.parent.mkdir(parents=True, exist_ok=True)
    file.unlink(missing_ok=True)
    file.touch(mode=mode)
    file.write_text(text)
    file.chmod(mode)
