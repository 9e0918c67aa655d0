"""What a playbook tells: texts for people, or with `-e vllm_output=json` one JSON document on standard output and nothing else.

Ansible's callbacks print each play and task to standard output before any plugin of ours is asked. So standard output itself is
taken, by the callback of playbooks/callback_plugins, which Ansible loads by itself before the first play, whatever its
configuration ("Callback plugins", section "Enabling callback plugins", of Ansible's documentation). What would have gone there
goes to standard error; actions hand their documents over in their results, and the last one is printed when the run ends.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from ansible.utils.display import Display
from ansible_collections.baremetal.vllm.plugins.plugin_utils.actions.screen import SCREEN
from ansible_collections.baremetal.vllm.plugins.plugin_utils.report.screen import Screen
from ansible_collections.baremetal.vllm.plugins.plugin_utils.task import Registered, Result

VARIABLE = "vllm_output"
TEXT, JSON = "text", "json"
# Of a result that carries a document.
_KEY = "vllm_document"
# Raised when a key goes or changes its meaning; new keys may come at any time.
SCHEMA = 1


@dataclass
class Output:
    """One run's document. `kind` says which playbook's it is (docs/screen.md)."""

    document: dict[str, object] = field(default_factory=dict)
    errors: list[dict[str, str]] = field(default_factory=list)

    def heard(self, result: Registered) -> None:
        """Take what an action told; later ones know more."""
        if _KEY in result:
            self.document = dict(result[_KEY])

    def failed(self, host: str, task: str, result: Registered) -> None:
        """Take a failure; `result` is that of the task."""
        self.heard(result)
        told = [_message(item) for item in result.get("results", ()) if isinstance(item, Mapping) and _bad(item)]
        for message in dict.fromkeys(told or [_message(result)]):
            self.errors.append({"host": host, "task": task, "message": message})

    def ended(self, lost: Iterable[str], whole: bool = True) -> dict[str, object]:
        """The document. `lost`: hosts that failed or were not reached in the end, for what was rescued is no error; `whole`:
        the run came to its end."""
        names = set(lost)
        errors = [error for error in self.errors if error["host"] in names or not whole]
        if not whole:
            message = "The run was cut off before its end; standard error says why"
            errors.append({"host": "", "task": "", "message": message})
        ok = whole and not names
        return {"schema": SCHEMA, "kind": None, **self.document, "ok": ok, "errors": errors}


@dataclass
class _State:
    json: bool = False


# Set in the main process before the first worker is forked; every worker has it.
_STATE = _State()


def as_json() -> bool:
    """Whether this run prints a document."""
    return _STATE.json


def tell(
    result: Mapping[str, object], text: Callable[[Screen], str], kind: str, document: Callable[[], Mapping[str, object]]
) -> Result:
    """The result of an action that has something to tell: `text`, if there is any, is printed, or `document` goes with the
    result."""
    if not _STATE.json:
        said = text(SCREEN)
        if said:
            Display().display(said)
        return dict(result)
    return {**result, _KEY: {"kind": kind, **document()}}


def take_stdout() -> Callable[[Mapping[str, object]], None]:
    """Send to standard error whatever is written to standard output from now on; the answer prints a document there.

    What Python holds back of standard output (`-v` names the configuration before any plugin is loaded) goes there as well.
    """
    mine = os.dup(1)
    os.dup2(2, 1)
    _STATE.json = True

    def write(document: Mapping[str, object]) -> None:
        text = json.dumps(document, indent=2, ensure_ascii=False, default=str) + "\n"
        left = memoryview(text.encode("utf-8", "backslashreplace"))
        try:
            while left:
                left = left[os.write(mine, left) :]
        except BrokenPipeError:
            # Who was to read it has gone (`| head`).
            pass

    return write


def _message(result: Registered) -> str:
    said = str(result.get("msg") or result.get("censored") or "It failed without a word")
    # Ansible's own words before a cause, which `task` has already said.
    return said.removeprefix("Task failed: ").removeprefix("Action failed: ").strip()


def _bad(item: Registered) -> bool:
    return bool(item.get("failed") or item.get("unreachable"))
