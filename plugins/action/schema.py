"""Writes the JSON Schema of the inventory's variables; see plugins/modules/schema.py for its documentation."""

from __future__ import annotations

import json

from ansible.errors import AnsibleActionFail
from ansible_collections.baremetal.vllm.plugins.module_utils.text.problems import did_you_mean
from ansible_collections.baremetal.vllm.plugins.plugin_utils.actions.base import ControlAction
from ansible_collections.baremetal.vllm.plugins.plugin_utils.actions.json_output import tell
from ansible_collections.baremetal.vllm.plugins.plugin_utils.actions.output import write_output
from ansible_collections.baremetal.vllm.plugins.plugin_utils.options.load import release, releases
from ansible_collections.baremetal.vllm.plugins.plugin_utils.plan.schema import variables
from ansible_collections.baremetal.vllm.plugins.plugin_utils.task import Result


class ActionModule(ControlAction):
    _supports_diff = True

    def act(self) -> Result:
        """Print the schema, or write it to a file; return its release."""
        given = self.checked({"release": {"type": "str"}, "path": {"type": "path"}})
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
