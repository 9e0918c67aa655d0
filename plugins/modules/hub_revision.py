#!/usr/bin/python
# SPDX-License-Identifier: Apache-2.0
# It may be combined with ansible-core, which is under the GNU General Public License, version 3.
"""Documentation of the action plugin of the same name; it runs on the control node only."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: hub_revision
short_description: Print the commit of a model on its hub
description:
  - Asks the model hub for the commit that a branch or tag of a model is at, and prints it as the line C(revision) of an entry.
  - Fails with how to find it by hand where the hub cannot be reached.
version_added: "0.1.0"
author: The baremetal.vllm contributors (@baremetal-vllm)
options:
  model:
    description: The hub id.
    type: str
    required: true
  revision:
    description: A branch, a tag or a commit.
    type: str
    default: main
extends_documentation_fragment:
  - baremetal.vllm.hub
  - baremetal.vllm.proxy
"""

EXAMPLES = r"""
- name: Print the newest commit
  baremetal.vllm.hub_revision:
    model: Qwen/Qwen3-32B
"""

RETURN = r"""
model:
  description: The model as the hub spells it.
  returned: success
  type: str
revision:
  description: The 40-digit commit.
  returned: success
  type: str
"""
