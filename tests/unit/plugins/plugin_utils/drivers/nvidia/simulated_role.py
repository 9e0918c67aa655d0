"""The tasks of the role nvidia_driver, followed as Ansible does, on a simulated host; with the real action plugins."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from ansible_collections.baremetal.vllm.plugins.action import driver
from ansible_collections.baremetal.vllm.plugins.filter.driver import went_back
from ansible_collections.baremetal.vllm.plugins.plugin_utils.places import read_yaml
from jinja2 import StrictUndefined
from jinja2.nativetypes import NativeEnvironment
from simulated_host import Failed, Host
from simulated_tools import execute

ROLES = Path(__file__).parents[6] / "roles"
NAME = "nvidia_driver"
ROLE = ROLES / NAME
_OMIT = object()


def _environment() -> NativeEnvironment:
    made = NativeEnvironment(undefined=StrictUndefined)
    made.filters["combine"] = lambda one, other: {**one, **other}
    made.filters["baremetal.vllm.went_back"] = went_back
    made.tests["changed"] = lambda result: bool(result.get("changed"))
    return made


_ENVIRONMENT = _environment()


@cache
def _tasks(role: str, name: str) -> list[dict[str, Any]]:
    loaded: list[dict[str, Any]] = read_yaml(ROLES / role / "tasks" / name)
    return loaded


@cache
def _variables(folder: str) -> Mapping[str, Any]:
    loaded: dict[str, Any] = read_yaml(ROLE / folder / "main.yml")
    return loaded


@cache
def _brought(role: str) -> dict[str, Any]:
    """What a role brings along: its defaults and its vars."""
    read = [read_yaml(ROLES / role / part / "main.yml") for part in ("defaults", "vars")]
    return {**read[0], **read[1]}


@cache
def _expression(text: str) -> Any:
    return _ENVIRONMENT.compile_expression(text, undefined_to_none=False)


class Ended(Exception):
    """A task failed and nobody rescued it; its result."""

    def __init__(self, result: Mapping[str, Any]) -> None:
        super().__init__(result.get("msg", ""))
        self.result = result


# A gateway that does not answer, and one whose lock another run holds.
LOST, HELD = "lost", "held"


@dataclass
class Run:
    """`failure` is the message of the task that ended it, "" of a run that went through; `written` are files that changed."""

    host: Host
    variables: dict[str, Any]
    check: bool = False
    failure: str = ""
    looks: int = 0
    written: list[str] = field(default_factory=list)

    def play(self) -> Run:
        self._facts: dict[str, Any] = {
            **_variables("defaults"),
            **self.variables,
            "ansible_check_mode": self.check,
            "inventory_hostname": "gpu1",
        }
        self._facts["__nvidia_driver_wanted"] = {
            key: self._facts[key] for key in _variables("vars")["__nvidia_driver_wanted"]
        }
        try:
            self._file(NAME, "main.yml", {}, [])
        except Ended as end:
            self.failure = str(end) or "failed"
        return self

    def _file(self, role: str, name: str, given: dict[str, Any], conditions: list[str]) -> None:
        for task in _tasks(role, name):
            self._task(role, task, given, conditions)

    def _other(self, asked: dict[str, Any], given: dict[str, Any], conditions: list[str]) -> None:
        """A role that this one uses."""
        role = asked["name"].removeprefix("baremetal.vllm.")
        self._file(role, asked.get("tasks_from", "main.yml"), {**_brought(role), **given}, conditions)

    def _task(self, role: str, task: dict[str, Any], given: dict[str, Any], inherited: list[str]) -> None:
        own = task.get("when", [])
        conditions = [*inherited, *(own if isinstance(own, list) else [own])]
        given = {**given, **task.get("vars", {})}
        if "block" in task:
            # Every task in it judges the block's conditions anew, those of included files too.
            try:
                for inner in task["block"]:
                    self._task(role, inner, given, conditions)
            except Ended as end:
                if "rescue" not in task:
                    raise
                self._facts["ansible_failed_result"] = dict(end.result)
                for inner in task["rescue"]:
                    self._task(role, inner, given, conditions)
            finally:
                for inner in task.get("always", ()):
                    self._task(role, inner, given, conditions)
            return
        if "ansible.builtin.import_tasks" in task:
            self._file(role, task["ansible.builtin.import_tasks"], given, conditions)
            return
        if "loop" not in task and not self._all(conditions, given):
            if "register" in task:
                self._facts[task["register"]] = {"skipped": True, "changed": False}
            return
        if "ansible.builtin.include_tasks" in task:
            # The condition of an include is not one of what it includes; that of a block around it is.
            self._file(role, task["ansible.builtin.include_tasks"], given, inherited)
            return
        if "ansible.builtin.include_role" in task:
            self._other(task["ansible.builtin.include_role"], given, inherited)
            return
        if "ansible.builtin.set_fact" in task:
            self._facts |= {key: self._value(value, given) for key, value in task["ansible.builtin.set_fact"].items()}
            return
        if "loop" in task:
            items = [{**given, "item": item} for item in self._value(task["loop"], given)]
            results = [
                {**(self._result(task, each) if self._all(conditions, each) else {}), "item": each["item"]}
                for each in items
            ]
            result = {"results": results, "failed": any(each.get("failed") for each in results)}
        else:
            result = self._result(task, given)
        if task.get("failed_when") is False:
            result["failed"] = False
        if "register" in task:
            self._facts[task["register"]] = result
        if result.get("failed"):
            raise Ended(result)

    def _result(self, task: dict[str, Any], given: dict[str, Any]) -> dict[str, Any]:
        if "baremetal.vllm.show" in task:
            return {}
        place = self._value(task.get("delegate_to", ""), given)
        if place == LOST:
            return {"unreachable": True}
        if place == HELD and "baremetal.vllm.fleet_lock" in task:
            return {"own": False, "msg": "ann@desk holds it"}
        known = {
            "baremetal.vllm.driver": self._driver,
            "ansible.builtin.fail": lambda given: {"failed": True, **given},
            "ansible.builtin.reboot": self._reboot,
            "baremetal.vllm.gateway_server": self._gateway,
            "baremetal.vllm.engine_idle": self._idle,
            "baremetal.vllm.fleet_lock": self._lock,
        }
        name = next(key for key in task if "." in key)
        arguments = {key: self._value(value, given) for key, value in task[name].items()}
        return known[name]({key: value for key, value in arguments.items() if value is not _OMIT})

    def _all(self, conditions: Sequence[str], given: dict[str, Any]) -> bool:
        return all(self._value(f"{{{{ {condition} }}}}", given) for condition in conditions)

    def _value(self, value: Any, given: dict[str, Any]) -> Any:
        if isinstance(value, list):
            return [self._value(item, given) for item in value]
        if not isinstance(value, str) or "{{" not in value:
            return value
        known = {**self._facts, "omit": _OMIT}
        for name, text in given.items():
            if name in value:
                known[name] = self._value(text, {one: said for one, said in given.items() if one != name})
        whole = value.strip()
        if whole.startswith("{{") and whole.endswith("}}") and whole.count("{{") == 1:
            return _expression(whole[2:-2].strip())(known)
        return _ENVIRONMENT.from_string(whole).render(known)

    def _action(self, plugin: Any, arguments: dict[str, Any], module: Any) -> dict[str, Any]:
        task = SimpleNamespace(args=arguments, async_val=0, check_mode=self.check, diff=False, action="")
        connection = SimpleNamespace(_shell=SimpleNamespace(tmpdir="/tmp"))
        action = plugin.ActionModule(task, connection, None, None, None, None)
        action._execute_module = module
        result: dict[str, Any] = action.run(task_vars=self._facts)
        return result

    def _driver(self, arguments: dict[str, Any]) -> dict[str, Any]:
        return {"look": self._look, "run": self._job, "files": self._repository}[arguments["step"]](arguments)

    def _look(self, arguments: dict[str, Any]) -> dict[str, Any]:
        def module(module_args: dict[str, Any], **__: Any) -> dict[str, Any]:
            self.looks += 1
            texts = {path: self.host.texts[path] for path in module_args["texts"] if path in self.host.texts}
            return {"state": asdict(self.host.look(module_args["offers"])), "texts": texts}

        return self._action(driver, arguments, module)

    def _job(self, arguments: dict[str, Any]) -> dict[str, Any]:
        ended: dict[str, Any] = {}

        def module(module_args: dict[str, Any], **__: Any) -> dict[str, Any]:
            if module_args["phase"] == "start":
                ended.update(done=True, rc=0, lines=[], offset=0)
                try:
                    execute(self.host, module_args["argv"])
                except Failed as error:
                    ended.update(rc=1, lines=[str(error)])
                return {"busy": "", "offset": 0, "changed": True}
            return dict(ended) if module_args["phase"] == "watch" else {"rc": 0, "lines": []}

        return self._action(driver, arguments, module)

    def _repository(self, arguments: dict[str, Any]) -> dict[str, Any]:
        texts = {file["path"]: file["content"] for file in arguments.get("files", [])}
        key = arguments.get("key")
        if key:
            texts[key["path"]] = base64.b64decode(key["content"]).decode()
        gone = [path for path in arguments.get("remove", []) if path in self.host.texts]
        written = [path for path, content in texts.items() if self.host.texts.get(path) != content] + gone
        if not self.check:
            self.written += written
            self.host.texts.update(texts)
            for path in gone:
                del self.host.texts[path]
            if arguments.get("update") and self.host.unreachable:
                return {"failed": True, "msg": "The package lists could not be read"}
        return {"changed": bool(written)}

    def _gateway(self, arguments: dict[str, Any]) -> dict[str, Any]:
        if not self.check:
            self.host.commands.append(f"gateway: {arguments['state']} {' '.join(arguments['hosts'])}")
        return {"changed": True, "drains": {}}

    def _lock(self, arguments: dict[str, Any]) -> dict[str, Any]:
        if not self.check:
            self.host.commands.append(f"gateway: {arguments['state']}")
        return {"changed": False, "own": True}

    def _idle(self, arguments: dict[str, Any]) -> dict[str, Any]:
        self.host.commands.append("gateway: idle")
        return {"changed": False}

    def _reboot(self, arguments: dict[str, Any]) -> dict[str, Any]:
        if not self.check:
            self.host.boot()
        return {"changed": True}
