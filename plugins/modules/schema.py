#!/usr/bin/python
# SPDX-License-Identifier: Apache-2.0
# It may be combined with ansible-core, which is under the GNU General Public License, version 3.
"""Documentation of the action plugin of the same name; it runs on the control node only."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: schema
short_description: Write the JSON Schema of the inventory's variables, for completion in an editor
description:
  - Makes a JSON Schema (draft-07) of C(vllm_models), with every option, choice and environment variable of one vLLM release,
    and of every other variable of this collection, from the argument specifications of its roles and C(data/site_variables.yml).
  - A name that begins as only ours do (C(vllm_), C(gateway_), the name of a role) and is none of them is marked; other names
    are let through.
  - An editor with a YAML language server completes and marks with it while one types; the plan stays the judge.
version_added: "0.1.0"
author: The baremetal.vllm contributors (@baremetal-vllm)
options:
  release:
    description: The vLLM release whose options the schema knows. By default the newest one in the catalogue.
    type: str
  path:
    description: The file of the control node to write. Without it the schema is printed.
    type: path
"""

EXAMPLES = r"""
- name: Write the schema beside the inventory
  baremetal.vllm.schema:
    release: 0.33.0
    path: inventories/vllm.schema.json
"""

RETURN = r"""
release:
  description: The release the schema was made for.
  returned: success
  type: str
path:
  description: The file it was written to.
  returned: when C(path) is set
  type: str
"""
