#!/usr/bin/python
# SPDX-License-Identifier: Apache-2.0
# It may be combined with ansible-core, which is under the GNU General Public License, version 3.
"""Documentation of the action plugin of the same name; it runs on the control node only."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: difference
short_description: Show and save what a plan would change on its hosts
description:
  - Compares the plan of M(baremetal.vllm.plan) with what M(baremetal.vllm.host_state) found on every host of the play, and
    prints a table - for each host and model whether it would be started, restarted, moved, removed, rewritten or left
    unchanged, and why -, and under it the options that make each restart.
  - Contacts no host. Never fails because of what it shows.
  - Run it with C(run_once).
version_added: "0.1.0"
author: The baremetal.vllm contributors (@baremetal-vllm)
options:
  plan:
    description: What M(baremetal.vllm.plan) returned.
    type: dict
    required: true
  found:
    description:
      - The name of the variable under which each host of the play has registered M(baremetal.vllm.host_state).
    type: str
    required: true
  path:
    description:
      - A JSON file on the control node. It is replaced whole or not at all, and not written in check mode. Its keys are
        C(schema) (the version, 1), C(digest) and C(plan) of the plan, and C(differences).
    type: path
attributes:
  check_mode:
    support: full
    description: The table is shown, no file is written.
  diff_mode:
    support: none
    description: What it shows is the difference.
"""

EXAMPLES = r"""
- name: Show what would change
  baremetal.vllm.difference:
    plan: "{{ __vllm_plan }}"
    found: __vllm_state
    path: difference.json
  run_once: true
"""

RETURN = r"""
counts:
  description: How many models would be started, restarted, moved, removed, rewritten, unchanged.
  returned: always
  type: dict
pending:
  description: Whether a deployment would change anything on a host that was read.
  returned: always
  type: bool
path:
  description: The file written; absent in check mode.
  returned: when a file was written
  type: str
"""
