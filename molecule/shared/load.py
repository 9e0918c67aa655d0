"""A steady load (locust, locustfile.py) held on an address while something else happens to the fleet behind it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
# Seconds for streams that are under way at the end of a load.
PATIENCE = 120


@dataclass
class Load:
    """The load so far, or after its end; times in seconds."""

    result: Path
    log: Path
    last: dict[str, Any] | None = None

    @property
    def counts(self) -> dict[str, Any]:
        """begun, good, failed, cut, tokens_expected, tokens_received, first_token_p50, failures (the first 50, in words)."""
        return self.last or json.loads(self.result.read_text())

    def wait_for(self, good: int, seconds: float = 120) -> None:
        """Wait until so many more requests have succeeded."""
        goal, end = self.counts["good"] + good, time.monotonic() + seconds
        while self.counts["good"] < goal:
            assert time.monotonic() < end, f"not {good} good requests within {seconds} s: {self.counts}"
            time.sleep(0.2)

    def finish(self, process: subprocess.Popen[bytes]) -> None:
        """Begin no more requests, wait for those under way, end the process."""
        self.result.with_name(f"{self.result.name}.stop").touch()
        end = time.monotonic() + PATIENCE
        while process.poll() is None and time.monotonic() < end:
            counts = self.counts
            if counts["stopped"] and counts["begun"] == counts["good"] + counts["failed"] + counts["cut"]:
                break
            time.sleep(0.2)
        self.last = self.counts
        print("load:", self.last)
        process.kill()
        process.wait()

    def assert_unharmed(self) -> None:
        """No request failed, no stream was cut, each token that was asked for came."""
        counts = self.counts
        assert counts["good"] > 0, counts
        assert (counts["failed"], counts["cut"]) == (0, 0), counts
        assert counts["begun"] == counts["good"], counts
        assert counts["tokens_received"] == counts["tokens_expected"], counts


@contextmanager
def load(
    url: str,
    key: str,
    chat: Sequence[str] = (),
    embedding: Sequence[str] = (),
    users: int = 8,
    tokens: tuple[int, int] = (10, 40),
    count: str = "chunks",
    pause: float = 0.1,
) -> Iterator[Load]:
    """Hold a load on an address for as long as the `with` block lasts; what was under way at its end is waited for.

    `pause` is the seconds of each user between two requests.
    """
    with tempfile.TemporaryDirectory(prefix="load-") as folder:
        held = Load(Path(folder, "counts.json"), Path(folder, "log"))
        environment = {
            **os.environ,
            "LOAD_KEY": key,
            "LOAD_RESULT": str(held.result),
            "LOAD_CHAT": " ".join(chat),
            "LOAD_EMBEDDING": " ".join(embedding),
            "LOAD_TOKENS": f"{tokens[0]} {tokens[1]}",
            "LOAD_COUNT": count,
            "LOAD_PAUSE": str(pause),
        }
        command = [
            sys.executable,
            "-m",
            "locust",
            "--headless",
            "--only-summary",
            "--locustfile",
            str(HERE / "locustfile.py"),
        ]
        command += [
            "--host",
            url,
            "--users",
            str(users),
            "--spawn-rate",
            str(users),
        ]
        with held.log.open("w") as log:
            process = subprocess.Popen(command, env=environment, cwd=folder, stdout=log, stderr=log)
        try:
            end = time.monotonic() + 30
            while not held.result.exists():
                assert process.poll() is None, held.log.read_text()
                assert time.monotonic() < end, held.log.read_text()
                time.sleep(0.1)
            held.wait_for(users)
            yield held
        finally:
            held.finish(process)
