"""Writes the JSON Schema of the inventory's variables; see plugins/modules/schema.py for its documentation."""

from __future__ import annotations

import json

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible_collections.baremetal.vllm.plugins.module_utils.text.problems import did_you_mean
from ansible_collections.baremetal.vllm.plugins.plugin_utils.actions.json_output import tell
from ansible_collections.baremetal.vllm.plugins.plugin_utils.actions.output import write_output
from ansible_collections.baremetal.vllm.plugins.plugin_utils.actions.refusal import told_once
from ansible_collections.baremetal.vllm.plugins.plugin_utils.options.load import release, releases
from ansible_collections.baremetal.vllm.plugins.plugin_utils.plan.schema import variables


class ActionModule(ActionBase):
    _requires_connection = False
    _supports_check_mode = True
    _supports_diff = True

    @told_once
    def run(self, tmp: str | None = None, task_vars: dict[str, object] | None = None) -> dict[str, object]:
        super().run(tmp, task_vars)
        __, given = self.validate_argument_spec(
            argument_spec={"release": {"type": "str"}, "path": {"type": "path"}},
        )
        version = given["release"] or releases()[-1]
        known = release(version)
        if known is None:
            raise AnsibleActionFail(
                f"release: the catalogue does not know vLLM {version}. {did_you_mean(version, releases())}."
            )
        described = variables(known)
        text = json.dumps(described, indent=1, ensure_ascii=False) + "\n"
        if given["path"]:
            how = {"check_mode": self._task.check_mode, "diff": self._task.diff}
            return {**write_output("schema", given["path"], text, **how), "release": version}
        return tell(
            {"changed": False, "release": version},
            lambda screen: text,
            "schema",
            lambda: {"release": version, "json_schema": described},
        )
