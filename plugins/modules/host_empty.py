#!/usr/bin/python
# SPDX-License-Identifier: Apache-2.0
# It may be combined with ansible-core, which is under the GNU General Public License, version 3.
"""Remove from a host everything that this collection put there."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: host_empty
short_description: Remove from a host everything that the toolkit put there
description:
  - Removes units (of models, gateway, canary and firewall), their files and state, engines, weights, caches, secrets,
    generations, the user C(vllm), the nftables table of the endpoints, and what the host's firewall and SELinux were told.
  - Leaves drivers and their settings (M(baremetal.vllm.driver_state) with C(state=absent) removes those), system packages,
    models that lie at paths of the operator's, and - unless O(drop_ins) - the operator's drop-ins, which RV(kept) names.
  - A directory of ours that is a mount or a link is emptied and stays.
  - Refuses while a unit of a model or of a gateway runs, as clients may be using it, or while any process runs from an
    engine.
version_added: "0.1.0"
author: The baremetal.vllm contributors (@baremetal-vllm)
options:
  drop_ins:
    description: Remove the operator's drop-ins of our units too.
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
- name: Empty a host that has left the fleet
  baremetal.vllm.host_empty:
  become: true
"""

RETURN = r"""
removed:
  description: What was removed (or would be).
  returned: success
  type: list
  elements: str
kept:
  description: What others put beside it and that stays - drop-ins, mounts, links.
  returned: success
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


def remove(found: empty.Found, drop_ins: bool) -> None:
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
        argument_spec={"drop_ins": {"type": "bool", "default": False}},
        supports_check_mode=True,
    )
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
