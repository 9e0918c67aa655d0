"""Refusals that the person at the terminal reads once.

Ansible's own callback prints what a failed task says twice: as an error with the lines of our playbook around it, and once more
as the task's result, in which line breaks are `\\n` without `callback_result_format = yaml` (`v2_runner_on_failed`,
plugins/callback/default.py of ansible-core 2.19 to 2.21).
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from ansible import constants
from ansible.errors import AnsibleActionFail
from ansible.utils.display import Display
from ansible_collections.baremetal.vllm.plugins.plugin_utils.actions.json_output import as_json

_Run = Callable[..., "dict[str, object]"]


class Refusal(AnsibleActionFail):
    """The end of a task that has said all there is to say: Ansible adds no excerpt of our playbook to it."""

    @property
    def omit_exception_key(self) -> bool:
        """What ansible-core asks before it adds a traceback or an excerpt to the task's result."""
        return True


def refusal(text: str) -> Refusal:
    """What an action raises that will not go on; `text` is all of the reason, of one line or more.

    It is printed here, as it is: a result has its quotation marks escaped and its lines joined or folded. The result names the
    first of several lines. It has everything where another callback than Ansible's own prints, or a document is printed
    (`json_output`).
    """
    first, __, more = text.partition("\n")
    if as_json() or constants.config.get_config_value("DEFAULT_STDOUT_CALLBACK") not in _DEFAULT:
        return Refusal(text)
    # On the stream on which Ansible tells of failed tasks.
    Display().display(f"[ERROR]: {text}", color=constants.COLOR_ERROR)
    return Refusal(f"{first.rstrip('.:')} (told above)" if more else "The reason is told above.")


_DEFAULT = ("default", "ansible.builtin.default")


def told_once(run: _Run) -> _Run:
    """Make a refusal of whatever an action's `run` raises as an AnsibleActionFail, a wrong argument too."""

    @functools.wraps(run)
    def wrapped(*args: Any, **kwargs: Any) -> dict[str, object]:
        try:
            return run(*args, **kwargs)
        except Refusal:
            raise
        except AnsibleActionFail as error:
            # Its `message` would repeat what it was raised from.
            raise refusal(str(error.args[0]) if error.args else error.message) from None

    return wrapped
