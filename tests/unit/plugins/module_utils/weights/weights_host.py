"""One host of the weights' tests: its store, and the download process on it."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any

from ansible_collections.baremetal.vllm.plugins.module_utils.weights import job

COMMIT = "0123456789abcdef0123456789abcdef01234567"
REPO = "Org/Tiny"

# A Python that is asked for `-m MODULE …`, with a clock of its own.
HURRIED = f"""#!{sys.executable}
import runpy, sys, time

wait = time.sleep
time.sleep = lambda seconds: wait(seconds / 50)
del sys.argv[:2]
runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
"""


class Host:
    """One host's store and the download process on it."""

    def __init__(self, root: Path, endpoint: str) -> None:
        self.root = root
        self.store = root / "models"
        self.run_dir = str(root / "run")
        self.token_file = root / "hf_token"
        self.endpoint = endpoint
        self.python = sys.executable

    def hurry(self) -> None:
        """Have what sleeps in the download process sleep a fiftieth: the library waits 23 s in all for a hub that is away."""
        python = self.root / "python"
        python.write_text(HURRIED)
        python.chmod(0o755)
        self.python = str(python)

    def item(self, repo: str = REPO, commit: str = COMMIT) -> dict[str, Any]:
        path = self.store / "hub" / ("models--" + repo.replace("/", "--")) / commit
        return {"source": "hub", "repo": repo, "revision": commit, "path": str(path)}

    def order(self, *items: dict[str, Any], **more: Any) -> dict[str, Any]:
        first = {
            "endpoint": self.endpoint,
            "token_file": str(self.token_file),
            "pause": 0.02,
            "reserved": 0,
            "store": str(self.store),
        }
        return {**first, "items": list(items or [self.item()]), **more}

    def start(self, *items: dict[str, Any], **more: Any) -> None:
        wrong = job.start(self.run_dir, self.python, self.order(*items, **more))
        assert wrong is None, wrong

    def wait(self, seconds: float = 60.0) -> dict[str, Any]:
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            status = job.poll(self.run_dir)
            if status["state"] != "running":
                return status
            time.sleep(0.05)
        raise AssertionError(f"still running after {seconds} s: {status}")

    def fetch(self, *items: dict[str, Any], **more: Any) -> dict[str, Any]:
        self.start(*items, **more)
        return self.wait()
