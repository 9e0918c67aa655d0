#!/usr/bin/python
# SPDX-License-Identifier: Apache-2.0
# It may be combined with ansible-core, which is under the GNU General Public License, version 3.
"""Documentation of baremetal.vllm.retire; the action plugin of the same name does the work."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: retire
short_description: Decide what it takes for models or hosts to leave a fleet
description:
  - Makes the plan of the fleet without them, or refuses with every reason. Runs on the control node alone and changes
    nothing.
version_added: "0.1.0"
author: The baremetal.vllm contributors (@baremetal-vllm)
options:
  plan:
    description: The plan, as M(baremetal.vllm.plan) returned it.
    type: dict
    required: true
  models:
    description: Models that leave, with all their replicas.
    type: list
    elements: str
    default: []
  hosts:
    description: Hosts that leave, with all that they serve.
    type: list
    elements: str
    default: []
  allow_gap:
    description: Let a model that does not leave lose its last replica.
    type: bool
    default: false
attributes:
  check_mode:
    support: full
    description: Changes nothing in any mode.
  diff_mode:
    support: none
    description: Changes nothing.
"""

EXAMPLES = r"""
- name: Decide what leaves
  baremetal.vllm.retire:
    plan: "{{ __vllm_plan.plan }}"
    hosts: [lab2]
  run_once: true
  register: __retire_decided
"""

RETURN = r"""
plan:
  description: The fleet without them.
  returned: always
  type: dict
digest:
  description: Its SHA-256; that of the inventory's own plan once they are deleted there.
  returned: always
  type: str
hosts:
  description: Hosts that something leaves.
  returned: always
  type: list
  elements: str
servers:
  description: Replicas that leave, as M(baremetal.vllm.gateway_server) takes them; empty without a gateway.
  returned: always
  type: list
  elements: dict
farewell:
  description: What is to be deleted from the inventory.
  returned: always
  type: str
"""
