"""What several action plugins do on the control node."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from ansible.parsing.dataloader import DataLoader
from ansible_collections.baremetal.vllm.plugins.plugin_utils.run import managed


def pattern_matcher(loader: DataLoader, groups: Mapping[str, Iterable[str]]) -> Callable[[str], list[str]]:
    """Ansible's own pattern language over the whole inventory, whatever `--limit` says."""
    manager = managed(groups, loader)
    return lambda pattern: [host.name for host in manager.get_hosts(pattern=pattern, ignore_limits=True)]
