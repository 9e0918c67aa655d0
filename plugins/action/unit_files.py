"""Reads the templates on the control node and asks the host once; documented in plugins/modules/unit_files.py."""

from __future__ import annotations

from ansible.errors import AnsibleActionFail
from ansible_collections.baremetal.vllm.plugins.plugin_utils.actions.base import Action
from ansible_collections.baremetal.vllm.plugins.plugin_utils.gateway.contents import ContentError, with_contents
from ansible_collections.baremetal.vllm.plugins.plugin_utils.task import Result


class ActionModule(Action):
    """One module call, whatever there is to do."""

    def act(self) -> Result:
        """The host's answer."""
        try:
            return self.ask_host("unit_files", with_contents(self.given))
        except ContentError as error:
            raise AnsibleActionFail(str(error)) from error
