#!/usr/bin/python
# SPDX-License-Identifier: Apache-2.0
# It may be combined with ansible-core, which is under the GNU General Public License, version 3.
"""Documentation of the action plugin of the same name; it runs on the control node only."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: rollout_order
short_description: Decide in which order hosts are switched, or refuse with every reason
description:
  - Decides from the plan, from what runs on the hosts of the play and from what the gateways see, which hosts change, in
    which order and how many at once, and shows it on the terminal.
  - No batch takes all live replicas of a model. Where that cannot be avoided, and where a port or the place of a model
    changes so that the gateways would lose it, it refuses, unless O(allow_gap) is set; then the gaps are told.
  - Hosts that an earlier rollout left drained or judged bad come first, then the canary, then the others in the order of
    the inventory.
  - A host that does not answer is left out and told; one that could not be read is refused.
  - Contacts no host. Run it with C(run_once).
version_added: "0.1.0"
author: The baremetal.vllm contributors (@baremetal-vllm)
options:
  plan:
    description: The plan, RV(baremetal.vllm.plan#module:plan).
    type: dict
    required: true
  states:
    description: The name of the variable under which each host has registered M(baremetal.vllm.host_state).
    type: str
    required: true
  generations:
    description: The name of the variable under which each host has registered M(baremetal.vllm.generations).
    type: str
    required: true
  gateways:
    description:
      - The name of the variable under which a loop over the plan's gateway hosts has registered
        M(baremetal.vllm.gateway_server). Without gateways it is not read.
    type: str
    default: ''
  back_to:
    description:
      - Go to kept generations instead of the plan - V(previous), a number, or the beginning of a plan's digest. Empty goes
        to the plan.
    type: str
    default: ''
  canary:
    description: The host that is switched first and alone; empty for none.
    type: str
    default: ''
  serial:
    description: How many hosts are switched at once, as Ansible's C(serial) - a number, a percentage, or a list of these.
    type: raw
    default: 1
  allow_gap:
    description: Whether a model may be without a replica for a while.
    type: bool
    default: false
  limited:
    description: The gateways do not learn of the plan in this run, so no host may gain or lose a model.
    type: bool
    default: false
attributes:
  check_mode:
    support: full
    description: Changes nothing in any mode.
  diff_mode:
    support: none
    description: What it shows is what will change.
"""

EXAMPLES = r"""
- name: Decide the order
  baremetal.vllm.rollout_order:
    plan: "{{ __vllm_plan.plan }}"
    states: __rollout_states
    generations: __rollout_generations
    gateways: __rollout_gateways
    canary: lab1
    serial: [1, "25%"]
  run_once: true
  register: __rollout_order
"""

RETURN = r"""
order: {description: The hosts in the order of their switch., returned: always, type: list, elements: str}
sizes: {description: How many of them make each batch., returned: always, type: list, elements: int}
batches: {description: The same as lists of hosts., returned: always, type: list, elements: list}
hosts:
  description:
    - What each of them gets. C(action) is V(switch), V(prove), V(undrain) or V(take_back); C(why) for people; C(models) to
      drain; C(units) to become idle; C(undrain) the models to undrain at the end; C(current), the installed generation;
      C(target), the kept one to switch to, V(0) for the plan; C(back), the one to go back to where the new one is bad, V(0)
      for none; C(canary); C(resumed); C(drained), whether an earlier rollout left it so.
  returned: always
  type: dict
resumed: {description: Hosts that an earlier rollout left half done., returned: always, type: list, elements: str}
left: {description: Hosts that are left alone and why., returned: always, type: dict}
lost: {description: Those of them that did not answer., returned: always, type: list, elements: str}
gaps: {description: Models that will be without a replica., returned: always, type: list, elements: str}
"""
