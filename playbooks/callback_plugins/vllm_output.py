"""With `-e vllm_output=json` the playbooks beside this folder print one JSON document; docs/screen.md.

Ansible loads the callbacks beside a playbook by itself; without that variable this one does nothing.
"""

from __future__ import annotations

import atexit
import os
from typing import Any

from ansible.parsing.dataloader import DataLoader
from ansible.plugins.callback import CallbackBase
from ansible.utils.display import Display
from ansible.utils.vars import load_extra_vars
from ansible_collections.baremetal.vllm.plugins.module_utils.text.problems import did_you_mean
from ansible_collections.baremetal.vllm.plugins.plugin_utils.actions.json_output import (
    JSON,
    TEXT,
    VARIABLE,
    Output,
    take_stdout,
)

DOCUMENTATION = r"""
---
name: vllm_output
type: aggregate
short_description: One JSON document instead of text
description:
  - With C(-e vllm_output=json), standard output has one JSON document and nothing else; the rest goes to standard error.
version_added: "0.1.0"
author: The baremetal.vllm contributors (@baremetal-vllm)
"""

# Ansible's own for options that it does not know (ansible-playbook(1), EXIT STATUS).
_BAD_OPTIONS = 5


class CallbackModule(CallbackBase):
    """Hears what every task did, in the main process."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "aggregate"
    CALLBACK_NAME = "vllm_output"
    CALLBACK_NEEDS_ENABLED = False

    def __init__(self, *args: Any, **more: Any) -> None:
        super().__init__(*args, **more)
        asked = str(load_extra_vars(DataLoader()).get(VARIABLE, TEXT))
        if asked not in (TEXT, JSON):
            Display().error(f"{VARIABLE}: '{asked}' is not known. {did_you_mean(asked, (TEXT, JSON))}.")
            raise SystemExit(_BAD_OPTIONS)
        self.disabled = asked == TEXT
        if self.disabled:
            return
        self._output, self._process = Output(), os.getpid()
        # What each playbook ended with; None while one is under way.
        self._lost: set[str] | None = set()
        self._write = take_stdout()
        # One command may name several playbooks, and Ansible has no word for one that breaks off (Ctrl-C).
        atexit.register(self._end)

    def v2_playbook_on_start(self, playbook: Any) -> None:
        self._lost = None

    def v2_runner_on_ok(self, result: Any) -> None:
        self._output.heard(result.result)

    def v2_runner_on_failed(self, result: Any, ignore_errors: bool = False) -> None:
        if not ignore_errors:
            self._output.failed(result.host.get_name(), result.task.get_name(), result.result)

    def v2_runner_on_unreachable(self, result: Any) -> None:
        self._output.failed(result.host.get_name(), result.task.get_name(), result.result)

    def v2_playbook_on_stats(self, stats: Any) -> None:
        self._lost = {*stats.failures, *stats.dark}

    def _end(self) -> None:
        if os.getpid() == self._process:
            self._write(self._output.ended(self._lost or (), whole=self._lost is not None))
