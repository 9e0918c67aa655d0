"""Decides what leaves a fleet, and has hosts emptied; see plugins/modules/retire.py for its documentation."""

from __future__ import annotations

from ansible.errors import AnsibleActionFail
from ansible_collections.baremetal.vllm.plugins.module_utils.text.problems import Problems
from ansible_collections.baremetal.vllm.plugins.plugin_utils.actions.base import Action
from ansible_collections.baremetal.vllm.plugins.plugin_utils.actions.json_output import tell
from ansible_collections.baremetal.vllm.plugins.plugin_utils.actions.refusal import told_once
from ansible_collections.baremetal.vllm.plugins.plugin_utils.actions.steps import step_of
from ansible_collections.baremetal.vllm.plugins.plugin_utils.fleet.process import this_user
from ansible_collections.baremetal.vllm.plugins.plugin_utils.gateway.keys import read_keys
from ansible_collections.baremetal.vllm.plugins.plugin_utils.inventory.plain import plain
from ansible_collections.baremetal.vllm.plugins.plugin_utils.plan.leaving import farewell, leave
from ansible_collections.baremetal.vllm.plugins.plugin_utils.planned.fleet import FleetPlan, digest, read_plan
from ansible_collections.baremetal.vllm.plugins.plugin_utils.task import Result, Variables

_NAMES = {"type": "list", "elements": "str", "default": []}
SPEC = {
    "step": {"type": "str", "choices": ["decide", "empty"], "default": "decide"},
    "plan": {"type": "dict", "required": True},
    "models": _NAMES,
    "hosts": _NAMES,
    "allow_gap": {"type": "bool", "default": False},
}


class ActionModule(Action):
    """One step runs on the control node, the other one on the host."""

    @told_once
    def act(self) -> Result:
        """What leaves, and the plan without it; or what the host says of being emptied."""
        if step_of(self, "step", {"host_empty": "empty"}, "decide") == "empty":
            return self.ask_host("retire", {**self.given, "step": "empty"})
        given = self.checked(SPEC)
        plan, models, hosts = read_plan(plain(given["plan"])), plain(given["models"]), plain(given["hosts"])
        decided = leave(plan, models, hosts, given["allow_gap"], _allowed(plan, self.variables))
        if decided.refusals:
            raise AnsibleActionFail("Nothing was changed:\n" + "\n".join(f"  - {line}" for line in decided.refusals))
        leaving = {
            "hosts": list(decided.hosts),
            "models": list(models),
            "servers": list(decided.servers),
            "farewell": farewell(plan, models, hosts),
        }
        rest = decided.plan.document()
        result = {"changed": False, "plan": rest, "digest": digest(rest), "who": this_user(), **leaving}
        # The role shows each part when it comes to it.
        return tell(result, lambda screen: "", "retire", lambda: leaving)


def _allowed(plan: FleetPlan, variables: Variables) -> dict[str, tuple[str, ...]]:
    """Names that clients' keys are limited to, by the key's name, as the first gateway has them."""
    gateway = plan.gateway
    if gateway is None or gateway.settings.open:
        return {}
    keys = plain(variables["hostvars"][gateway.hosts[0]].get("gateway_keys"))
    return {client.name: client.models for client in read_keys(keys, Problems()) if client.models is not None}
