"""The headers of playbooks as Ansible works them out: headers.py INVENTORY PLAYBOOK… prints, by case and playbook, as JSON.

Without running anything, so that every playbook can be asked in the time of one run.
"""

from __future__ import annotations

import json
import sys
from typing import Any

from ansible import context
from ansible._internal._templating._engine import TemplateEngine
from ansible.errors import AnsibleError
from ansible.inventory.manager import InventoryManager
from ansible.parsing.dataloader import DataLoader
from ansible.playbook import Playbook
from ansible.playbook.play import Play
from ansible.plugins.loader import init_plugin_loader
from ansible.utils.context_objects import CLIArgs
from ansible.utils.vars import load_extra_vars, load_options_vars
from ansible.vars.manager import VariableManager

# By name: whether the inventory is given, and what the command line has beside it.
CASES: dict[str, tuple[bool, dict[str, Any]]] = {
    "whole": (True, {}),
    "limited": (True, {"subset": "h2"}),
    "limited elsewhere": (True, {"subset": "10.0.0.9"}),
    "no inventory": (False, {}),
    "group misspelt": (True, {"extra_vars": ("vllm_group=gpu_host",)}),
    "listed without an inventory": (False, {"listtasks": True, "tags": ("driver",), "start_at_task": "Prove"}),
    "skipped": (True, {"skip_tags": ("always",)}),
    "started late": (True, {"start_at_task": "Prove every endpoint"}),
}


def loaded(playbook: str) -> list[Play]:
    """The plays of a playbook."""
    loader = DataLoader()
    variables = VariableManager(loader, InventoryManager(loader, sources=["localhost,"]))
    plays: list[Play] = Playbook.load(playbook, variable_manager=variables, loader=loader).get_plays()
    return plays


def headers(plays: dict[str, list[Play]], source: str, options: dict[str, Any]) -> dict[str, Any]:
    """By playbook the hosts that its first play would have, or the error."""
    context.CLIARGS = CLIArgs({"args": tuple(plays), "tags": ("all",), "skip_tags": (), "extra_vars": (), **options})
    # Ansible reads the command line once in a process.
    load_extra_vars.extra_vars = load_options_vars.options_vars = None
    loader = DataLoader()
    inventory = InventoryManager(loader, sources=[source])
    inventory.subset(options.get("subset"))
    variables = VariableManager(loader, inventory)
    told: dict[str, Any] = {}
    for playbook, (first, *__) in plays.items():
        play = first.copy()
        try:
            play.post_validate(TemplateEngine(loader=loader, variables=variables.get_vars(play=play)))
            told[playbook] = [host.name for host in inventory.get_hosts(play.hosts)]
        except AnsibleError as error:
            told[playbook] = str(error)
    return told


if __name__ == "__main__":
    init_plugin_loader([])
    plays = {playbook: loaded(playbook) for playbook in sys.argv[2:]}
    told: dict[str, Any] = {
        name: headers(plays, sys.argv[1] if given else "localhost,", options)
        for name, (given, options) in CASES.items()
    }
    told["strategies"] = {playbook: sorted({play.strategy for play in every}) for playbook, every in plays.items()}
    print(json.dumps(told))
