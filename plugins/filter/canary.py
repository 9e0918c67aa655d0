"""Filter on the canary of a host."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Callable

from ansible.errors import AnsibleFilterError
from ansible_collections.baremetal.vllm.plugins.plugin_utils.gateway import engine_files
from ansible_collections.baremetal.vllm.plugins.plugin_utils.inventory.plain import plain
from ansible_collections.baremetal.vllm.plugins.plugin_utils.planned.fleet import read_services


def canary_files(services: Any, templates: str, state: str = "present", **settings: Any) -> dict[str, Any]:
    """The plan's services and the role's `canary_*` inputs, given without the prefix, as module unit_files takes the set.

    Raises AnsibleFilterError: for inputs that are wrong, a line each.
    """
    try:
        return engine_files.canary_files(
            read_services(plain(services)), Path(templates), state == "present", plain(settings)
        )
    except ValueError as error:
        raise AnsibleFilterError(str(error)) from error


class FilterModule:
    """`canary_files`: from the plan's services to the files of the canary."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"canary_files": canary_files}
