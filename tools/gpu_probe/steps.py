"""Steps that are bounded, one after the other: what fails, hangs or is left out is data."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Callable

# Of one output; a log of hours has no place in a recording.
MOST = 400_000


@dataclass
class Steps:
    """`done`: one dictionary a step: name, status (ok, failed, timeout, skipped), seconds, and `result` or `why`.

    `limit`: seconds for all steps together, from the creation on; `grace`: seconds beyond its own that a step may take.
    """

    limit: float
    say: Callable[[str], None] = print
    grace: float = 15
    done: list[dict[str, Any]] = field(default_factory=list)
    began: float = field(default_factory=time.monotonic)

    @property
    def left(self) -> float:
        return self.limit - (time.monotonic() - self.began)

    def run(self, name: str, work: Callable[[float], Any], seconds: float) -> Any:
        """What `work` returns, given the seconds that it has; None where it raised or took longer. Never raises."""
        allowed = min(seconds, self.left)
        if allowed < 1:
            self.skip(name, "no time is left")
            return None
        box: dict[str, Any] = {}

        def inside() -> None:
            try:
                box["result"] = work(allowed)
            except BaseException as error:  # (a step may not end the probe, whatever it raises)
                box["why"] = f"{type(error).__name__}: {error}"

        started = time.monotonic()
        thread = threading.Thread(target=inside, daemon=True)
        thread.start()
        # Work keeps to its own limit; this one is for what cannot be interrupted, as a question to a sick GPU.
        thread.join(allowed + self.grace)
        step: dict[str, Any] = {"name": name, "seconds": round(time.monotonic() - started, 2)}
        if thread.is_alive():
            step.update(status="timeout", why=f"it did not end within {allowed + self.grace:.0f} s")
        elif "why" in box:
            step.update(status="failed", why=box["why"])
        else:
            step.update(status="ok", result=box["result"])
        self._keep(step)
        return box.get("result") if step["status"] == "ok" else None

    def skip(self, name: str, why: str) -> None:
        """A step that is left out, and why."""
        self._keep({"name": name, "status": "skipped", "seconds": 0.0, "why": why})

    def _keep(self, step: dict[str, Any]) -> None:
        self.done.append(step)
        self.say(f"{step['seconds']:6.1f} s  {step['status']:<8} {step['name']}  {step.get('why', '')}".rstrip())


def command(
    argv: Sequence[str],
    seconds: float,
    *,
    env: Mapping[str, str] | None = None,
    stdin: str = "",
    cwd: Path | None = None,
) -> dict[str, Any]:
    """{argv, returncode, stdout, stderr, seconds} of one command; returncode None: no such program, or no answer in time."""
    started = time.monotonic()
    answer: dict[str, Any] = {"argv": list(argv), "returncode": None, "stdout": "", "stderr": ""}
    try:
        process = subprocess.Popen(
            argv,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=dict(os.environ, LC_ALL="C") if env is None else dict(env),
            cwd=cwd,
            start_new_session=True,
        )
    except OSError as error:
        return {**answer, "stderr": f"{argv[0]}: {error.strerror}", "seconds": 0.0}
    try:
        out, err = process.communicate(stdin.encode(), timeout=max(1.0, seconds))
        answer["returncode"] = process.returncode
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        # Not waited for: a process that asks a sick GPU sleeps where no signal reaches it.
        out, err = b"", f"no answer within {seconds:.0f} s".encode()
    answer["stdout"] = out.decode(errors="replace")[:MOST]
    answer["stderr"] = err.decode(errors="replace")[:MOST]
    return {**answer, "seconds": round(time.monotonic() - started, 2)}
