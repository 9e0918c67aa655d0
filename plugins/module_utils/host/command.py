"""Running a vendor's tool that may hang: one call, whatever happens to it is data."""

from __future__ import annotations

import os
import signal
import subprocess
from typing import Callable

# Exit status, standard output, standard error.
Answer = tuple[int, str, str]
Run = Callable[[list[str]], Answer]

# As the shell and timeout(1) have them.
MISSING, TIMED_OUT = 127, 124


def run(argv: list[str], timeout: float = 30) -> Answer:
    """Run a command in the C locale; never raises. 127: no such program. 124: no answer within `timeout` seconds.

    A tool that asks a sick GPU sleeps where no signal reaches it: it is killed and not waited for.
    """
    try:
        process = subprocess.Popen(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**os.environ, "LC_ALL": "C"},
            start_new_session=True,
        )
    except FileNotFoundError:
        return MISSING, "", f"{argv[0]} is not installed"
    except OSError as error:
        return 126, "", f"{argv[0]} cannot be run: {error.strerror}"
    try:
        out, err = process.communicate(timeout=timeout)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        return TIMED_OUT, "", f"{argv[0]} did not answer within {timeout:g} s"
    return process.returncode, out.decode(errors="replace"), err.decode(errors="replace")


def one_line(*texts: str) -> str:
    """What a tool wrote, its lines joined, without empty ones."""
    return " ".join(" ".join(texts).split())
