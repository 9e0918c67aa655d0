#!/usr/bin/python
# SPDX-License-Identifier: Apache-2.0
# It may be combined with ansible-core, which is under the GNU General Public License, version 3.
"""Documentation of the action plugin of the same name, which does the work on the control node."""

from __future__ import annotations

DOCUMENTATION = r"""
module: report
short_description: Show and save what a play found on its hosts
version_added: 0.1.0
description:
  - Gathers what tasks registered on every host of the play, prints a table on the terminal and writes one JSON file on the
    control node. Contacts no host, never fails because of what it shows. A host that was not reached is listed as such.
    Run it with C(run_once).
  - O(subject=endpoints) tells what the role P(baremetal.vllm.endpoint_check#role) left, after it has run on all hosts.
    P(baremetal.vllm.failed_checks#filter) gives each host's failures to a task that fails. It leaves RV(endpoints),
    RV(passed), the failures and the plan's digest as the run's statistic C(baremetal_vllm_report), as
    M(ansible.builtin.set_stats) does.
  - O(subject=difference) compares the plan with what M(baremetal.vllm.host_state) found - for each host and model whether it
    would be started, restarted, moved, removed, rewritten or left unchanged, and why -, and under it the options that make
    each restart.
  - O(subject=fleet) puts what hosts and gateways said of themselves beside the plan. It leaves what is wrong as the run's
    statistic C(baremetal_vllm_status).
options:
  subject:
    description: What is reported. The options of one subject are refused for another.
    type: str
    choices: [endpoints, difference, fleet]
    default: endpoints
  path:
    description:
      - A JSON file on the control node. It is replaced whole or not at all, and not written in check mode. Its directory is
        made for O(subject=endpoints).
      - Without it (and O(directory)) nothing is written.
      - Of O(subject=difference), its keys are C(schema) (the version, 1), C(digest) and C(plan) of the plan, and C(differences).
    type: path
  directory:
    description:
      - Where the file lies, under the name V(vllm-report.json), without O(path).
      - Empty stands for C($XDG_STATE_HOME/baremetal-vllm/reports).
      - For O(subject=endpoints).
    type: path
  digest:
    description:
      - What names the plan that was proved, for the file.
      - For O(subject=endpoints).
    type: str
    default: ''
  hosts:
    description:
      - The hosts to report on. Without it all hosts of the play, reached or not.
      - For O(subject=endpoints).
    type: list
    elements: str
  plan:
    description:
      - What M(baremetal.vllm.plan) returned, with C(plan) and C(digest); or the name of the variable that holds it, which spares
        Ansible templating it. O(subject=difference) and O(subject=fleet) need it.
      - With O(subject=endpoints), commands to ask what was proved end the report where it is given, one for the first model of
        each kind, three at most. They hold no key. None in check mode.
    type: raw
  found:
    description:
      - The name of the variable under which each host of the play has registered M(baremetal.vllm.host_state).
      - For O(subject=difference), which needs it.
    type: str
  state:
    description:
      - The name of the variable in which each host has the answer of M(baremetal.vllm.host_state).
      - For O(subject=fleet), which needs it.
    type: str
  checked:
    description:
      - The name of the variable in which each host has the results of M(baremetal.vllm.endpoint_check), where a task of its own
        asked the endpoints. Without it, the answers of O(state) count.
      - For O(subject=fleet).
    type: str
    default: ''
  around:
    description:
      - By what stands around the engines (C(firewall), C(canary)) the name of the variable in which each host has what
        M(baremetal.vllm.unit_files) would change of it, where a task of its own compared that.
      - For O(subject=fleet).
    type: dict
    default: {}
  look:
    description:
      - The name of the variable in which each host has registered M(baremetal.vllm.host_state), asked with C(ask=kept). What
        answered there and was proved in full before needs no further proof.
      - For O(subject=endpoints), beside O(difference).
    type: str
    default: ''
  difference:
    description:
      - The name of the variable that holds what this module returned for O(subject=difference).
      - For O(subject=endpoints).
    type: str
    default: ''
  saved:
    description:
      - A JSON file of an earlier difference (O(path)). Where the difference of now is another, the task fails and names what has
        moved.
      - For O(subject=difference).
    type: path
    default: ''
  brief:
    description:
      - Say on the terminal no more than which hosts differ, and in what; and write nothing.
      - For O(subject=difference).
    type: bool
    default: false
  alone:
    description:
      - Fail where another run holds the fleet (M(baremetal.vllm.fleet_lock)), by the record that the looks found on its keepers.
      - For O(subject=difference).
    type: bool
    default: false
  take_over:
    description:
      - The id of a run that is dead for certain, and holds the fleet all the same; for O(alone).
      - For O(subject=difference).
    type: str
    default: ''
  doors:
    description:
      - The name of the variable in which each gateway has what M(baremetal.vllm.gateway) would change there,
        where a task of its own compared that; of those in O(gateways).
      - For O(subject=fleet).
    type: str
    default: ''
  gateways:
    description:
      - The results of a loop of M(baremetal.vllm.gateway_server) over the gateways that are no hosts of the play, and so were not
        looked at.
      - For O(subject=fleet).
    type: list
    elements: dict
    default: []
  lock:
    description:
      - The name of the variable in which hosts have the results of a loop of M(baremetal.vllm.fleet_lock) over these.
      - For O(subject=fleet), which needs it.
    type: str
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

- name: Show what would change
  baremetal.vllm.report:
    subject: difference
    plan: "{{ __vllm_plan }}"
    found: __vllm_state
    path: difference.json
  run_once: true

- name: Show the fleet
  baremetal.vllm.report:
    subject: fleet
    plan: "{{ __vllm_plan }}"
    state: __status_state
    gateways: "{{ __status_gateways.results }}"
    lock: __status_lock
    path: status.json
  run_once: true
"""

RETURN = r"""
endpoints: {description: How many endpoints were checked., returned: with subject endpoints, type: int}
passed: {description: How many of them passed., returned: with subject endpoints, type: int}
failed_endpoints:
  description: One line for each failed check, and one for each host without results, beginning with the host.
  returned: with subject endpoints
  type: list
  elements: str
failing:
  description: The hosts on which an endpoint failed a check.
  returned: with subject endpoints
  type: list
  elements: str
counts:
  description: How many models would be started, restarted, moved, removed, rewritten, unchanged.
  returned: with subject difference
  type: dict
pending:
  description: Whether a deployment would change anything on a host that was read.
  returned: with subject difference
  type: bool
topics:
  description: By topic (driver, settings, gpus, acceptance, engine, weights, firewall, units, canary, gateway) the hosts that
    differ in it.
  returned: with subject difference
  type: dict
changes:
  description: By host that is not as planned its topics, and what would change there and why.
  returned: with subject difference
  type: dict
differing:
  description: The hosts on which a role has something to do; gateways are told in RV(topics) alone.
  returned: with subject difference
  type: list
  elements: str
refused:
  description: By host what would keep a deployment from being done there, one line each.
  returned: with subject difference
  type: dict
unproved:
  description: By other host the units of endpoints that have to be proved in full.
  returned: with subject difference
  type: dict
problems_of:
  description: By host of the play what is not as planned or not healthy, one line each.
  returned: with subject fleet
  type: dict
fleet_problems:
  description: What is wrong with gateways, one line each.
  returned: with subject fleet
  type: list
  elements: str
path: {description: The file written; absent in check mode., returned: when a file was written, type: str}
"""
