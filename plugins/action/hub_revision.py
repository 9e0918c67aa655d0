"""Prints the commit of a model on its hub; see plugins/modules/hub_revision.py for its documentation."""

from __future__ import annotations

import os

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible_collections.baremetal.vllm.plugins.module_utils.host import proxy
from ansible_collections.baremetal.vllm.plugins.plugin_utils.actions.control import behind_proxy
from ansible_collections.baremetal.vllm.plugins.plugin_utils.actions.hub import hub_of
from ansible_collections.baremetal.vllm.plugins.plugin_utils.actions.json_output import tell
from ansible_collections.baremetal.vllm.plugins.plugin_utils.actions.refusal import told_once
from ansible_collections.baremetal.vllm.plugins.plugin_utils.inventory.plain import plain
from ansible_collections.baremetal.vllm.plugins.plugin_utils.recipes.hub import Hub, HubFailure, by_hand


class ActionModule(ActionBase):
    _requires_connection = False
    _supports_check_mode = True

    @told_once
    def run(self, tmp: str | None = None, task_vars: dict[str, object] | None = None) -> dict[str, object]:
        super().run(tmp, task_vars)
        __, given = self.validate_argument_spec(
            argument_spec={
                "model": {"type": "str", "required": True},
                "revision": {"type": "str", "default": "main"},
                "offline": {"type": "bool", "default": False},
                "endpoint": {"type": "str"},
                "hf_token": {"type": "str", "no_log": True},
                **proxy.ARGUMENTS,
            }
        )
        given = plain(given)
        try:
            with behind_proxy(given):
                hub = hub_of(given["endpoint"], given["hf_token"], given["offline"])
                found = hub.look(given["model"], given["revision"])
        except HubFailure as error:
            if error.kind in ("missing", "denied"):
                raise AnsibleActionFail(f"{error}.") from None
            endpoint = Hub(given["endpoint"] or os.environ.get("HF_ENDPOINT", "")).endpoint
            raise AnsibleActionFail(f"{error}. {by_hand(given['model'], endpoint)}.") from None
        lines = [f"# {found.model}: {given['revision']}{f' of {found.modified}' if found.modified else ''}"]
        if found.gated:
            lines.append("# It is gated: accept its licence on the hub, and set vllm_hf_token from a vault")
        # A commit of digits alone is a number to YAML.
        quoted = f'"{found.revision}"' if found.revision.isdigit() else found.revision
        said = {"model": found.model, "revision": found.revision}
        return tell(
            {"changed": False, **said},
            lambda screen: "\n".join([*lines, f"revision: {quoted}"]),
            "revision",
            lambda: {**said, "modified": found.modified or None, "gated": found.gated},
        )
