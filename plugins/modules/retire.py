#!/usr/bin/python
# SPDX-License-Identifier: Apache-2.0
# It may be combined with ansible-core, which is under the GNU General Public License, version 3.
"""Host side of baremetal.vllm.retire, which empties a host; the action plugin of the same name decides what leaves."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: retire
short_description: Decide what it takes for models or hosts to leave a fleet, and empty hosts that left
description:
  - O(step=decide) makes the plan of the fleet without them, or refuses with every reason. It runs on the control node alone
    and changes nothing.
  - O(step=empty) removes from a host everything that this collection put there - units (of models, gateway, canary and
    firewall), their files and state, engines, weights, caches, secrets, generations, the user C(vllm), the nftables table of
    the endpoints, and what the host's firewall and SELinux were told.
  - It leaves drivers and their settings (the role P(baremetal.vllm.nvidia_driver#role) with C(nvidia_driver_state=absent)
    removes those), system packages, models that lie at paths of the operator's, and - unless O(drop_ins) - the operator's
    drop-ins, which RV(kept) names. A directory of ours that is a mount or a link is emptied and stays.
  - It refuses while a unit of a model or of a gateway runs, as clients may be using it, or while any process runs from an
    engine.
version_added: "0.1.0"
author: The baremetal.vllm contributors (@baremetal-vllm)
options:
  step:
    description: What is to be done.
    type: str
    choices: [decide, empty]
    default: decide
  plan:
    description:
      - The plan, as M(baremetal.vllm.plan) returned it.
      - For O(step=decide), which needs it.
    type: dict
  models:
    description:
      - Models that leave, with all their replicas.
      - For O(step=decide).
    type: list
    elements: str
    default: []
  hosts:
    description:
      - Hosts that leave, with all that they serve.
      - For O(step=decide).
    type: list
    elements: str
    default: []
  allow_gap:
    description:
      - Let a model that does not leave lose its last replica.
      - For O(step=decide).
    type: bool
    default: false
  drop_ins:
    description:
      - Remove the operator's drop-ins of our units too.
      - For O(step=empty).
    type: bool
    default: false
attributes:
  check_mode:
    support: full
    description: Says what would be removed, also while something runs that would have to leave first.
  diff_mode:
    support: full
    description: Lists all that is removed.
"""

EXAMPLES = r"""
- name: Decide what leaves
  baremetal.vllm.retire:
    plan: "{{ __vllm_plan.plan }}"
    hosts: [lab2]
  run_once: true
  register: __retire_decided

- name: Empty a host that has left the fleet
  baremetal.vllm.retire:
    step: empty
  become: true
"""

RETURN = r"""
plan:
  description: The fleet without them.
  returned: step decide
  type: dict
digest:
  description: Its SHA-256; that of the inventory's own plan once they are deleted there.
  returned: step decide
  type: str
who:
  description: Who this run is, as user@control-node; on record with what it drains.
  returned: step decide
  type: str
hosts:
  description: Hosts that something leaves.
  returned: step decide
  type: list
  elements: str
servers:
  description: Replicas that leave, as M(baremetal.vllm.gateway_server) takes them; empty without a gateway.
  returned: step decide
  type: list
  elements: dict
farewell:
  description: What is to be deleted from the inventory.
  returned: step decide
  type: str
removed:
  description: What was removed (or would be).
  returned: step empty
  type: list
  elements: str
kept:
  description: What others put beside it and that stays - drop-ins, mounts, links.
  returned: step empty
  type: list
  elements: str
"""

import subprocess
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.baremetal.vllm.plugins.module_utils.host import systemd
from ansible_collections.baremetal.vllm.plugins.module_utils.host.labels import LabelError
from ansible_collections.baremetal.vllm.plugins.module_utils.text.problems import some
from ansible_collections.baremetal.vllm.plugins.module_utils.units import empty, surroundings
from ansible_collections.baremetal.vllm.plugins.module_utils.units.opening import OpeningError

SYSTEM = Path("/") / empty.UNITS


def remove(found: empty.Leftovers, drop_ins: bool) -> None:
    """Units first, so that nothing starts again what goes; then files, and last the user that owned them."""
    if found.units:
        # Timers and paths before what they start.
        for unit in sorted(found.units, key=lambda unit: unit.endswith(".service")):
            systemd.run(["systemctl", "disable", "--now", "--quiet", unit], timeout=600)
        for unit in found.units:
            (SYSTEM / unit).unlink(missing_ok=True)
    for path in found.drop_ins if drop_ins else ():
        Path(path).unlink(missing_ok=True)
        if not any(Path(path).parent.iterdir()):
            Path(path).parent.rmdir()
    if found.units or (drop_ins and found.drop_ins):
        systemd.run(["systemctl", "daemon-reload"])
    for unit in found.units:
        # One that never failed, or is forgotten already, cannot be reset; either is right.
        subprocess.run(["systemctl", "reset-failed", unit], capture_output=True, check=False)
    if found.table and empty.look().table:
        systemd.run(["nft", "delete", "table", *empty.TABLE])
    # Before the directory in which it is noted.
    for asked in empty.around():
        surroundings.take_back(asked, surroundings.surplus(asked))
    for file in found.files:
        Path(file).unlink(missing_ok=True)
    empty.clear_shelves()
    for directory in [*found.directories, *found.emptied]:
        empty.clear(Path(directory))
    if found.user:
        systemd.run(["userdel", empty.USER])


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "step": {"type": "str", "choices": ["decide", "empty"], "default": "decide"},
            "plan": {"type": "dict"},
            "models": {"type": "list", "elements": "str", "default": []},
            "hosts": {"type": "list", "elements": "str", "default": []},
            "allow_gap": {"type": "bool", "default": False},
            "drop_ins": {"type": "bool", "default": False},
        },
        supports_check_mode=True,
    )
    if module.params["step"] != "empty":
        module.fail_json(msg="Nothing was removed: what leaves is decided on the control node, by the action plugin")
    drop_ins = module.params["drop_ins"]
    try:
        found = empty.look()
        if found.running and not module.check_mode:
            module.fail_json(
                msg=f"Nothing was removed: {some(list(found.running))} still runs on this host. Let the host leave the "
                "fleet first (ansible-playbook baremetal.vllm.retire -e host=NAME), or stop what is no unit of ours."
            )
        removed = found.lines(drop_ins)
        if removed and not module.check_mode:
            remove(found, drop_ins)
    except (systemd.SystemdError, LabelError, OpeningError) as error:
        module.fail_json(msg=str(error))
    except OSError as error:
        module.fail_json(msg=f"{error.filename or 'a file of this host'}: {error.strerror}")
    module.exit_json(
        changed=bool(removed),
        removed=removed,
        kept=[*(found.drop_ins if not drop_ins else ()), *found.emptied],
        diff={"before": "".join(f"{line}\n" for line in removed), "after": ""},
    )


if __name__ == "__main__":
    main()
