#!/usr/bin/python
# SPDX-License-Identifier: Apache-2.0
# It may be combined with ansible-core, which is under the GNU General Public License, version 3.
"""Documentation of the action plugin of the same name, which does the work on the control node."""

from __future__ import annotations

DOCUMENTATION = r"""
module: report
short_description: Show and save what the endpoints of a play have proved
version_added: 0.1.0
description:
  - Gathers what the role P(baremetal.vllm.endpoint_check#role) left on every host of the play, prints a table on the
    terminal and writes one JSON file on the control node.
  - A host that was not reached, or that never came to its checks, is listed as such.
  - Never fails because of what it reports; P(baremetal.vllm.failed_checks#filter) gives each host's failures to a task
    that does.
  - Leaves RV(endpoints), RV(passed), the failures and the plan's digest as the run's statistic C(baremetal_vllm_report), as
    M(ansible.builtin.set_stats) does.
  - Run it with C(run_once), after the role has run on all hosts.
options:
  path:
    description:
      - The JSON file on the control node. Its directory is made; the file is replaced whole or not at all. Without O(path)
        and O(directory) only the table is shown.
    type: path
  directory:
    description:
      - Where the file lies, under the name V(vllm-report.json), without O(path).
      - Empty stands for C($XDG_STATE_HOME/baremetal-vllm/reports).
    type: path
  digest:
    description: What names the plan that was proved, for the file.
    type: str
    default: ''
  hosts:
    description: The hosts to report on. Without it all hosts of the play, reached or not.
    type: list
    elements: str
  plan:
    description:
      - The plan, as M(baremetal.vllm.plan) returns it. With it, commands to ask what was proved end the report, one for the first
        model of each kind, three at most. They hold no key. None in check mode.
    type: dict
attributes:
  check_mode:
    support: full
    description: The table is shown, no file is written.
  diff_mode:
    support: none
    description: The report is no part of any host.
author: The baremetal.vllm contributors (@baremetal-vllm)
"""

EXAMPLES = r"""
- name: Report what the endpoints have proved
  baremetal.vllm.report:
    path: "{{ playbook_dir }}/report.json"
  run_once: true
  register: __report
"""

RETURN = r"""
endpoints: {description: How many endpoints were checked., returned: always, type: int}
passed: {description: How many of them passed., returned: always, type: int}
failed_endpoints:
  description: One line for each failed check, and one for each host without results, beginning with the host.
  returned: always
  type: list
  elements: str
path: {description: The file written; absent in check mode., returned: when a file was written, type: str}
"""
