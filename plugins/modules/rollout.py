#!/usr/bin/python
# SPDX-License-Identifier: Apache-2.0
# It may be combined with ansible-core, which is under the GNU General Public License, version 3.
"""Documentation of the action plugin of the same name; it runs on the control node only."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: rollout
short_description: Order the hosts of a rollout, judge each of them, report what became of all
description:
  - Each O(step) contacts no host, and changes nothing but the file of the report.
  - O(step=order) decides from the plan, from what runs on the hosts of the play and from what the gateways see, which hosts
    change, in which order and how many at once, and shows it on the terminal. No batch takes all live replicas of a model.
    Where that cannot be avoided, and where a port or the place of a model changes so that the gateways would lose it, it
    refuses, unless O(allow_gap) is set; then the gaps are told. Hosts that an earlier rollout left drained or judged bad come
    first, then the canary, then the others in the order of the inventory. A host that does not answer is left out and told;
    one that could not be read is refused. Run it with C(run_once).
  - O(step=judge) reads what the tasks of a rollout registered for this host, and fails with every cause where a phase failed,
    the host did not answer, a check of M(baremetal.vllm.endpoint_check) failed, or the first token takes longer than allowed.
    A check that failed before the switch too is told as such and fails all the same. Only with O(returning) it is accepted,
    since a host that goes back shall be as it was.
  - O(step=report) tells of every host whether it was switched and proven, taken back and why, left untouched or unreachable,
    whether it was left drained, and what the operator does about it. While hosts wait for their batch and nothing went wrong,
    it shows one line. Otherwise the rollout is over, and it shows the summary and writes it as one JSON file. It never fails
    because of what it tells, and leaves what became of the hosts as the run's statistic C(baremetal_vllm_rollout), as
    M(ansible.builtin.set_stats) does. Run it with C(run_once) at the end of every batch.
version_added: "0.1.0"
author: The baremetal.vllm contributors (@baremetal-vllm)
options:
  step:
    description: What is to be done. The options of one step are refused in another.
    type: str
    choices: [order, judge, report]
    required: true
  plan:
    description:
      - The plan, RV(baremetal.vllm.plan#module:plan).
      - For O(step=order), which needs it.
    type: dict
  states:
    description:
      - The name of the variable under which each host has registered M(baremetal.vllm.host_state).
      - For O(step=order), which needs it.
    type: str
  generations:
    description:
      - The name of the variable under which each host has registered M(baremetal.vllm.model_service).
      - For O(step=order), which needs it.
    type: str
  gateways:
    description:
      - The name of the variable under which a loop over the plan's gateway hosts has registered
        M(baremetal.vllm.gateway_server). Without gateways it is not read.
      - For O(step=order).
    type: str
    default: ''
  back_to:
    description:
      - Go to kept generations instead of the plan - V(previous), a number, or the beginning of a plan's digest. Empty goes
        to the plan.
      - For O(step=order).
    type: str
    default: ''
  canary:
    description:
      - The host that is switched first and alone; empty for none.
      - For O(step=order).
    type: str
    default: ''
  serial:
    description:
      - How many hosts are switched at once, as Ansible's C(serial) - a number, a percentage, or a list of these.
      - For O(step=order).
    type: raw
    default: 1
  allow_gap:
    description:
      - Whether a model may be without a replica for a while.
      - For O(step=order).
    type: bool
    default: false
  limited:
    description:
      - The gateways do not learn of the plan in this run, so no host may gain or lose a model.
      - For O(step=order).
    type: bool
    default: false
  phases:
    description:
      - The phases to judge, each with the name of the variable under which it registered its result. One that registered
        nothing did not run.
      - Phases are C(drain), C(idle), C(baseline), C(close), C(switch), C(prove), C(undrain), C(soak) and C(mark).
      - For O(step=judge).
    type: dict
    default: {}
  before:
    description:
      - The name of the variable that holds M(baremetal.vllm.endpoint_check) from before the switch.
      - For O(step=judge).
    type: str
    default: ''
  after:
    description:
      - The name of the variable that holds M(baremetal.vllm.endpoint_check) from after it.
      - For O(step=judge).
    type: str
    default: ''
  returning:
    description:
      - Whether the host goes back to what served before.
      - For O(step=judge).
    type: bool
    default: false
  otherwise:
    description:
      - What failed, where something is known to have failed. It is the cause where no phase that is named was bad.
      - For O(step=judge).
    type: str
    default: ''
  failing:
    description:
      - Whether the task fails with the causes of a bad verdict. Without it the verdict is returned alone.
      - For O(step=judge).
    type: bool
    default: true
  first_token_factor:
    description:
      - How many times the first-token time from before is allowed.
      - For O(step=judge).
    type: float
    default: 2.0
  first_token_slack:
    description:
      - Seconds that are allowed beyond.
      - For O(step=judge).
    type: float
    default: 0.25
  schedule:
    description:
      - What O(step=order) returned.
      - For O(step=report), which needs it.
    type: dict
  verdict:
    description:
      - The name of the variable under which each host registered its last O(step=judge).
      - For O(step=report), which needs it.
    type: str
  back:
    description:
      - The same for the verdict of its way back.
      - For O(step=report), which needs it.
    type: str
  drains:
    description:
      - The names of two variables - under which each host registered that it was drained before its switch, and again before
        it went back.
      - For O(step=report), which needs it.
    type: list
    elements: str
  undrain:
    description:
      - The name of the variable under which each host registered its undraining.
      - For O(step=report), which needs it.
    type: str
  path:
    description:
      - The JSON file on the control node, replaced whole or not at all. Its keys are C(schema) (1), C(id), C(time),
        C(plan_digest), C(complete), C(stopped), C(hosts), C(skipped), C(unreachable) and C(gaps).
      - For O(step=report).
    type: path
  digest:
    description:
      - What names the plan, for the file.
      - For O(step=report).
    type: str
    default: ''
attributes:
  check_mode:
    support: full
    description: The same, but no file is written.
  diff_mode:
    support: none
    description: What O(step=order) shows is what will change.
"""

EXAMPLES = r"""
- name: Decide the order
  baremetal.vllm.rollout:
    step: order
    plan: "{{ __vllm_plan.plan }}"
    states: __rollout_states
    generations: __rollout_generations
    gateways: __rollout_gateways
    canary: lab1
    serial: [1, "25%"]
  run_once: true
  register: __rollout_order

- name: Judge the switched host
  baremetal.vllm.rollout:
    step: judge
    phases: {drain: __rollout_drain, switch: __rollout_switch, prove: __rollout_after}
    before: __rollout_before
    after: __rollout_after
    first_token_factor: "{{ rollout_first_token_factor }}"
  register: __rollout_verdict

- name: Tell what became of the rollout
  baremetal.vllm.rollout:
    step: report
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
order: {description: The hosts in the order of their switch., returned: step order, type: list, elements: str}
sizes: {description: How many of them make each batch., returned: step order, type: list, elements: int}
batches: {description: The same as lists of hosts., returned: step order, type: list, elements: list}
hosts:
  description:
    - What each of them gets. C(action) is V(switch), V(prove), V(undrain) or V(take_back); C(why) for people; C(models) to
      drain; C(units) to become idle; C(undrain) the models to undrain at the end; C(current), the installed generation;
      C(target), the kept one to switch to, V(0) for the plan; C(back), the one to go back to where the new one is bad, V(0)
      for none; C(canary); C(resumed); C(drained), whether an earlier rollout left it so.
  returned: step order
  type: dict
who: {description: "Who this run is, as user@control-node: on record with what it drains.", returned: step order, type: str}
resumed: {description: Hosts that an earlier rollout left half done., returned: step order, type: list, elements: str}
left: {description: Hosts that are left alone and why., returned: step order, type: dict}
lost: {description: Those of them that did not answer., returned: step order, type: list, elements: str}
gaps: {description: Models that will be without a replica., returned: step order, type: list, elements: str}
good:
  description:
    - Of O(step=judge), whether the host may serve.
    - Of O(step=report), whether nothing went wrong so far, and, once it is over, whether every host was reached.
  returned: steps judge and report
  type: bool
causes: {description: Everything that speaks against it., returned: step judge, type: list, elements: str}
phase: {description: The first phase that went wrong; empty for none., returned: step judge, type: str}
take_back:
  description: Whether the units are to blame and the host answers, so that it shall go back to what served before.
  returned: step judge
  type: bool
switched: {description: Whether the units may have been touched., returned: step judge, type: bool}
reachable: {description: Whether the host answered to the end., returned: step judge, type: bool}
over: {description: Whether no further batch may follow., returned: step report, type: bool}
complete: {description: Whether every host of the play is as planned and proven., returned: step report, type: bool}
told: {description: The last sentence of the summary., returned: step report, type: str}
path: {description: The file written; absent in check mode., returned: when a file was written, type: str}
"""
