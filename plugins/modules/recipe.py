#!/usr/bin/python
# SPDX-License-Identifier: Apache-2.0
# It may be combined with ansible-core, which is under the GNU General Public License, version 3.
"""Documentation of the action plugin of the same name; it runs on the control node only."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: recipe
short_description: Print a recipe of vLLM as an entry of the inventory
description:
  - Prints, as YAML to paste, an entry of C(vllm_models) made from the recipe that vLLM's own source distribution has for a model.
    The variant is chosen by the memory of the host's GPUs, its hardware's options are added, the options are those of the host's
    release, the revision is looked up at the hub, and the whole is checked as the plan would.
  - Comments say what was left out and why.
  - A hub id that no recipe names gets an entry from what the hub says of it. The host's C(model_weights_endpoint) and
    C(vllm_hf_token) come before O(endpoint) and O(hf_token).
  - Without C(host) it prints what each variant needs.
  - Fails, after printing, where the entry is not whole.
version_added: "0.1.0"
author: The baremetal.vllm contributors (@baremetal-vllm)
options:
  model:
    description: The hub id, in any case. Also that of a variant.
    type: str
  host:
    description: A host of the inventory.
    type: str
  variant:
    description: A variant of the recipe. By default its own default where that fits, else the largest that does.
    type: str
    default: ""
  spread:
    description: How to spread it, C(single_node_tp), C(single_node_tep) or C(single_node_dep). By default as the recipe says.
    type: str
    default: ""
  features:
    description: Features to switch on that the recipe leaves off, as a list or with commas between.
    type: raw
  revision:
    description: A branch, a tag or a commit to pin.
    type: str
    default: main
extends_documentation_fragment:
  - baremetal.vllm.hub
  - baremetal.vllm.proxy
"""

EXAMPLES = r"""
- name: Print an entry for one host
  baremetal.vllm.recipe:
    model: Qwen/Qwen3-32B
    host: gpu1
"""

RETURN = r"""
whole:
  description: Whether an entry was printed that the plan takes as it is.
  returned: success
  type: bool
entry:
  description: The entry, with its C(name).
  returned: where a host was named
  type: dict
notes:
  description: What stands in the comments above it.
  returned: where a host was named
  type: list
  elements: str
"""
