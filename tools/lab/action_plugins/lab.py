"""Boot or remove the lab on the control node; the module of the same name holds the documentation."""

from __future__ import annotations

import os
import time
from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible.utils.display import Display
from ansible_collections.baremetal.vllm.plugins.plugin_utils.actions.refusal import told_once
from ansible_collections.baremetal.vllm.tools.lab.keeper import Keeper
from ansible_collections.baremetal.vllm.tools.lab.spec import (
    DEFAULT_MACHINES,
    DEFAULT_SUBNET,
    LabError,
    parse_lab,
    places,
)

# Inventory variable of a lab host -> key of a machine.
HOST_VARIABLES = {
    "ansible_host": "address",
    "ansible_port": "port",
    "lab_suite": "suite",
    "lab_internet": "internet",
    "lab_packages": "packages",
}
display = Display()


class ActionModule(ActionBase):
    _supports_check_mode = True
    _requires_connection = False

    @told_once
    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        result = super().run(tmp, task_vars)
        variables = task_vars or {}
        __, arguments = self.validate_argument_spec(
            argument_spec={
                "state": {"type": "str", "choices": ["present", "absent", "killed"], "default": "present"},
                "machines": {"type": "list", "elements": "dict"},
                "group": {"type": "str", "default": "lab"},
                "names": {"type": "list", "elements": "str", "default": []},
                "subnet": {"type": "str", "default": DEFAULT_SUBNET},
            }
        )
        begun = time.monotonic()
        try:
            # A root shell by `su` finds no ip and no nft.
            os.environ["PATH"] = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"
            found = places(os.environ)
            keeper = Keeper(found, lambda line: display.display(f"lab  {line}"), check=bool(self._task.check_mode))
            if arguments["state"] == "present":
                entries = arguments["machines"]
                if entries is None:
                    entries = inventory_machines(variables, arguments["group"])
                if arguments["names"]:
                    entries = [entry for entry in entries if entry.get("name") in arguments["names"]]
                changes = keeper.present(parse_lab(arguments["subnet"], entries))
            elif arguments["state"] == "absent":
                changes = keeper.absent(arguments["names"])
            else:
                changes = keeper.killed(arguments["names"])
        except LabError as error:
            raise AnsibleActionFail(str(error)) from error
        machines = [
            {"name": one.name, "address": one.address, "suite": one.suite, "internet": one.internet}
            for one in keeper.state.machines
        ]
        return {
            **result,
            "changed": bool(changes),
            "changes": changes,
            "machines": machines,
            "ssh_config": str(found.ssh / "config"),
            "seconds": round(time.monotonic() - begun, 1),
        }


def inventory_machines(variables: dict[str, Any], group: str) -> list[dict[str, Any]]:
    """One entry a host of the group; the default three where the inventory has no such group."""
    hosts = variables.get("groups", {}).get(group)
    if hosts is None:
        return [{"name": name} for name in DEFAULT_MACHINES]
    hostvars = variables["hostvars"]
    return [
        {"name": host, **{key: hostvars[host][name] for name, key in HOST_VARIABLES.items() if name in hostvars[host]}}
        for host in hosts
    ]
