#!/usr/bin/python
"""Documentation of the action plugin of the same name; it runs on the control node only."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: plan
short_description: Plan what every host of the fleet shall run
description:
  - Resolves C(vllm_models) for the whole fleet on the control node, contacting no host.
  - Refuses with every problem at once, each naming its inventory key and what to write instead.
  - Reads each host's C(vllm_accelerator), C(vllm_version) and C(gpu_count) from the inventory.
version_added: "0.1.0"
author: The baremetal.vllm contributors (@baremetal-vllm)
options:
  models:
    description:
      - The menu, C(vllm_models), keyed by the name that clients ask for.
      - An empty one removes every unit; none at all is refused.
    type: raw
  group:
    description: The inventory group whose hosts make the fleet.
    type: str
    default: gpu_hosts
  address:
    description: The address endpoints listen on. By default all addresses where a key guards them, else loopback.
    type: str
  keyed:
    description: Whether an API key guards the endpoints.
    type: bool
    default: false
  show:
    description: Print the plan as a table.
    type: bool
    default: false
  document:
    description: A file of the control node to write a Markdown page to, with each model's command and a C(curl) to paste.
    type: path
"""

EXAMPLES = r"""
- name: Plan the fleet
  baremetal.vllm.plan:
    models: "{{ vllm_models }}"
    keyed: "{{ vllm_api_key is defined }}"
  run_once: true
  register: __vllm_plan
"""

RETURN = r"""
plan:
  description: Per host the engine, the weights and the services, each with unit, argv, environment, port and proofs.
  returned: success
  type: dict
digest:
  description: SHA-256 of the plan, the same for the same inventory.
  returned: success
  type: str
"""
