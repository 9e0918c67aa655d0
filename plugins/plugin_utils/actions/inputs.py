"""What a role of ours would be given on a host, for an action that has to know it without running the role."""

from __future__ import annotations

from typing import Any

from ansible_collections.baremetal.vllm.plugins.plugin_utils.actions.base import Action
from ansible_collections.baremetal.vllm.plugins.plugin_utils.inventory.plain import plain
from ansible_collections.baremetal.vllm.plugins.plugin_utils.places import ROOT
from ansible_collections.baremetal.vllm.plugins.plugin_utils.task import Arguments, Variables


def role_inputs(action: Action, role: str, variables: Variables) -> Arguments:
    """The inputs of a role, without their prefix: the variables of the task's host, else the role's defaults.

    Raises AnsibleError for a variable that cannot be templated, as the role would.
    """
    file = ROOT / "roles" / role / "defaults" / "main.yml"
    defaults = action._loader.load_from_file(str(file), trusted_as_template=True)
    return {
        name.removeprefix(f"{role}_"): plain(action._templar.template(variables.get(name, default)))
        for name, default in defaults.items()
    }


def site_input(action: Action, name: str, variables: Variables, default: Any) -> Any:
    """A variable of the task's host that several roles take, as a plain value; `default` where it has none, or null."""
    value = plain(action._templar.template(variables[name])) if name in variables else None
    return default if value is None else value
