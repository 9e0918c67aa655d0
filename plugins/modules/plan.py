#!/usr/bin/python
# SPDX-License-Identifier: Apache-2.0
# It may be combined with ansible-core, which is under the GNU General Public License, version 3.
"""Documentation of the action plugin of the same name; it runs on the control node only."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: plan
short_description: Plan what every host of the fleet shall run
description:
  - Resolves C(vllm_models) for the whole fleet on the control node, contacting no host.
  - Refuses with every problem at once, each naming its inventory key and what to write instead.
  - Reads each host's C(vllm_accelerator), C(vllm_version), C(gpu_count), C(gpu_name) or C(gpu_memory_gib),
    C(vllm_engine_kernels_index), and C(nvidia_driver_version) from the inventory. On a host with several kinds of GPU C(gpu_name)
    and C(gpu_memory_gib) are lists, by index.
  - Checks C(args) and C(env) against the options of exactly the vLLM release that the host shall run.
  - Reads the locks that engines for V(cuda) may be installed from, where they are on the control node, and says what is lost
    where one brings neither FlashInfer's compiled kernels nor a compiler; refuses one whose kernels do not go together.
  - Says what a model needs of its GPUs where its C(config.json) is at hand, in C(push_from), at the path of C(model), or in
    the control node's cache of the Hugging Face hub.
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
  gateway_group:
    description:
      - The inventory group whose hosts are the fleet's gateways; an absent or empty one means that there is none.
      - Their variables beginning with C(gateway_) are read and checked; secrets among them do not enter the plan.
    type: str
    default: gateways
  keyed:
    description: Whether an API key guards the endpoints.
    type: bool
    default: false
  api_key:
    description:
      - The key itself, C(vllm_api_key), to be judged. It is no part of the plan and of no message.
      - An example's placeholder is refused, so is a number; a short one is warned about.
    type: raw
  gap:
    description: Why nothing can be planned, such as what the filter P(baremetal.vllm.fleet_gap#filter) says; fails with it.
    type: str
    default: ""
  writes:
    description: Other files that this run will write, by the variable that names each; refused where it could not.
    type: dict
    default: {}
  exit:
    description: C(vllm_plan_exit), to be judged.
    type: str
    default: ""
  show:
    description: Print the plan as a table.
    type: bool
    default: false
  unchecked_releases:
    description:
      - Releases whose C(args) and C(env) are taken as written, C(vllm_unchecked_releases).
      - For a release that the catalogue does not know yet, or a vLLM of one's own.
    type: raw
  extra_options:
    description:
      - Options that plug-ins of vLLM add, C(vllm_extra_options), by name.
      - Each may have a C(type) (C(str), C(int), C(float), C(bool), C(size), C(json)), C(choices), and C(list=true) where it
        takes several words; C({}) takes any value.
    type: raw
  extra_choices:
    description: Values that plug-ins add to an option, C(vllm_extra_choices), as a list by option.
    type: raw
  extra_env:
    description: Environment variables beginning with C(VLLM_) that plug-ins read, C(vllm_extra_env), as a list.
    type: raw
  document:
    description: A file of the control node to write a Markdown page to, with each model's command and a C(curl) to paste.
    type: path
  json:
    description: A file of the control node to write the plan to as JSON (docs/plan.md has its keys); nothing in check mode.
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
  description: Per host the engine, the weights and the services, each with unit, argv, environment, port, memory and proofs.
  returned: success
  type: dict
digest:
  description: SHA-256 of the plan, the same for the same inventory.
  returned: success
  type: str
missing_engines:
  description:
    - By host why its engine could not be installed as things stand, and the remedy; only where the source is a wheelhouse.
    - A host that has its engine already needs none.
  returned: success
  type: dict
"""
