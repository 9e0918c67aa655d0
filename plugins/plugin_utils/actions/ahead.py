"""What a look at any host needs of this collection's own files, read before Ansible forks a worker for each host.

A worker ends with its host, and with it what it has read. What the main process has read, every worker has: Ansible loads the
module of an action there, before the first of them (`action_loader.get`, ansible/plugins/strategy/linear.py of ansible-core 2.19
to 2.21). Read in each worker, these files cost a host more than the look at it.
"""

from __future__ import annotations

from ansible_collections.baremetal.vllm.plugins.plugin_utils.drivers.nvidia import repository, rules, systems
from ansible_collections.baremetal.vllm.plugins.plugin_utils.fit import gpus, limits
from ansible_collections.baremetal.vllm.plugins.plugin_utils.gateway import engine_files
from ansible_collections.baremetal.vllm.plugins.plugin_utils.options import load
from ansible_collections.baremetal.vllm.plugins.plugin_utils.places import TEMPLATES
from ansible_collections.baremetal.vllm.plugins.plugin_utils.plan.control import UNIT_TEMPLATE
from ansible_collections.baremetal.vllm.plugins.plugin_utils.templates import environment

_DRIVER = (repository.SOURCES, repository.MIRRORS, repository.PREFERENCES, repository.REPO, rules.NODES)
_ENGINE = ("etc/vllm/firewall.nft.j2", *(f"etc/systemd/system/{unit}.j2" for unit in engine_files.UNITS))


def read_ahead() -> None:
    """Read them. Of releases the newest, which most fleets run; another one is made of what was read."""
    load.release(load.releases()[-1])
    gpus.candidates("")
    limits.asked(0)
    systems.titles()
    for name in (UNIT_TEMPLATE, *(f"{path[1:]}.j2" for path in _DRIVER)):
        environment(TEMPLATES).get_template(name)
    for name in _ENGINE:
        environment((TEMPLATES / name).parent, TEMPLATES).get_template((TEMPLATES / name).name)
