"""Decides and shows the order of a rollout; see plugins/modules/rollout_order.py for its documentation."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible.plugins.action import ActionBase
from ansible_collections.baremetal.vllm.plugins.plugin_utils.actions.json_output import tell
from ansible_collections.baremetal.vllm.plugins.plugin_utils.actions.refusal import told_once
from ansible_collections.baremetal.vllm.plugins.plugin_utils.fleet import back
from ansible_collections.baremetal.vllm.plugins.plugin_utils.fleet.look import (
    View,
    going_back,
    read_gateways,
    read_host,
)
from ansible_collections.baremetal.vllm.plugins.plugin_utils.fleet.schedule import Asked, schedule
from ansible_collections.baremetal.vllm.plugins.plugin_utils.fleet.told import document, schedule_lines
from ansible_collections.baremetal.vllm.plugins.plugin_utils.inventory.plain import plain
from ansible_collections.baremetal.vllm.plugins.plugin_utils.planned.fleet import FleetPlan, read_plan


class ActionModule(ActionBase):
    """Runs wholly on the control node and contacts no host."""

    _supports_check_mode = True
    _requires_connection = False

    @told_once
    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, object]:
        result: dict[str, Any] = super().run(tmp, task_vars)
        _, given = self.validate_argument_spec(
            {
                "plan": {"type": "dict", "required": True},
                "states": {"type": "str", "required": True},
                "generations": {"type": "str", "required": True},
                "gateways": {"type": "str", "default": ""},
                "back_to": {"type": "str", "default": ""},
                "canary": {"type": "str", "default": ""},
                "serial": {"type": "raw", "default": 1},
                "allow_gap": {"type": "bool", "default": False},
                "limited": {"type": "bool", "default": False},
            }
        )
        variables = task_vars or {}
        plan, hostvars = read_plan(plain(given["plan"])), variables["hostvars"]
        hosts = [str(host) for host in variables["ansible_play_hosts_all"] if host in plan.hosts]
        if back.mistake(given["back_to"] or back.PREVIOUS):
            return {**result, "failed": True, "msg": back.mistake(given["back_to"])}
        kept = {host: plain(hostvars[host].get(given["generations"])) for host in hosts}
        found = {host: read_host(plain(hostvars[host].get(given["states"])), kept[host]) for host in hosts}
        if given["back_to"]:
            read = [host for host in hosts if not found[host].trouble]
            meant = back.meaning(given["back_to"], [kept[host] for host in read])
            found.update({host: going_back(found[host], kept[host], meant) for host in read})
        view = _view(plan, plain(variables.get(given["gateways"]) or {}))
        settings = (given["canary"], plain(given["serial"]), given["allow_gap"], given["limited"])
        decided = schedule(plan, found, view, Asked(*settings))
        result.update(changed=False, **document(decided))
        if decided.refusals:
            result = {"failed": True, "msg": "\n".join(decided.refusals)}
        return tell(
            result,
            lambda screen: "\n".join(schedule_lines(decided, screen)),
            "schedule",
            lambda: {**document(decided), "refusals": list(decided.refusals)},
        )


def _view(plan: FleetPlan, registered: Mapping[str, Any]) -> View:
    """The gateways' view from a registered loop over them; one that is missing there was not asked."""
    answers = {str(item["item"]): item for item in registered.get("results", ()) if "item" in item}
    names = plan.gateway.hosts if plan.gateway is not None else ()
    return read_gateways({name: answers.get(name, {"failed": True, "msg": "it was not asked"}) for name in names})
