#!/usr/bin/python
# SPDX-License-Identifier: Apache-2.0
# It may be combined with ansible-core, which is under the GNU General Public License, version 3.
"""Host side of baremetal.vllm.fleet_lock; the action plugin of the same name says who asks, and judges the holder."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: fleet_lock
short_description: Let one run at a time change a fleet
description:
  - Keeps a record on a host of who changes the fleet, from which control node, since when and for what. Another run
    is refused with these.
  - The holder is one run of C(ansible-playbook). Every task of the same run holds the same lock.
  - A holder whose process has ended is succeeded at once, where it ran on the same control node. Of another control node
    nobody can know; there O(take_over) succeeds it.
  - Of two that ask at once exactly one gets the lock. No clock is compared with another one.
  - With several keepers, ask them one after the other in one fixed order.
version_added: "0.1.0"
author: The baremetal.vllm contributors (@baremetal-vllm)
options:
  state:
    description:
      - V(held) takes the lock, or fails with who holds it.
      - V(released) gives it back where this run holds it, and leaves it alone otherwise.
      - V(query) changes nothing.
    type: str
    choices: [held, released, query]
    default: held
  what:
    description: What the lock is held for, for whoever comes second.
    type: str
    default: ''
  take_over:
    description: The C(id) in RV(holder) of a holder that is dead for certain. A holder with another one is left alone.
    type: str
    default: ''
  path:
    description: Where the record lies on the host.
    type: path
    default: /var/lib/vllm/rollout.lock
  record:
    description: The record of this run, as the action plugin fills it in.
    type: dict
    default: {}
attributes:
  check_mode:
    support: full
    description: Looks, and fails where it would fail.
  diff_mode:
    support: none
    description: The record is no setting.
"""

EXAMPLES = r"""
- name: Let nobody else change the fleet meanwhile
  baremetal.vllm.fleet_lock:
    what: vLLM 0.33.0
    take_over: "{{ rollout_take_over | default(omit) }}"
  become: true
  throttle: 1
  register: __fleet_lock
"""

RETURN = r"""
id: {description: What names this run of ansible-playbook., returned: always, type: str}
who: {description: Who this run is - user@control-node., returned: always, type: str}
own: {description: Whether this run holds the lock now., returned: always, type: bool}
holder:
  description: Who holds the lock now; empty for nobody.
  returned: always
  type: dict
  contains:
    id: {description: What names the holder's run of ansible-playbook., type: str}
    who: {description: "Who the holder is, as user@control-node.", type: str}
    what: {description: What the lock is held for., type: str}
    since: {description: When it was taken., type: str}
    pid: {description: The process on the holder's control node., type: int}
taken_from: {description: The holder that was succeeded., returned: when there was one, type: dict}
"""

from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.baremetal.vllm.plugins.module_utils.gateway import lock


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "state": {"type": "str", "choices": ["held", "released", "query"], "default": "held"},
            "what": {"type": "str", "default": ""},
            "take_over": {"type": "str", "default": ""},
            "path": {"type": "path", "default": "/var/lib/vllm/rollout.lock"},
            "record": {"type": "dict", "default": {}},
        },
        supports_check_mode=True,
    )
    asked = module.params
    path, mine = Path(asked["path"]), asked["record"]
    if asked["state"] != "query" and set(mine) != set(lock.KEYS):
        module.fail_json(msg=f"record has {sorted(mine)}, expected {sorted(lock.KEYS)}: the action plugin fills it in")
    result: dict[str, Any] = {"changed": False}
    try:
        if asked["state"] == "held":
            result["changed"], holder = lock.hold(path, mine, asked["take_over"], module.check_mode)
            if result["changed"] and holder["id"] != mine["id"]:
                result["taken_from"] = holder
            result["holder"] = mine if result["changed"] else holder
        elif asked["state"] == "released":
            result["changed"], left = lock.release(path, mine["id"], module.check_mode)
            result["holder"] = left or {}
        else:
            result["holder"] = lock.read(path) or {}
    except OSError as error:
        module.fail_json(msg=f"{error.filename or asked['path']}: {error.strerror}")
    module.exit_json(**result)


if __name__ == "__main__":
    main()
