"""Prints the commit of a model on its hub; see plugins/modules/hub_revision.py for its documentation."""

from __future__ import annotations

import os

from ansible.errors import AnsibleActionFail
from ansible_collections.baremetal.vllm.plugins.plugin_utils.actions.base import ControlAction
from ansible_collections.baremetal.vllm.plugins.plugin_utils.actions.control import behind_proxy
from ansible_collections.baremetal.vllm.plugins.plugin_utils.actions.hub import HUB, hub_of
from ansible_collections.baremetal.vllm.plugins.plugin_utils.actions.json_output import tell
from ansible_collections.baremetal.vllm.plugins.plugin_utils.inventory.plain import plain
from ansible_collections.baremetal.vllm.plugins.plugin_utils.recipes.hub import Hub, HubFailure, by_hand
from ansible_collections.baremetal.vllm.plugins.plugin_utils.task import Result

SPEC = {
    "model": {"type": "str", "required": True},
    "revision": {"type": "str", "default": "main"},
    **HUB,
}


class ActionModule(ControlAction):
    def act(self) -> Result:
        """Print the commit, and return it with the model's name as the hub writes it."""
        given = plain(self.checked(SPEC))
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
