"""Reads the templates on the control node and asks the host once; documented in plugins/modules/unit_files.py."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jinja2
from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible_collections.baremetal.vllm.plugins.module_utils.units.render import MARK
from ansible_collections.baremetal.vllm.plugins.plugin_utils.inventory.plain import plain
from ansible_collections.baremetal.vllm.plugins.plugin_utils.places import TEMPLATES
from ansible_collections.baremetal.vllm.plugins.plugin_utils.templates import environment


class ActionModule(ActionBase):
    """One module call, whatever there is to do."""

    TRANSFERS_FILES = False
    _supports_check_mode = True

    def run(self, tmp: str | None = None, task_vars: dict[str, object] | None = None) -> dict[str, object]:
        super().run(tmp, task_vars)
        arguments = plain(self._task.args)
        variables = {"mark": MARK, **arguments.pop("variables", {})}
        arguments["files"] = [_with_content(file, variables) for file in arguments.get("files") or []]
        answer: dict[str, Any] = self._execute_module(module_args=arguments, task_vars=task_vars)
        answer.pop("invocation", None)
        return answer


def _with_content(file: dict[str, Any], variables: dict[str, Any]) -> dict[str, object]:
    """The file as the host takes it: with its text in place of where the text comes from."""
    if "src" not in file:
        return file
    source = Path(file["src"])
    try:
        text = source.read_text(encoding="utf-8")
        if source.suffix == ".j2":
            text = _render(source, variables)
    except (OSError, jinja2.TemplateError) as error:
        raise AnsibleActionFail(f"{source}: {error}") from error
    return {**{key: value for key, value in file.items() if key != "src"}, "content": text}


def _render(source: Path, variables: dict[str, object]) -> str:
    return environment(source.parent, TEMPLATES).get_template(source.name).render(**variables)
