"""Rewrites `args` and `env` for another release, on the control node; see plugins/modules/migrate.py for its documentation."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible.utils.display import Display
from ansible_collections.baremetal.vllm.plugins.module_utils.catalogue.load import releases
from ansible_collections.baremetal.vllm.plugins.module_utils.flags.extras import read_extras
from ansible_collections.baremetal.vllm.plugins.module_utils.inventory.plain import plain
from ansible_collections.baremetal.vllm.plugins.module_utils.inventory.problems import Problems
from ansible_collections.baremetal.vllm.plugins.module_utils.migration.menu import move_menu
from ansible_collections.baremetal.vllm.plugins.module_utils.migration.report import document, sections
from ansible_collections.baremetal.vllm.plugins.plugin_utils.control import pattern_matcher, write_text
from ansible_collections.baremetal.vllm.plugins.plugin_utils.json_output import tell

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
            pattern_matcher(self._loader, variables.get("groups", {})),
            given["came_from"],
            extras,
        )
        warnings = [str(problem) for problem in sorted([*problems.found, *unread])]
        for warning in warnings:
            display.warning(warning)
        result: dict[str, Any] = {
            "changed": False,
            "to": given["to"],
            "models": {
                name: {"args": entry.args, "env": entry.env, "changes": [asdict(change) for change in entry.changes]}
                for name, entry in moved.items()
            },
        }
        if given["path"]:
            text = document(given["models"], moved, given["to"])
            result.update(write_text(Path(given["path"]), text, check_mode=self._task.check_mode, diff=self._task.diff))
        return tell(
            result,
            lambda screen: sections(moved, came_from, given["to"], screen),
            "migrate",
            lambda: {"to": given["to"], "models": result["models"], "warnings": warnings},
        )
