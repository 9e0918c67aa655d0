"""Filter on who may reach the engines."""

from __future__ import annotations

from typing import Any, Callable

from ansible.errors import AnsibleFilterError
from ansible_collections.baremetal.vllm.plugins.plugin_utils.gateway import firewall
from ansible_collections.baremetal.vllm.plugins.plugin_utils.inventory.jsonform import build
from ansible_collections.baremetal.vllm.plugins.plugin_utils.inventory.plain import plain
from ansible_collections.baremetal.vllm.plugins.plugin_utils.planned.fleet import Firewall


def endpoint_rules(asked: Any) -> dict[str, object]:
    """What the plan asks of a host's firewall, as nftables' table takes it.

    Raises AnsibleFilterError: for what nftables cannot take, a line each.
    """
    try:
        return firewall.endpoint_rules(build(Firewall, plain(asked)) if asked is not None else None)
    except ValueError as error:
        raise AnsibleFilterError(f"The engines cannot be closed to all but these sources:\n{error}") from error


class FilterModule:
    """`endpoint_rules`: from the plan's rules to what the table is made of."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"endpoint_rules": endpoint_rules}
