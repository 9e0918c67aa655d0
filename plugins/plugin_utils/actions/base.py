"""What every action is: Ansible's `run` stands here once, and a subclass decides in `act`."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

from ansible.plugins.action import ActionBase
from ansible_collections.baremetal.vllm.plugins.plugin_utils.actions.follow import say
from ansible_collections.baremetal.vllm.plugins.plugin_utils.actions.refusal import told_once
from ansible_collections.baremetal.vllm.plugins.plugin_utils.inventory.plain import plain
from ansible_collections.baremetal.vllm.plugins.plugin_utils.task import Arguments, Result, Spec, Variables


class Action(ActionBase):
    """An action of this collection: it decides on the control node, and may ask the task's host.

    Nothing is transferred before the host is asked: Ansible would make a directory there first, at the cost of round trips.
    """

    TRANSFERS_FILES = False
    _supports_check_mode = True

    def run(self, tmp: str | None = None, task_vars: Variables | None = None) -> Result:
        """What Ansible calls. Returns the task's result."""
        self.variables: Variables = task_vars or {}
        return {**super().run(tmp, task_vars), **self.act()}

    @abstractmethod
    def act(self) -> Result:
        """Do what the task asks for, and return its result. Raises AnsibleActionFail: where the task fails."""

    @property
    def host(self) -> str:
        """The task's host, as the inventory names it."""
        return str(self.variables.get("inventory_hostname", "host"))

    @property
    def given(self) -> Arguments:
        """The task's arguments as plain values; nothing has checked them."""
        arguments: Arguments = plain(self._task.args)
        return arguments

    def checked(self, spec: Spec, **rules: Any) -> Arguments:
        """The task's arguments as `spec` has made them, with its defaults; `rules` are what else is demanded of them
        (`mutually_exclusive`, `required_one_of`). Raises AnsibleActionFail: for an argument that is none."""
        __, arguments = self.validate_argument_spec(argument_spec=spec, **rules)
        return dict(arguments)

    def ask_host(self, module: str, arguments: Arguments) -> Result:
        """The answer of a module of this collection on the task's host, also of one that failed there."""
        answer: Result = self._execute_module(
            module_name=f"baremetal.vllm.{module}", module_args=dict(arguments), task_vars=self.variables
        )
        answer.pop("invocation", None)
        return answer

    def show(self, text: str, seconds: float | None = None, unit: str = "") -> None:
        """Show what happens on the task's host, as `follow.say` does."""
        say(self.host, text, seconds, unit)


class ControlAction(Action):
    """An action that runs wholly on the control node and contacts no host. What it refuses is told once (`refusal`)."""

    _requires_connection = False

    @told_once
    def run(self, tmp: str | None = None, task_vars: Variables | None = None) -> Result:
        """What Ansible calls. Returns the task's result."""
        return super().run(tmp, task_vars)


def lost(answer: Result) -> bool:
    """Whether a module's answer is that it failed, or that its host was not reached."""
    return bool(answer.get("failed") or answer.get("unreachable"))
