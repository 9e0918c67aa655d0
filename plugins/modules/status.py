#!/usr/bin/python
# SPDX-License-Identifier: Apache-2.0
# It may be combined with ansible-core, which is under the GNU General Public License, version 3.
"""Documentation of baremetal.vllm.status; the action plugin of the same name does the work."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: status
short_description: Show and save what runs in a fleet, and whether it is as planned
description:
  - Puts what the hosts of a play said of themselves beside the plan, as one table and one JSON file. Runs on the control
    node alone and changes nothing but the file.
  - Leaves what is wrong as the run's statistic C(baremetal_vllm_status), as M(ansible.builtin.set_stats) does.
version_added: "0.1.0"
author: The baremetal.vllm contributors (@baremetal-vllm)
options:
  plan:
    description: What M(baremetal.vllm.plan) returned.
    type: dict
    required: true
  state:
    description: The name of the variable in which each host has the answer of M(baremetal.vllm.host_state).
    type: str
    required: true
  checked:
    description: The name of the variable in which each host has the results of M(baremetal.vllm.endpoint_check).
    type: str
    required: true
  around:
    description:
      - By what stands around the engines (C(firewall), C(canary)) the name of the variable in which each host has what
        M(baremetal.vllm.unit_files) would change of it. A host without an answer was not asked.
    type: dict
    default: {}
  doors:
    description: The name of the variable in which each gateway has what M(baremetal.vllm.gateway) would change there.
    type: str
    default: ''
  gateways:
    description: The results of a loop of M(baremetal.vllm.gateway_server) over the gateways.
    type: list
    elements: dict
    default: []
  lock:
    description: The name of the variable in which hosts have the results of a loop of M(baremetal.vllm.rollout_lock).
    type: str
    required: true
  path:
    description: Where to write the JSON document on the control node.
    type: path
attributes:
  check_mode:
    support: full
    description: Writes no file.
  diff_mode:
    support: none
    description: Changes nothing.
"""

EXAMPLES = r"""
- name: Show the fleet
  baremetal.vllm.status:
    plan: "{{ __vllm_plan }}"
    state: __status_state
    checked: __status_checked
    around: {firewall: __endpoint_firewall, canary: __canary_found}
    doors: __gateway
    gateways: "{{ __status_gateways.results }}"
    lock: __status_lock
    path: status.json
  run_once: true
"""

RETURN = r"""
problems_of:
  description: By host of the play what is not as planned or not healthy, one line each.
  returned: always
  type: dict
fleet_problems:
  description: What is wrong with gateways, one line each.
  returned: always
  type: list
  elements: str
"""
