"""A hub's models into a bundle: how large they are, and the download, by the process that fetches them on hosts."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from ansible.errors import AnsibleActionFail
from ansible_collections.baremetal.vllm.plugins.module_utils.text.problems import Problems
from ansible_collections.baremetal.vllm.plugins.module_utils.weights import job
from ansible_collections.baremetal.vllm.plugins.module_utils.weights import manifest as mf
from ansible_collections.baremetal.vllm.plugins.module_utils.weights.hub_fetch import Order
from ansible_collections.baremetal.vllm.plugins.module_utils.weights.selection import needed_files
from ansible_collections.baremetal.vllm.plugins.module_utils.weights.store import write_secret
from ansible_collections.baremetal.vllm.plugins.plugin_utils.actions.follow import display, follow
from ansible_collections.baremetal.vllm.plugins.plugin_utils.actions.hub import hub_of
from ansible_collections.baremetal.vllm.plugins.plugin_utils.bundle.manifest import Part
from ansible_collections.baremetal.vllm.plugins.plugin_utils.bundle.writing.difference import PartStep, fetched, held
from ansible_collections.baremetal.vllm.plugins.plugin_utils.places import cache_directory
from ansible_collections.baremetal.vllm.plugins.plugin_utils.recipes.hub import HubFailure
from ansible_collections.baremetal.vllm.plugins.plugin_utils.task import Arguments, Result
from ansible_collections.baremetal.vllm.plugins.plugin_utils.weights.progress import Meter

# Seconds between two looks at the download.
_WAIT = 1.0


class HubModels:
    """The models of a hub that a bundle lacks. `given` are the task's arguments."""

    def __init__(self, directory: Path, given: Arguments) -> None:
        self._directory, self._given = directory, given
        name = hashlib.sha256(os.path.realpath(directory).encode("utf-8", "surrogateescape")).hexdigest()[:16]
        # The process outlives a run that is interrupted, and the next run finds it here.
        self._run_dir = str(cache_directory("bundle") / name)

    def settle(self) -> None:
        """Wait for a download that an interrupted run has left behind."""
        if job.poll(self._run_dir)["alive"]:
            self._follow(self._statuses())

    def missing(self, steps: Sequence[PartStep], problems: Problems) -> dict[str, int]:
        """By path of its part the bytes that are still to be fetched of each model; what stands against fetching is a problem."""
        sizes: dict[str, int] = {}
        for part in (step.wanted.part for step in steps):
            try:
                hub = hub_of(self._given["endpoint"], self._given["hf_token"], self._given["offline"])
                files = hub.look(part.about["model"], part.about["revision"]).files
            except HubFailure as error:
                problems.add(part.name, str(error), "Write the bundle where the hub can be reached")
                continue
            whole = sum(files[name] for name in needed_files(list(files)))
            sizes[part.path] = max(0, whole - held(self._directory, part))
        if steps and (why := self._no_library()):
            problems.add(
                "bundle_python",
                why,
                "Run `pip install huggingface_hub` there, or name a Python that has it: -e bundle_python=/…",
            )
        return sizes

    def _no_library(self) -> str:
        python = self._python
        try:
            tried = subprocess.run([python, "-c", "import huggingface_hub"], capture_output=True, check=False)
        except OSError as error:
            return f"{python} cannot be run ({error.strerror})"
        return f"{python} has no huggingface_hub, which fetches models" if tried.returncode else ""

    @property
    def _python(self) -> str:
        return self._given["python"] or sys.executable

    def fetch(self, parts: Sequence[Part]) -> list[Part]:
        """Fetch models, and return their parts with the files that each has. Raises AnsibleActionFail where one cannot be had."""
        hub = hub_of(self._given["endpoint"], self._given["hf_token"], self._given["offline"])
        token_file = os.path.join(self._run_dir, "token")
        token = self._given["hf_token"] or os.environ.get("HF_TOKEN", "")
        order: Order = {
            "endpoint": hub.endpoint,
            "store": str(self._directory),
            "token_file": token_file if token else "",
            "pause": float(self._given["pause"]),
            "remedy": "take a larger stick or disk",
            "items": [
                {
                    "repo": part.about["model"],
                    "revision": part.about["revision"],
                    "path": str(self._directory / part.path),
                }
                for part in parts
            ],
        }
        try:
            if token:
                write_secret(token_file, token, False)
            wrong = job.start(self._run_dir, self._python, order)
        finally:
            # The process has read it by now.
            Path(token_file).unlink(missing_ok=True)
        if wrong:
            raise AnsibleActionFail(wrong)
        status = self._follow(self._statuses())
        if status["errors"]:
            raise AnsibleActionFail("\n".join(["The bundle is not finished.", *(f"  - {e}" for e in status["errors"])]))
        if status["state"] != "done":
            why = status["log"] or "without a word"
            raise AnsibleActionFail(
                f"the download ended before it was done ({why}): run again, it goes on where it was"
            )
        return [self._listed(part) for part in parts]

    def _listed(self, part: Part) -> Part:
        files = fetched(self._directory / part.path)
        if not files:
            raise AnsibleActionFail(f"{part.name} is not where it was fetched to: run again")
        return replace(part, files=files)

    def _statuses(self) -> Iterator[Result]:
        while True:
            status = job.poll(self._run_dir)
            yield status
            if not status["alive"] and status["state"] != "running":
                return
            time.sleep(_WAIT)

    def _follow(self, statuses: Iterator[Result]) -> Result:
        meter, started = Meter("bundle"), time.monotonic()

        def show(status: Result, quiet: bool) -> bool:
            now = time.monotonic()
            line = meter.line(status["items"], now, now - started, quiet)
            if line:
                display.display(line)
            return bool(line)

        return follow(statuses, show)


def drop_lists(directory: Path, parts: Sequence[Part]) -> None:
    """Remove what the download process has written of models: the bundle's manifest says it."""
    for part in parts:
        (directory / part.path / mf.MANIFEST).unlink(missing_ok=True)
