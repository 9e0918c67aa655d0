"""Rewrites `args` and `env` for another release, on the control node; see plugins/modules/migrate.py for its documentation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.inventory.manager import InventoryManager
from ansible.plugins.action import ActionBase
from ansible.utils.display import Display
from ansible_collections.baremetal.vllm.plugins.module_utils.catalogue.load import releases
from ansible_collections.baremetal.vllm.plugins.module_utils.flags.extras import read_extras
from ansible_collections.baremetal.vllm.plugins.module_utils.migration.menu import move_menu
from ansible_collections.baremetal.vllm.plugins.module_utils.migration.report import document, sections
from ansible_collections.baremetal.vllm.plugins.module_utils.plan.plain import plain
from ansible_collections.baremetal.vllm.plugins.module_utils.plan.problems import Problems

display = Display()


class ActionModule(ActionBase):
    _requires_connection = False
    _supports_check_mode = True
    _supports_diff = True

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        super().run(tmp, task_vars)
        variables = task_vars or {}
        _, given = self.validate_argument_spec(
            argument_spec={
                "models": {"type": "raw"},
                "to": {"type": "str", "required": True},
                "came_from": {"type": "str"},
                "group": {"type": "str", "default": "gpu_hosts"},
                "path": {"type": "path"},
                "extra_options": {"type": "raw"},
                "extra_choices": {"type": "raw"},
                "extra_env": {"type": "raw"},
            }
        )
        given = plain(given)
        for role, version in (("to", given["to"]), ("came_from", given["came_from"])):
            if version not in (*releases(), None):
                reason = f"{version} is not a release in the catalogue" if version else "is missing"
                raise AnsibleActionFail(f"{role}: {reason}. Known are: {', '.join(releases())}.")
        problems = Problems()
        declared = (given.get(f"extra_{kind}") for kind in ("options", "choices", "env"))
        extras = read_extras(*declared, problems)
        hosts = variables.get("groups", {}).get(given["group"], [])
        moved, came_from, unread = move_menu(
            given.get("models"),
            given["to"],
            {host: plain(variables["hostvars"][host].get("vllm_version")) for host in hosts},
            lambda pattern: self._match(variables, pattern),
            given["came_from"],
            extras,
        )
        for problem in sorted([*problems.found, *unread]):
            display.warning(str(problem))
        display.display(sections(moved, came_from, given["to"]))
        result: dict[str, Any] = {
            "changed": False,
            "to": given["to"],
            "models": {
                name: {"args": entry.args, "env": entry.env, "changes": [asdict(change) for change in entry.changes]}
                for name, entry in moved.items()
            },
        }
        if given["path"]:
            result.update(self._write(Path(given["path"]), document(given["models"], moved, given["to"])))
        return result

    def _match(self, variables: Mapping[str, Any], pattern: str) -> list[str]:
        """Host names of a pattern over the whole inventory."""
        manager = InventoryManager(self._loader, parse=False)
        for group, members in variables["groups"].items():
            manager.add_group(group)
            for member in members:
                manager.add_host(member, group=group)
        return [host.name for host in manager.get_hosts(pattern=pattern, ignore_limits=True)]

    def _write(self, path: Path, text: str) -> dict[str, Any]:
        before = path.read_text(encoding="utf-8") if path.is_file() else ""
        if before != text and not self._task.check_mode:
            path.write_text(text, encoding="utf-8")
        result: dict[str, Any] = {"changed": before != text, "path": str(path)}
        if self._task.diff:
            result["diff"] = {"before": before, "after": text, "before_header": str(path), "after_header": str(path)}
        return result
