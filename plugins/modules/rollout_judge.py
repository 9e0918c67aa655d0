#!/usr/bin/python
# SPDX-License-Identifier: Apache-2.0
# It may be combined with ansible-core, which is under the GNU General Public License, version 3.
"""Documentation of the action plugin of the same name; it runs on the control node only."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: rollout_judge
short_description: Judge whether a switched host may serve clients again
description:
  - Reads what the tasks of a rollout registered for this host, and fails with every cause where a phase failed, the host
    did not answer, a check of M(baremetal.vllm.endpoint_check) failed, or the first token takes longer than allowed.
  - A check that failed before the switch too is told as such and fails all the same. Only with O(returning) it is accepted,
    since a host that goes back shall be as it was.
  - Contacts no host.
version_added: "0.1.0"
author: The baremetal.vllm contributors (@baremetal-vllm)
options:
  phases:
    description:
      - The phases to judge, each with the name of the variable under which it registered its result. One that registered
        nothing did not run.
      - Phases are C(drain), C(idle), C(baseline), C(close), C(switch), C(prove), C(undrain), C(soak) and C(mark).
    type: dict
    default: {}
  before:
    description: The name of the variable that holds M(baremetal.vllm.endpoint_check) from before the switch.
    type: str
    default: ''
  after:
    description: The name of the variable that holds M(baremetal.vllm.endpoint_check) from after it.
    type: str
    default: ''
  returning:
    description: Whether the host goes back to what served before.
    type: bool
    default: false
  otherwise:
    description: What failed, where something is known to have failed. It is the cause where no phase that is named was bad.
    type: str
    default: ''
  failing:
    description: Whether the task fails with the causes of a bad verdict. Without it the verdict is returned alone.
    type: bool
    default: true
  first_token_factor:
    description: How many times the first-token time from before is allowed.
    type: float
    default: 2.0
  first_token_slack:
    description: Seconds that are allowed beyond.
    type: float
    default: 0.25
attributes:
  check_mode:
    support: full
    description: Changes nothing in any mode.
  diff_mode:
    support: none
    description: Nothing changes.
"""

EXAMPLES = r"""
- name: Judge the switched host
  baremetal.vllm.rollout_judge:
    phases: {drain: __rollout_drain, switch: __rollout_switch, prove: __rollout_after}
    before: __rollout_before
    after: __rollout_after
    first_token_factor: "{{ rollout_first_token_factor }}"
  register: __rollout_verdict
"""

RETURN = r"""
good: {description: Whether the host may serve., returned: always, type: bool}
causes: {description: Everything that speaks against it., returned: always, type: list, elements: str}
phase: {description: The first phase that went wrong; empty for none., returned: always, type: str}
take_back:
  description: Whether the units are to blame and the host answers, so that it shall go back to what served before.
  returned: always
  type: bool
switched: {description: Whether the units may have been touched., returned: always, type: bool}
reachable: {description: Whether the host answered to the end., returned: always, type: bool}
"""
