"""Filter on what the canary of a host is told."""

from __future__ import annotations

from typing import Any, Callable

from ansible.errors import AnsibleFilterError
from ansible_collections.baremetal.vllm.plugins.plugin_utils.gateway import canary
from ansible_collections.baremetal.vllm.plugins.plugin_utils.inventory.plain import plain
from ansible_collections.baremetal.vllm.plugins.plugin_utils.planned.fleet import read_services


def canary_config(services: Any, **settings: Any) -> dict[str, object]:
    """The plan's services and the role's `canary_*` inputs, given without the prefix, as the canary's settings.

    Raises AnsibleFilterError: for inputs that are wrong, a line each.
    """
    try:
        return canary.canary_config(read_services(plain(services)), **plain(settings))
    except ValueError as error:
        raise AnsibleFilterError(str(error)) from error


class FilterModule:
    """`canary_config`: from the plan's services to the canary's settings."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"canary_config": canary_config}
