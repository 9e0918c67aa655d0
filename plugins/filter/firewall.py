"""Filter on who may reach the engines."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Callable

from ansible.errors import AnsibleFilterError
from ansible.module_utils.parsing.convert_bool import boolean
from ansible_collections.baremetal.vllm.plugins.plugin_utils.gateway import engine_files
from ansible_collections.baremetal.vllm.plugins.plugin_utils.inventory.jsonform import build
from ansible_collections.baremetal.vllm.plugins.plugin_utils.inventory.plain import plain
from ansible_collections.baremetal.vllm.plugins.plugin_utils.planned.fleet import Firewall


def firewall_files(asked: Any, templates: str, served: Any = (), managed: Any = True) -> dict[str, Any]:
    """What the plan asks of a host's firewall, as module unit_files takes it.

    Raises AnsibleFilterError: for what nftables cannot take, a line each.
    """
    rules = build(Firewall, plain(asked)) if asked is not None else None
    try:
        return engine_files.firewall_files(rules, Path(templates), [int(port) for port in served], boolean(managed))
    except ValueError as error:
        raise AnsibleFilterError(f"The engines cannot be closed to all but these sources:\n{error}") from error


class FilterModule:
    """`firewall_files`: from the plan's rules to the files that hold them."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"firewall_files": firewall_files}
