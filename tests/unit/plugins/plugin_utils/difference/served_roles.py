"""The roles of site.yml on a simulated host: their own task files, templated by Ansible, with the action plugins' real code."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.parsing.dataloader import DataLoader
from ansible.plugins.loader import filter_loader
from ansible.template import Templar, trust_as_template
from ansible_collections.baremetal.vllm.plugins.action import (
    engine,
    host_state,
    model_service,
    model_weights,
    unit_files,
)
from served_host import ROOT, ServedHost

ACTIONS: dict[str, Any] = {
    "engine": engine,
    "host_state": host_state,
    "model_service": model_service,
    "model_weights": model_weights,
    "unit_files": unit_files,
}
LOADER = DataLoader()
# What knows collections would change how every other test of this process imports them.
filter_loader.add_directory(str(ROOT / "plugins" / "filter"))
PREFIX = "baremetal.vllm."
# By the topic that brings each of them about; in site.yml's order.
ROLES = {
    "vllm_engine": "engine",
    "model_weights": "weights",
    "endpoint_firewall": "firewall",
    "model_service": "units",
    "canary": "canary",
}


class FailedTask(Exception):
    """What a task failed with."""


def read(path: Path) -> Any:
    """A YAML file of ours, its expressions to be evaluated; our filters by the names that they have without a collection."""
    text = path.read_text(encoding="utf-8").replace(f"| {PREFIX}", "| ")
    return LOADER.load(trust_as_template(text))


TASKS = read(ROOT / "playbooks" / "tasks" / "serve.yml")


def _serving() -> Mapping[str, Mapping[str, Any]]:
    """Of what site.yml does on a host that differs the roles, each with its variables and `when`."""
    asked = ((task, task.get("ansible.builtin.import_role")) for task in TASKS)
    return {role["name"].removeprefix(PREFIX): task for task, role in asked if role}


SERVING = _serving()
# What comes after them, but for the proof, which has endpoints to ask.
AFTER = [task for task in TASKS if task.get("ansible.builtin.include_role")]


class Control:
    """The control node with one host in its inventory."""

    def __init__(self, host: ServedHost, variables: Mapping[str, Any]) -> None:
        self.host = host
        self._registered: dict[str, Any] = {}
        self.variables = {
            "inventory_hostname": "gpu1",
            "ansible_check_mode": False,
            # What an inventory says may hold expressions.
            **{
                name: trust_as_template(value) if isinstance(value, str) else value for name, value in variables.items()
            },
        }

    def look(self) -> dict[str, Any]:
        """What module host_state says, as playbooks/look.yml asks it; without GPUs, which have simulated hosts of their own."""
        return self._action("host_state", {"plan": "__vllm_plan", "ask": "none", "gpus": False}, self.variables, False)

    def roles(self, check: bool = False) -> dict[str, bool]:
        """Run the roles of site.yml in their order; by role whether it changed anything, or would.

        Raises FailedTask: with what a task fails with.
        """
        self._registered = {}
        said = {role: self.role(role, check) for role in ROLES}
        for task in AFTER:
            included = task["ansible.builtin.include_role"]
            role = included["name"].removeprefix(PREFIX)
            said[role] |= self._role(role, task, included["tasks_from"], check)
        return said

    def role(self, role: str, check: bool = False) -> bool:
        """Run one role; whether it changed anything, or would. Raises FailedTask."""
        return self._role(role, SERVING[role], "main.yml", check)

    def _role(self, role: str, asked: Mapping[str, Any], file_name: str, check: bool) -> bool:
        """Run a task file of a role. `asked`: the entry of the play that asks for it, with its `vars` and `when`."""
        place = ROOT / "roles" / role
        found: dict[str, Any] = {}
        for part in ("defaults", "vars"):
            file = place / part / "main.yml"
            found |= (read(file) or {}) if file.exists() else {}
        given = {
            **found,
            **self.variables,
            **self._registered,
            **asked.get("vars", {}),
            "role_path": str(place),
            "ansible_check_mode": check,
        }
        if not self._holds(asked.get("when"), given):
            return False
        return any(list(self._tasks(place / "tasks" / file_name, given)))

    def _tasks(self, file: Path, variables: dict[str, Any]) -> Iterator[bool]:
        yield from self._run(read(file), file, variables)

    def _run(self, tasks: Sequence[Any], file: Path, variables: dict[str, Any]) -> Iterator[bool]:
        """Whether each task that is carried out changes anything; what it registers is added to the variables."""
        for task in tasks:
            own = {**variables, **task.get("vars", {})}
            if not self._holds(task.get("when"), own):
                continue
            if "block" in task:
                yield from self._run(task["block"], file, variables)
                continue
            included = task.get("ansible.builtin.include_tasks") or task.get("ansible.builtin.import_tasks")
            if included:
                yield from self._tasks(file.with_name(included), variables)
                continue
            module = next(key for key in task if "." in key)
            result = self._task(module, task[module], own)
            if "register" in task:
                variables[task["register"]] = self._registered[task["register"]] = result
            yield bool(result["changed"])

    def _task(self, module: str, written: Any, variables: Mapping[str, Any]) -> dict[str, Any]:
        """A task's result. `written`: its arguments before they are evaluated."""
        check = bool(variables["ansible_check_mode"])
        name = module.removeprefix(PREFIX)
        if module == "ansible.builtin.command":
            assert written["argv"] == ["systemd-sysusers", "-"]
            self.host.do("add_user")
            return {"changed": True}
        arguments = self._templated(written, variables)
        if name == "system_packages":
            if not check:
                names = arguments["name"]
                self.host.do("install_packages", [names] if isinstance(names, str) else names)
            return {"changed": True}
        if name == "engine" and arguments["step"] == "install":
            if not check:
                asked = [arguments[key] for key in ("path", "release", "accelerator")]
                self.host.do("install_engine", *asked, "0" * 64)
            return {"changed": True}
        return self._action(name, arguments, variables, check)

    def _action(
        self, name: str, arguments: dict[str, Any], variables: Mapping[str, Any], check: bool
    ) -> dict[str, Any]:
        task = SimpleNamespace(args=arguments, async_val=0, check_mode=check, diff=True, action="", become=True)
        connection = SimpleNamespace(
            _shell=SimpleNamespace(tmpdir="/tmp"),
            put_file=lambda source, path: self.host.do("put", source, path),
        )
        action: Any = ACTIONS[name].ActionModule(
            task, connection, SimpleNamespace(become=False), LOADER, Templar(LOADER, dict(variables)), None
        )

        def module(module_name: str, module_args: dict[str, Any], **__: Any) -> dict[str, Any]:
            return self.host.module(module_name.removeprefix(PREFIX), module_args, check)

        action._execute_module = module
        try:
            result: dict[str, Any] = action.run(task_vars=dict(variables))
        except AnsibleActionFail as error:
            raise FailedTask(str(error)) from error
        if result.get("failed"):
            raise FailedTask(result["msg"])
        return result

    def _holds(self, condition: Any, variables: Mapping[str, Any]) -> bool:
        conditions = condition if isinstance(condition, list) else [] if condition is None else [condition]
        templar = Templar(LOADER, dict(variables))
        return all(templar.evaluate_conditional(each) for each in conditions)

    def _templated(self, value: Any, variables: Mapping[str, Any]) -> dict[str, Any]:
        found: dict[str, Any] = Templar(LOADER, dict(variables)).template(value)
        return found
