"""What several action plugins do on the control node."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager

from ansible.errors import AnsibleActionFail
from ansible.parsing.dataloader import DataLoader
from ansible_collections.baremetal.vllm.plugins.module_utils.host import proxy
from ansible_collections.baremetal.vllm.plugins.plugin_utils.actions.run import managed
from ansible_collections.baremetal.vllm.plugins.plugin_utils.inventory.plain import names
from ansible_collections.baremetal.vllm.plugins.plugin_utils.task import Arguments


def pattern_matcher(loader: DataLoader, groups: Mapping[str, Iterable[str]]) -> Callable[[str], list[str]]:
    """Ansible's own pattern language over the whole inventory, whatever `--limit` says."""
    manager = managed(groups, loader)
    return lambda pattern: [host.name for host in manager.get_hosts(pattern=pattern, ignore_limits=True)]


@contextmanager
def behind_proxy(arguments: Arguments) -> Iterator[None]:
    """Have this action and what it starts fetch through the `proxy` of its arguments, where one is given (`host.proxy`).

    Raises AnsibleActionFail where it is none. An action has a process of its own: what goes on beside it is not concerned.
    """
    try:
        values = proxy.environment(arguments.get("proxy") or "", names(arguments.get("no_proxy")))
    except ValueError as error:
        raise AnsibleActionFail(str(error)) from None
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
