#!/usr/bin/python
# SPDX-License-Identifier: Apache-2.0
# It may be combined with ansible-core, which is under the GNU General Public License, version 3.
"""Documentation of the action plugin of the same name; it runs on the control node only."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: rollout_report
short_description: Show and save what became of a rollout
description:
  - Tells of every host whether it was switched and proven, taken back and why, left untouched or unreachable, whether it
    was left drained, and what the operator does about it.
  - While hosts wait for their batch and nothing went wrong, it shows one line. Otherwise the rollout is over, and it shows
    the summary and writes it as one JSON file.
  - Contacts no host, and never fails because of what it tells. Run it with C(run_once) at the end of every batch.
  - Leaves what became of the hosts as the run's statistic C(baremetal_vllm_rollout), as M(ansible.builtin.set_stats) does.
version_added: "0.1.0"
author: The baremetal.vllm contributors (@baremetal-vllm)
options:
  schedule:
    description: What M(baremetal.vllm.rollout_order) returned.
    type: dict
    required: true
  verdict:
    description: The name of the variable under which each host registered its last M(baremetal.vllm.rollout_judge).
    type: str
    required: true
  back:
    description: The same for the verdict of its way back.
    type: str
    required: true
  drains:
    description:
      - The names of two variables - under which each host registered that it was drained before its switch, and again before
        it went back.
    type: list
    elements: str
    required: true
  undrain:
    description: The name of the variable under which each host registered its undraining.
    type: str
    required: true
  path:
    description:
      - The JSON file on the control node, replaced whole or not at all. Its keys are C(schema) (1), C(id), C(time),
        C(plan_digest), C(complete), C(stopped), C(hosts), C(skipped), C(unreachable) and C(gaps).
    type: path
  digest:
    description: What names the plan, for the file.
    type: str
    default: ''
attributes:
  check_mode:
    support: full
    description: The summary is shown, no file is written.
  diff_mode:
    support: none
    description: The report is no part of any host.
"""

EXAMPLES = r"""
- name: Tell what became of the rollout
  baremetal.vllm.rollout_report:
    schedule: "{{ __rollout_order }}"
    verdict: __rollout_verdict
    back: __rollout_back
    drains: [__rollout_drain, __rollout_back_drain]
    undrain: __rollout_undrain
    path: rollout.json
  run_once: true
  register: __rollout_report
"""

RETURN = r"""
over: {description: Whether no further batch may follow., returned: always, type: bool}
good:
  description: Whether nothing went wrong so far, and, once it is over, whether every host was reached.
  returned: always
  type: bool
complete: {description: Whether every host of the play is as planned and proven., returned: always, type: bool}
told: {description: The last sentence of the summary., returned: always, type: str}
path: {description: The file written; absent in check mode., returned: when a file was written, type: str}
"""
