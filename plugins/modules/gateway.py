#!/usr/bin/python
# SPDX-License-Identifier: Apache-2.0
# It may be combined with ansible-core, which is under the GNU General Public License, version 3.
"""Documentation of the action plugin of the same name; what it does on the host is baremetal.vllm.unit_files."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: gateway
short_description: Keep HAProxy as the fleet's one door on a host
description:
  - Renders the configuration of the door from the plan and hands it to M(baremetal.vllm.unit_files), which tries the set with
    C(haproxy -c) before it replaces anything, and reloads HAProxy without parting from a client.
  - Only digests of clients' keys reach the host. The engines' key and the certificate lie in files that root alone reads.
  - With a floating address, keepalived carries it to a gateway whose HAProxy answers; without one, what an earlier run put there
    is removed.
  - Two round trips where there is nothing to do; a third one with a floating address whose interface is not named.
version_added: "0.1.0"
author: The baremetal.vllm contributors (@baremetal-vllm)
options:
  state:
    description: With C(absent) units, files and kept states are removed; packages stay.
    type: str
    choices: [present, absent]
    default: present
  plan:
    description: The part C(gateway) of what M(baremetal.vllm.plan) returns; none removes the gateway as C(absent) does.
    type: dict
  keys:
    description: Clients' keys, C(gateway_keys).
    type: dict
    default: {}
  engine_key:
    description: The key that opens the engines, C(vllm_api_key).
    type: str
  templates:
    description: The directory on the control node that holds the templates.
    type: path
    required: true
  host_firewall:
    description: Whether firewalld or ufw, where one is on, is told to let clients in; otherwise a closed port is a warning.
    type: bool
    default: true
  selinux:
    description: Whether SELinux, where it is on, is told what HAProxy may do; otherwise what it lacks is a warning.
    type: bool
    default: true
  compare:
    description: Tell in RV(steps) what would be done and do nothing, as in check mode; it is no change then.
    type: bool
    default: false
attributes:
  check_mode:
    support: full
    description: The configuration is tried as well, where HAProxy is on the host.
  diff_mode:
    support: full
    description: Of keys and certificates only that they change.
"""

EXAMPLES = r"""
- name: Keep the gateway as planned
  baremetal.vllm.gateway:
    plan: "{{ __vllm_plan.plan.gateway }}"
    keys: "{{ gateway_keys }}"
    engine_key: "{{ vllm_api_key }}"
    templates: "{{ gateway_templates }}"
"""

RETURN = r"""
steps:
  description: What was done (or would be), in words.
  returned: always
  type: list
  elements: str
missing:
  description: Programs that the host lacks; what needs them was not done.
  returned: always
  type: list
  elements: str
"""
