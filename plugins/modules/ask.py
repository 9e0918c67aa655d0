#!/usr/bin/python
# SPDX-License-Identifier: Apache-2.0
# It may be combined with ansible-core, which is under the GNU General Public License, version 3.
"""Documentation of the action plugin of the same name; it runs on the control node only."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: ask
short_description: Ask a planned model one question, from the control node
description:
  - Sends one question over the network, to the fleet's gateway or, where there is none, to the model's endpoint.
  - Prints the answer and the C(curl) that asks again.
version_added: "0.1.0"
author: The baremetal.vllm contributors (@baremetal-vllm)
options:
  plan:
    description: The plan, as M(baremetal.vllm.plan) returns it.
    type: dict
    required: true
  model:
    description: The name to ask for. By default the first planned model that answers questions.
    type: str
  question:
    description: The question.
    type: str
  api_key:
    description: The key that guards the endpoints. A gateway is asked with a key of its C(gateway_keys). None is printed.
    type: str
"""

EXAMPLES = r"""
- name: Ask the first chat model
  baremetal.vllm.ask:
    plan: "{{ __vllm_plan.plan }}"
    question: What is the capital of France?
  run_once: true
"""

RETURN = r"""
answer:
  description: What the model said.
  returned: success
  type: str
seconds:
  description: How long the answer took.
  returned: success
  type: float
"""
